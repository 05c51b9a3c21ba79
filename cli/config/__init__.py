"""Configs: finding, reading, checking and resuming."""
