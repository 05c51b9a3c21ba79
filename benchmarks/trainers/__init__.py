"""Contestants of `benchmarks/training.py`: each script runs in a process of its own and ends with a line of JSON."""
