"""Check that a run can be resumed: what a checkpoint records about its run, and how it differs from a config.

Lightning merges the hyperparameters of the checkpoint over the YAML, so a changed key would have no effect. Here a
changed key of the model, the data or the seed is an error; keys of trainer, checkpoints and run directory may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.config.files import flatten
from executor.commands.errors import UsageError
from lightning_modules.training.checkpointing import list_checkpoints

CONFIG_KEY = "resolved_config"
"""Key of a checkpoint with the config of its run, as YAML text."""

_FIXED_SECTIONS = ("seed_everything", "model", "data")
_FREE_NAMES = frozenset({"executor_backend", "num_executor_workers", "num_workers"})
"""Keys of model and data that do not affect results."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """What a checkpoint records about its run."""

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
        raise UsageError(
            f"{path} is damaged or not a checkpoint{_recovery_hint(path, type(error).__name__)}"
        ) from error
    if not isinstance(content, dict) or "global_step" not in content:
        raise UsageError(f"{path} is not a checkpoint of a training run")
    text = content.get(CONFIG_KEY)
    config = yaml.safe_load(text) if isinstance(text, str) else None
    return CheckpointFacts(
        path=path, global_step=int(content["global_step"]), is_whole=_is_whole(content), config=config
    )


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Read from Lightning's progress whether training had used all minibatches of the epoch."""
    loop = (content.get("loops") or {}).get("fit_loop", {})
    return loop.get("epoch_loop.batch_progress", {}).get("is_last_batch", True)


def _recovery_hint(path: Path, reason: str) -> str:
    """Describe how to resume from an earlier checkpoint of the run, if there is one."""
    run_dir = path.parent.parent
    earlier = [checkpoint for checkpoint in list_checkpoints(run_dir) if checkpoint.name < path.name]
    if path.parent.name != "checkpoints" or not earlier:
        return f" ({reason})"
    return f" ({reason}): delete it, and `--ckpt_path last` resumes from {earlier[-1].name}"


def differences(saved: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """List `key: old -> new` for every value of seed, model and data that differs."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for section in _FIXED_SECTIONS:
        old.update(flatten(saved.get(section), section))
        new.update(flatten(given.get(section), section))
    keys = [key for key in dict.fromkeys([*old, *new]) if key.rpartition(".")[2] not in _FREE_NAMES]
    return [
        f"{key}: {_show(old, key)} -> {_show(new, key)}"
        for key in keys
        if key not in old or key not in new or old[key] != new[key]
    ]


def check(facts: CheckpointFacts, config: Mapping[str, Any]) -> None:
    """Check that training can resume from a checkpoint with a config.

    Args:
        facts: of the checkpoint.
        config: the resolved config.

    Raises:
        UsageError: the checkpoint was written inside an epoch, whose rest Lightning would skip; or model, data or seed
            differ, with every changed key and both values.
    """
    if not facts.is_whole:
        raise UsageError(
            f"{facts.path} was written inside an epoch, so training cannot resume from it: "
            "`--ckpt_path last` in its own run_dir resumes from the last complete epoch"
        )
    changed = differences(facts.config, config) if facts.config is not None else []
    if changed:
        raise UsageError(
            f"the config differs from the config of {facts.path} ({'; '.join(changed)}); "
            "restore these values to resume, or start a new run in another run_dir"
        )


def _show(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "(absent)"
