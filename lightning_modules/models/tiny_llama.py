"""A small Llama-style causal LM built from scratch: its sizes and its first weights. Nothing here trains or samples."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lightning_modules.models.initialization import initialize_on_cpu

ATTENTION = "sdpa"
"""Takes the block-diagonal masks of packed rows."""
INIT_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class TinyLlamaConfig:
    """Sizes of a Llama-style causal LM (pre-norm, RMSNorm, rotary positions, SwiGLU, grouped-query attention).

    Attributes:
        hidden_size: width of the residual stream.
        num_layers: transformer blocks.
        num_heads: query heads; `hidden_size` must divide by it.
        num_kv_heads: key and value heads; `num_heads` must divide by it.
        intermediate_size: width of the feed-forward layer.
        max_position: longest sequence in tokens.
        tie_embeddings: whether the output layer is the input embedding.
    """

    hidden_size: int = 256
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    intermediate_size: int = 704
    max_position: int = 1024
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "num_heads", "num_kv_heads", "intermediate_size", "max_position"):
            if getattr(self, name) < 1:
                raise ValueError(f"architecture: {name} is {getattr(self, name)}, at least 1 is needed")
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(
                f"architecture: hidden_size {self.hidden_size} must be a multiple of twice num_heads {self.num_heads}"
            )
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"architecture: num_heads {self.num_heads} must be a multiple of num_kv_heads {self.num_kv_heads}"
            )


def build_causal_lm(architecture: TinyLlamaConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Build an untrained model on the CPU whose weights depend on `seed` alone; global random state is unchanged."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        num_key_value_heads=architecture.num_kv_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_position,
        tie_word_embeddings=architecture.tie_embeddings,
        initializer_range=INIT_STD,
        bos_token_id=_token_id(tokenizer.bos_token_id),
        eos_token_id=_token_id(tokenizer.eos_token_id),
        pad_token_id=_token_id(tokenizer.pad_token_id),
    )
    with initialize_on_cpu(seed):
        model = LlamaForCausalLM._from_config(config, attn_implementation=ATTENTION)
        # each block adds to the residual stream: scale by its depth so that the sum keeps its size (GPT-2, section 2.3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    parameter.div_((2 * architecture.num_layers) ** 0.5)
    return model


def _token_id(value: Any) -> int:
    assert isinstance(value, int)  # our own tokenizers have all three
    return value
