"""TODO lightning_modules/evaluation."""
