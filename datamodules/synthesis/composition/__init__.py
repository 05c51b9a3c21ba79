"""TODO datamodules/synthesis/composition."""
