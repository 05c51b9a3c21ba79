"""Atoms of the topic lists."""
