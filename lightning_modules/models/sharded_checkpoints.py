"""Weights out of a sharded checkpoint, in one process, however many ranks wrote it.

A sharded checkpoint is the folder that Lightning's ModelParallelStrategy writes: `.metadata` says which part of which
tensor lies where, `__<rank>_<part>.distcp` hold the parts, `meta.pt` holds all that is no tensor. The module's state
dict lies under `state_dict.`, optimizers under `optimizer_<n>.`. Nothing here writes one, and training resumes from one
without this module.
"""

import pickle
import warnings
from enum import Enum
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

META_NAME = "meta.pt"
_STATE_PREFIX = "state_dict."
_METADATA_GLOBALS = frozenset(
    {
        ("torch", "Size"),
        ("torch.serialization", "_get_layout"),
        ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
        ("torch.distributed.checkpoint.metadata", "BytesStorageMetadata"),
        ("torch.distributed.checkpoint.metadata", "ChunkStorageMetadata"),
        ("torch.distributed.checkpoint.metadata", "Metadata"),
        ("torch.distributed.checkpoint.metadata", "MetadataIndex"),
        ("torch.distributed.checkpoint.metadata", "StorageMeta"),
        ("torch.distributed.checkpoint.metadata", "TensorProperties"),
        ("torch.distributed.checkpoint.metadata", "TensorStorageMetadata"),
        ("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING"),
        ("pathlib", "PosixPath"),
    }
)
"""All that the records of a `.metadata` file are made of, dtypes apart."""


def is_sharded(path: str | Path) -> bool:
    """Whether there is a sharded checkpoint at `path`."""
    return (Path(path) / META_NAME).is_file()


def read_meta(path: str | Path) -> dict[str, Any]:
    """Read what is no tensor: the Lightning checkpoint without weights and optimizer states."""
    return torch.load(Path(path) / META_NAME, map_location="cpu", weights_only=True)


def read_weights(path: str | Path, prefix: str) -> dict[str, Tensor]:
    """Read whole tensors of the module's state dict, without a process group.

    Args:
        path: a sharded checkpoint.
        prefix: names start with it; nothing else is read.

    Returns:
        By the name in the state dict, on the CPU.

    Raises:
        ValueError: files of the checkpoint are missing or damaged.
    """
    reader = _Reader(path)
    try:
        entries = reader.read_metadata().state_dict_metadata
        weights: dict[str, Any] = {
            key: torch.empty(entry.size, dtype=entry.properties.dtype)
            for key, entry in entries.items()
            if key.startswith(_STATE_PREFIX + prefix) and isinstance(entry, TensorStorageMetadata)
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as intended
            load(weights, storage_reader=reader, no_dist=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, CheckpointException) as error:
        raise ValueError(f"{path} is a sharded checkpoint with missing or damaged files") from error
    return {key.removeprefix(_STATE_PREFIX): tensor for key, tensor in weights.items()}


class _Reader(FileSystemReader):
    """Reads `.metadata`, which is a pickle, without executing its contents."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with open(Path(self.path) / ".metadata", "rb") as file:
            return _MetadataUnpickler(file).load()


class _MetadataUnpickler(pickle.Unpickler):
    """Knows only what `.metadata` files are made of."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)

    def find_class(self, module: str, name: str) -> Any:
        """Return what the pickle names.

        Raises:
            pickle.UnpicklingError: it has no business there.
        """
        if (module, name) == ("builtins", "getattr"):
            return _enum_member
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or (module, name) in _METADATA_GLOBALS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a checkpoint's metadata")


def _enum_member(kind: type, name: str) -> Enum:
    """Return a member by its name: Python 3.11.0 to 3.11.3 pickle it as a call of getattr.

    Raises:
        pickle.UnpicklingError: the file references another class.
    """
    if not (isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__):
        raise pickle.UnpicklingError(f"{name} is no member of an enumeration")
    return kind[name]
