"""The smallest model and tokenizer that train, as a checkpoint folder that `init_from` accepts."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

TINY = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)


def write_tiny_model(
    folder: Path,
    *,
    texts: Sequence[str] = ("def solve(x): return x",),
    vocab_size: int = 280,
    config: TinyLlamaConfig = TINY,
    seed: int = 0,
) -> PreTrainedTokenizerFast:
    """Train a tokenizer on `texts`, build a model of random weights, and save both in `folder`.

    Returns:
        The tokenizer.
    """
    tokenizer = train_tokenizer(list(texts), vocab_size, folder / "tokenizer")
    build_causal_lm(config, tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer
