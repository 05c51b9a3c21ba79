"""Prompts of compositions, in English and Chinese."""
