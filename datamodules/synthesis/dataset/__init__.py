"""TODO datamodules/synthesis/dataset."""
