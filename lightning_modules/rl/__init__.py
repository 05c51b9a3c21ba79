"""TODO lightning_modules/rl."""
