"""TODO lightning_modules/training."""
