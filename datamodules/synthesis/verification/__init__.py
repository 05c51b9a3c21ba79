"""TODO datamodules/synthesis/verification."""
