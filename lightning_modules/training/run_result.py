"""What a finished training returns: its metrics, its checkpoint, and the tokens and operations that it took.

`WriteRunResult` writes `RUN_DIR/result.json` when a training ends; `read_result` reads it, together with the curves of
`metrics.jsonl`. Nothing is measured here.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_modules.training.budget import Budget, rl_budget, sft_budget
from lightning_modules.training.checkpointing import is_finished
from lightning_modules.training.flops import count_multiplied_weights
from lightning_modules.training.logging.run_logger import read_curves

FILE_NAME = "result.json"


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished training."""

    run_dir: Path
    budget: Budget | None
    """None for data modules other than those of this project."""

    @property
    def checkpoint(self) -> Path:
        """The trained model."""
        return self.run_dir / "checkpoints" / "final.ckpt"

    @property
    def tokens(self) -> int | None:
        """Tokens that were trained on, prompts and completions."""
        return None if self.budget is None else self.budget.total_tokens

    @cached_property
    def curves(self) -> dict[str, list[list[float]]]:
        """All metrics by tag, as [[step, value], ...]."""
        return read_curves(self.run_dir)

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric, by tag."""
        return {tag: points[-1][1] for tag, points in self.curves.items()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """All keys of the training, resolved."""
        return yaml.safe_load((self.run_dir / "config.yaml").read_text(encoding="utf-8"))


def read_result(run_dir: str | Path) -> RunResult | None:
    """Read the result of a run; None while it is not finished.

    Raises:
        ValueError: the file is not a result.
    """
    path = Path(run_dir) / FILE_NAME
    if not path.exists() or not is_finished(run_dir):
        return None
    try:
        budget = json.loads(path.read_text(encoding="utf-8"))["budget"]
        return RunResult(run_dir=Path(run_dir), budget=None if budget is None else Budget(**budget))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the result of a run") from error


class WriteRunResult(Callback):
    """Writes the result when a training ends, and removes that of an earlier end when training continues.

    Args:
        run_dir: directory of the run.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self._path = Path(run_dir) / FILE_NAME

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._path.unlink(missing_ok=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            return
        budget = compute_budget(trainer, pl_module, read_curves(self._path.parent))
        fresh = self._path.with_name(f".{self._path.name}.tmp")
        fresh.write_text(json.dumps({"budget": None if budget is None else budget.to_json()}) + "\n", encoding="utf-8")
        fresh.replace(self._path)


def compute_budget(
    trainer: Trainer, pl_module: LightningModule, curves: Mapping[str, list[list[float]]]
) -> Budget | None:
    """Count the tokens of all minibatches since the start of the run, over all interruptions."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    if not hasattr(data, "num_trained") and not hasattr(data, "num_ppo_epochs"):  # neither SFT nor RL of this project
        return None
    num_weights = count_multiplied_weights(pl_module.policy.causal_lm)  # type: ignore[union-attr]
    if hasattr(data, "num_trained"):
        num_minibatches = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        return sft_budget(data.num_trained(num_minibatches), num_weights=num_weights)
    lengths, prompt_lengths, num_batches = (
        [value for _, value in curves.get(tag, ())]
        for tag in ("completions/mean_length", "completions/mean_prompt_length", "rollout/num_gen_batches")
    )
    module: Any = pl_module
    critic = module.rl_config.critic
    num_iterations = len(lengths)
    num_batches = num_batches or [1.0] * num_iterations
    per_batch = data.prompts_per_iteration * data.samples_per_prompt
    examples = getattr(data, "sft_examples", None)
    return rl_budget(
        num_completions=round(sum(num_batches) * per_batch),
        completion_tokens=sum(map(operator.mul, lengths, num_batches)) * per_batch,
        prompt_tokens=sum(map(operator.mul, prompt_lengths, num_batches)) * data.prompts_per_iteration,
        num_ppo_epochs=data.num_ppo_epochs,
        num_critic_epochs=critic.num_epochs if critic is not None and critic.trunk == "separate" else None,
        splits=data.splits,
        num_weights=num_weights,
        trained_frac=num_iterations / sum(num_batches) if num_batches else 1.0,
        sft_tokens=0 if examples is None else examples.count_tokens(num_iterations * data.steps_per_iteration),
    )
