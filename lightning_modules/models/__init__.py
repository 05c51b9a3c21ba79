"""Models: policies and reference policies, loading, LoRA, sharding, and how they are computed."""
