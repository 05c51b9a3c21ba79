"""Stores the rollouts of some iterations of reinforcement learning as JSON Lines, and reads them.

Each rank writes its own rollouts to `RUN/rollouts/iteration_N_rank_R.jsonl`, one row per completion. An iteration that
is repeated after a resume writes its files again. Nothing is sampled or graded here, and nothing affects training.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules.files import replace_atomically
from lightning_modules.rl.rollouts.records import Advantages, SampledRollouts

FOLDER = "rollouts"
_NAME = re.compile(r"iteration_(\d+)_rank_(\d+)\.jsonl")


@runtime_checkable
class CollectsRollouts(Protocol):
    """A module that passes the rollouts of each iteration to a callback."""

    rollouts_callback: Callable[[SampledRollouts, Advantages], None] | None


class LogRollouts(Callback):
    """Write the rollouts of every n-th iteration, from iteration 0, into the run directory.

    Args:
        run_dir: Directory of the run.
        every_n_iterations: Iterations from one that is written to the next; 0 = none.

    Raises:
        ValueError: `every_n_iterations` is negative.
    """

    def __init__(self, run_dir: str, every_n_iterations: int = 0) -> None:
        if every_n_iterations < 0:
            raise ValueError(f"log_rollouts.every_n_iterations is {every_n_iterations}: it must be at least 0 (off)")
        self.folder = Path(run_dir) / FOLDER
        self.every_n_iterations = every_n_iterations
        self._rank = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have the module pass its rollouts.

        Raises:
            ValueError: `pl_module` samples none.
        """
        if self.every_n_iterations == 0 or stage != "fit":
            return
        if not isinstance(pl_module, CollectsRollouts):
            raise ValueError(
                f"log_rollouts.every_n_iterations is {self.every_n_iterations}, but {type(pl_module).__name__} samples "
                "no rollouts: set it to 0"
            )
        self._rank = trainer.global_rank
        pl_module.rollouts_callback = self._write

    def _write(self, sampled: SampledRollouts, targets: Advantages) -> None:
        iteration = sampled.batch.iteration
        if iteration % self.every_n_iterations:
            return
        rows = ({"iteration": iteration, "rank": self._rank, **row} for row in describe_rollouts(sampled, targets))
        with replace_atomically(self.folder / f"iteration_{iteration}_rank_{self._rank}.jsonl") as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def describe_rollouts(sampled: SampledRollouts, targets: Advantages) -> list[dict[str, Any]]:
    """Describe all rollouts that were generated, in the order of sampling, as plain JSON values.

    Args:
        sampled: The rollouts of an iteration.
        targets: [N, L] of those that advantages were computed for.

    Returns:
        A row per completion. `advantage` is the mean over its tokens, and null where dynamic sampling replaced its
        group; `trained` is false where the loss leaves it out.
    """
    places = {id(rollout): index for index, rollout in enumerate(sampled.trained)}
    rows = []
    for rollout in sampled.generated:
        prompt, completion, outcome = rollout.prompt, rollout.completion, rollout.outcome
        index = places.get(id(rollout))
        length = len(completion.token_ids)
        rows.append(
            {
                "group": rollout.group,
                "task_id": prompt.task_id,
                "depth": prompt.depth,
                "prompt": prompt.prompt,
                "completion": completion.text,
                "status": str(outcome.status),
                "num_passed": outcome.num_passed,
                "num_tests": outcome.num_tests,
                "detail": outcome.detail,
                "reward": None if rollout.reward is None else rollout.reward.total,
                "reward_parts": None if rollout.reward is None else rollout.reward.parts,
                "advantage": None if index is None or not length else float(targets.advantages[index, :length].mean()),
                "trained": index is not None and bool(targets.loss_mask[index].any()),
                "num_tokens": length,
                "finished": completion.finished,
                "policy_version": completion.policy_version,
                "token_ids": completion.token_ids,
            }
        )
    return rows


def list_logged_iterations(run_dir: str | Path) -> list[int]:
    """List the iterations whose rollouts a run has stored, in order."""
    names = [_NAME.fullmatch(path.name) for path in (Path(run_dir) / FOLDER).glob("*.jsonl")]
    return sorted({int(name[1]) for name in names if name is not None})


def read_rollouts(run_dir: str | Path, iteration: int) -> list[dict[str, Any]]:
    """Read the stored rollouts of an iteration, by rank; empty if there are none."""
    paths = (Path(run_dir) / FOLDER).glob(f"iteration_{iteration}_rank_*.jsonl")
    by_rank = {int(name[2]): path for path in paths if (name := _NAME.fullmatch(path.name)) is not None}
    return [
        json.loads(line)
        for _, path in sorted(by_rank.items())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
