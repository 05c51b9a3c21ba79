"""TODO datamodules/synthesis/wording."""
