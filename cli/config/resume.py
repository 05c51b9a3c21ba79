"""What a checkpoint says about the run it belongs to, and whether a config may go on from it.

Lightning merges the hyperparameters of the checkpoint over the YAML, so that a changed key is dropped without a word.
Here a changed key of the model, the data or the seed is refused; those of trainer, checkpoints and run directory may
change freely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.config.files import leaves
from cli.errors import UsageError
from lightning_modules.training.checkpointing import list_checkpoints

CONFIG_KEY = "resolved_config"
"""Key of a checkpoint under which the config of its run lies, as YAML text."""

_FIXED_SECTIONS = ("seed_everything", "model", "data")
_FREE_NAMES = frozenset({"executor_backend", "num_executor_workers", "num_workers"})
"""Keys of model and data that say where the work is done, not which."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """What is read from a checkpoint before anything is built."""

    path: Path
    global_step: int
    """Optimizer steps taken."""
    is_whole: bool
    """Whether it was written at the end of an epoch."""
    config: dict[str, Any] | None
    """Resolved config of the run that wrote it; None for a checkpoint from elsewhere."""


def read_checkpoint_facts(path: str | Path) -> CheckpointFacts:
    """Read a Lightning checkpoint, a file or a sharded folder, without its weights where the format allows.

    Raises:
        UsageError: no such checkpoint, damaged, or not one of Lightning's.
    """
    import torch

    path = Path(path)
    file = path / "meta.pt" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"no checkpoint at {path}")
    try:
        content = torch.load(str(file), weights_only=True, mmap=True, map_location="cpu")
    except PermissionError:
        raise
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, ... for one and the same reason
        raise UsageError(f"{path} is damaged or not a checkpoint{_way_out(path, type(error).__name__)}") from error
    if not isinstance(content, dict) or "global_step" not in content:
        raise UsageError(f"{path} is not a checkpoint of a training run")
    text = content.get(CONFIG_KEY)
    config = yaml.safe_load(text) if isinstance(text, str) else None
    return CheckpointFacts(
        path=path, global_step=int(content["global_step"]), is_whole=_is_whole(content), config=config
    )


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Read from Lightning's own progress whether all minibatches of the epoch had been trained on."""
    loop = (content.get("loops") or {}).get("fit_loop", {})
    return loop.get("epoch_loop.batch_progress", {}).get("is_last_batch", True)


def _way_out(path: Path, reason: str) -> str:
    """Say how to go on without a damaged checkpoint, where its run has an earlier one."""
    run_dir = path.parent.parent
    earlier = [checkpoint for checkpoint in list_checkpoints(run_dir) if checkpoint.name < path.name]
    if path.parent.name != "checkpoints" or not earlier:
        return f" ({reason})"
    return f" ({reason}): delete it, and `--ckpt_path last` goes on from {earlier[-1].name}"


def differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """List `key: old -> new` for every leaf of seed, model and data that differs; empty if the run may go on."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for section in _FIXED_SECTIONS:
        old.update(leaves(saved.get(section), section))
        new.update(leaves(given.get(section), section))
    keys = [key for key in dict.fromkeys([*old, *new]) if key.rpartition(".")[2] not in _FREE_NAMES]
    return [
        f"{key}: {_show(old, key)} -> {_show(new, key)}"
        for key in keys
        if key not in old or key not in new or old[key] != new[key]
    ]


def refuse_partial(facts: CheckpointFacts) -> None:
    """Refuse to go on from inside an epoch: Lightning would take the epoch for done and leave its rest out.

    Raises:
        UsageError: naming the way out.
    """
    if not facts.is_whole:
        raise UsageError(
            f"{facts.path} was written inside an epoch, so a run cannot go on from it: "
            "`--ckpt_path last` in its own run_dir goes on from the last whole epoch"
        )


def refuse_changes(facts: CheckpointFacts, given: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint with another model, other data or another seed.

    Raises:
        UsageError: naming every changed key with its old and new value.
    """
    if facts.config is None:
        return
    changed = differences(facts.config, given)
    if changed:
        raise UsageError(
            f"the config differs from the one {facts.path} was trained with ({'; '.join(changed)}); "
            "set these back to go on, or start a new run in another run_dir"
        )


def _show(leaves: Mapping[str, Any], key: str) -> str:
    return repr(leaves[key]) if key in leaves else "(absent)"
