"""Benchmarks, each run from the root of the repository as `python -m benchmarks.NAME`; `--help` lists the options.

executor, soak: the executor's rate and stability. training, gpu: rates of the trainers on CPU cores and on a GPU.
scaling: memory on many GPUs, computed. interval_coverage: the statistics of studies.
"""
