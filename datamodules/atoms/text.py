"""Atoms of the topic text."""
