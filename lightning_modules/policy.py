"""The language model: built small from scratch, or loaded from a checkpoint, a run, a folder or the hub.

A checkpoint of this project is one `.ckpt` file: the Lightning checkpoint with, under `PAYLOAD_KEY`, what is needed to
rebuild the causal LM and its tokenizer as plain strings (it loads with `weights_only=True`), and the weights of the
causal LM under `policy.` in its state dict. Nothing here trains or samples.
"""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from lightning_modules.checkpointing import checkpoints_of

PAYLOAD_KEY = "atomforge"
ATTENTION = "sdpa"  # takes the block-diagonal masks of packed rows
INIT_STD = 0.02


@dataclass(frozen=True, kw_only=True)
class Architecture:
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


def build_causal_lm(architecture: Architecture, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Build an untrained model whose weights depend on `seed` alone; the global random state is left as it was."""
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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM._from_config(config, attn_implementation=ATTENTION)
        # each block adds to the residual stream: scale by its depth so that the sum keeps its size (GPT-2, section 2.3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    parameter.div_((2 * architecture.num_layers) ** 0.5)
    return model


class ActorCritic(nn.Module):
    """A causal LM and a value head on its last hidden states; the head starts at zero, so first values are 0."""

    def __init__(self, causal_lm: PreTrainedModel) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.value_head = nn.Linear(causal_lm.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, chosen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run both heads at the `M` chosen positions: logits of a whole prompt cost more than all the rest.

        Args:
            input_ids: [B, T] long.
            attention_mask: [B, T] with 1 = token, or [B, 1, T, T] bool with True = may attend.
            position_ids: [B, T] long.
            chosen: [B, T] bool, True = wanted.

        Returns:
            Logits [M, V] and values [M], row by row; the value at t is that of the state after token t.
        """
        hidden = last_hidden_states(self.causal_lm, input_ids, attention_mask=attention_mask, position_ids=position_ids)
        hidden = hidden[chosen]
        return output_layer(self.causal_lm)(hidden), self.value_head(hidden).squeeze(-1)


def last_hidden_states(
    causal_lm: PreTrainedModel, input_ids: Tensor, *, attention_mask: Tensor, position_ids: Tensor
) -> Tensor:
    """[B, T, D] what the output layer of `causal_lm` is applied to (models that rescale logits after it do not fit)."""
    outputs = causal_lm.base_model(
        input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
    )
    return outputs.last_hidden_state


def output_layer(causal_lm: PreTrainedModel) -> nn.Module:
    """Return the layer that turns [..., D] hidden states into [..., V] logits."""
    layer = causal_lm.get_output_embeddings()
    assert isinstance(layer, nn.Module)
    return layer


def checkpoint_payload(causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Describe model and tokenizer as plain strings, for a checkpoint to hold under `PAYLOAD_KEY`."""
    specials = {"clean_up_tokenization_spaces": False, "split_special_tokens": tokenizer.split_special_tokens}
    names = ("bos_token", "eos_token", "pad_token")
    specials |= {name: str(token) for name in names if (token := getattr(tokenizer, name)) is not None}
    return {
        "model_config": causal_lm.config.to_json_string(use_diff=False),
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "tokenizer_config": json.dumps(specials),
    }


def load_policy(path: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a causal LM in float32 and its tokenizer.

    Args:
        path: a `.ckpt` of this project, a run directory (its newest checkpoint), a Hugging Face folder, or a hub id.

    Raises:
        ValueError: there is nothing of the kind at `path`; one line.
    """
    place = Path(path).expanduser()
    if place.is_file():
        return _load_checkpoint(place)
    if place.is_dir():
        if (place / "config.json").exists():
            return _load_pretrained(str(place))
        if checkpoints := checkpoints_of(place):
            return _load_checkpoint(checkpoints[-1])
        raise ValueError(f"{path} holds no model: no checkpoints/*.ckpt of a run and no config.json of Hugging Face")
    looks_like_file = str(path).startswith(("/", ".", "~")) or place.suffix == ".ckpt" or str(path).count("/") > 1
    if looks_like_file:
        raise ValueError(f"there is nothing at {path}: give a .ckpt file, a run directory or a Hugging Face folder")
    return _load_pretrained(str(path))


def causal_lm_state(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the causal LM's weights out of a module's state dict: under `policy.causal_lm.` or else `policy.`."""
    for prefix in ("policy.causal_lm.", "policy."):
        found = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def _token_id(value: Any) -> int:
    assert isinstance(value, int)  # our own tokenizers have all three
    return value


def _load_checkpoint(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    if path.is_dir():
        raise ValueError(f"{path} is a sharded checkpoint; only single-file checkpoints can be loaded as a model")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        payload = checkpoint[PAYLOAD_KEY]
        config = json.loads(payload["model_config"])
        tokenizer_json, tokenizer_config = payload["tokenizer"], json.loads(payload["tokenizer_config"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a checkpoint of this project (no readable {PAYLOAD_KEY!r} entry)") from error
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer_json), **tokenizer_config)
    with torch.random.fork_rng():
        causal_lm = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**config), attn_implementation=ATTENTION, dtype=torch.float32
        )
    try:
        causal_lm.load_state_dict(causal_lm_state(checkpoint["state_dict"]))
    except RuntimeError as error:
        raise ValueError(f"{path}: the weights do not fit the model the checkpoint describes") from error
    return causal_lm, tokenizer


def _load_pretrained(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    try:
        causal_lm = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation=ATTENTION)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(
            f"no causal LM with a tokenizer at {source}: give a .ckpt file, a run directory, a Hugging Face folder "
            "or the id of a model that is on the hub or in the local cache"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer of {source} is not a fast one with an end-of-text token")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return causal_lm, tokenizer
