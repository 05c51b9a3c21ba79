"""How a model is computed: packed forward passes, logits in chunks, and the settings of this machine."""
