"""Slurm: what `atomforge submit` hands in, and what `atomforge jobs` tells of it.

`settings` are the keys of a cluster's YAML file, `script` is the text of a batch script, `slurm` speaks to sbatch and
squeue, `plan` turns a command into jobs, `record` keeps what was handed in. No scheduler of our own: waiting,
requeueing and dependencies are Slurm's, going on where a job stopped is the engine's resume.
"""
