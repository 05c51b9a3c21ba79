"""What SFT and RL runs share: optimizers, checkpoints, logging, throughput."""
