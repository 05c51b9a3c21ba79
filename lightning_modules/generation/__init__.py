"""Generation of completions from a causal language model."""
