"""Rollout engines that sample with vLLM: in the process of the trainer, or on a server that ranks share."""
