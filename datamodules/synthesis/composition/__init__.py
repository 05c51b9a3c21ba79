"""Composition trees: structure, sampling, canonical forms, source code."""
