"""Benchmarks, each run from the root of the repository as `python -m benchmarks.NAME`; `--help` lists the options.

executor, graders, soak: the executor's rate, alternatives to it, its stability. training, gpu: the trainers' rate on
CPU cores and on a GPU. scaling: memory and time on many GPUs, computed. demo_seeds, interval_coverage: statistics.
"""
