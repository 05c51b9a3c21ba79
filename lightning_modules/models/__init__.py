"""TODO lightning_modules/models."""
