"""Atoms of the topic sorting."""
