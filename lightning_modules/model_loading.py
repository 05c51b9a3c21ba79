"""A causal LM and its tokenizer from a checkpoint, a run, a Hugging Face folder or the hub.

A checkpoint of this project is the Lightning checkpoint with, under `PAYLOAD_KEY`, what is needed to rebuild the causal
LM and its tokenizer as plain strings (it loads with `weights_only=True`), and the weights of the causal LM under
`policy.causal_lm.` in its state dict; one `.ckpt` file, or a folder of shards. Nothing here trains or samples.
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
from lightning_modules.lora import LoRASettings, add_lora, merge_lora
from lightning_modules.sharded_checkpoints import is_sharded, read_meta, read_weights

PAYLOAD_KEY = "atomforge"
_CAUSAL_LM_PREFIX = "policy.causal_lm."


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
        path: a `.ckpt` of this project (file or folder of shards), a run directory (its newest checkpoint), a Hugging
            Face folder, or a hub id.

    Raises:
        ValueError: there is nothing of the kind at `path`; one line.
    """
    place = Path(path).expanduser()
    if place.is_file() or is_sharded(place):
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
    for prefix in (_CAUSAL_LM_PREFIX, "policy."):
        found = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def rebuild_causal_lm(payload: Mapping[str, str], state: Mapping[str, Tensor]) -> PreTrainedModel:
    """Make the causal LM, in float32, that a checkpoint describes; adapters are merged into the weights.

    Args:
        payload: what the checkpoint holds under `PAYLOAD_KEY`.
        state: the weights, by their names in the causal LM.

    Raises:
        RuntimeError, KeyError, ValueError: the description or the weights do not fit.
    """
    config = AutoConfig.for_model(**json.loads(payload["model_config"]))
    with torch.random.fork_rng():
        causal_lm = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    if "lora" in payload:
        add_lora(causal_lm, LoRASettings.from_json(payload["lora"]), seed=0)
    causal_lm.load_state_dict(state)
    if "lora" in payload:
        merge_lora(causal_lm)
    return causal_lm


def rebuild_tokenizer(payload: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """Make the tokenizer that a checkpoint describes under `PAYLOAD_KEY`."""
    tokenizer = Tokenizer.from_str(payload["tokenizer"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **json.loads(payload["tokenizer_config"]))


def _load_checkpoint(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    try:
        checkpoint = read_meta(path) if path.is_dir() else _read_file(path)
        payload = checkpoint[PAYLOAD_KEY]
        tokenizer = rebuild_tokenizer(payload)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a checkpoint of this project (no readable {PAYLOAD_KEY!r} entry)") from error
    state = read_weights(path, _CAUSAL_LM_PREFIX) if path.is_dir() else checkpoint["state_dict"]
    try:
        return rebuild_causal_lm(payload, causal_lm_state(state)), tokenizer
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: the weights do not fit the model the checkpoint describes") from error


def _read_file(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


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
