"""Config keys and classes of version 0.1 and their names in 0.2, for error messages. Nothing is translated here."""

RENAMED_KEYS: dict[str, str] = {
    "model.init_args.kl.place": "model.init_args.kl.apply_to",
    "model.init_args.algorithm.drop_uniform_groups": "model.init_args.algorithm.filter_zero_variance_groups",
    "model.init_args.algorithm.mask_truncated": "model.init_args.algorithm.mask_truncated_completions",
    "model.init_args.algorithm.clip_low": "model.init_args.algorithm.clip_ratio_low",
    "model.init_args.algorithm.clip_high": "model.init_args.algorithm.clip_ratio_high",
    "model.init_args.retest_share": "model.init_args.reward_probe_fraction",
    "model.init_args.engine": "model.init_args.compute",
    "model.init_args.generate_batch_size": "model.init_args.rollout_batch_size",
    "model.init_args.score_batch_size": "model.init_args.logprob_batch_size",
    "data.init_args.fresh_reward_tests": "data.init_args.num_sampled_reward_tests",
    "data.init_args.prompt.answer": "data.init_args.prompt.completion_format",
    "checkpoint.keep": "checkpoint.keep_last_n",
    "slurm.requeue_before_s": "slurm.signal_before_end_s",
    "outside_atoms": "plugin_atoms",
}

RENAMED_CLASSES: dict[str, str] = {
    "lightning_modules.callbacks.SampleTexts": "lightning_modules.training.sample_texts.SampleTexts",
    "lightning_modules.telemetry.Telemetry": "lightning_modules.training.throughput.ThroughputMonitor",
}
