"""From text to batches of token ids: tokenizer, prompt format, samples and packing."""
