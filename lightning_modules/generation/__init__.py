"""TODO lightning_modules/generation."""
