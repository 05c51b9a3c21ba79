"""Atoms of the topic arithmetic."""
