"""Jobs of `atomforge submit` and `atomforge jobs`: config, batch scripts, plans, and a client of Slurm's commands.

Slurm schedules, requeues and resolves dependencies; `--ckpt_path last` resumes a requeued run.
"""
