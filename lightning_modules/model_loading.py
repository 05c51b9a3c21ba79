"""A causal LM and its tokenizer from a checkpoint, a run, a Hugging Face folder or the hub.

A checkpoint of this project is one `.ckpt` file: the Lightning checkpoint with, under `PAYLOAD_KEY`, what is needed to
rebuild the causal LM and its tokenizer as plain strings (it loads with `weights_only=True`), and the weights of the
causal LM under `policy.causal_lm.` in its state dict. Nothing here trains or samples.
"""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.architecture import ATTENTION
from lightning_modules.checkpointing import checkpoints_of
from lightning_modules.lora import LoRASettings

PAYLOAD_KEY = "atomforge"


def checkpoint_payload(
    causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, lora: LoRASettings | None = None
) -> dict[str, str]:
    """Describe model and tokenizer as plain strings, for a checkpoint to hold under `PAYLOAD_KEY`."""
    specials = {"clean_up_tokenization_spaces": False, "split_special_tokens": tokenizer.split_special_tokens}
    names = ("bos_token", "eos_token", "pad_token")
    specials |= {name: str(token) for name in names if (token := getattr(tokenizer, name)) is not None}
    adapters = {} if lora is None else {"lora": lora.to_json()}
    return adapters | {
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
