"""TODO datamodules/benchmarks."""
