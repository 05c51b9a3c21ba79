"""GRPO of this project for `benchmarks/learning.py`: trains, and saves weights and prompts.

    python -m benchmarks.trainers.learning_atomforge FOLDER JSON

JSON has `configs` and `overrides` of a training, the number of `iterations` and `save_every`. Weights go to
FOLDER/ITERATION as Hugging Face folders, the prompts of all iterations to FOLDER/prompts.json: text, token IDs, and the
task row with the reward tests of that iteration. Prints the seconds of each iteration, of wall and of processor time;
saving does not count. Validation is off.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cli.config.cli import build_run
from datamodules.batches import PromptBatch
from datamodules.rl_data import RLDataModule
from lightning_modules.rl_module import RLModule


class Curve(Callback):
    """Measures each iteration and saves weights after some of them."""

    def __init__(self, folder: Path, save_every: int) -> None:
        self.folder = folder
        self.save_every = save_every
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []
        self._started = (0.0, 0.0)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, RLModule)
        self.wall_s.append(time.perf_counter() - self._started[0])
        self.cpu_s.append(time.process_time() - self._started[1])
        if len(self.wall_s) % self.save_every == 0:
            pl_module.policy.causal_lm.save_pretrained(self.folder / str(len(self.wall_s)))


def record_prompts(data: RLDataModule) -> list[dict[str, Any]]:
    """Make `data` append the prompts of each iteration to the returned list, one entry a group."""
    recorded: list[dict[str, Any]] = []
    draw = data.prompts_for

    def prompts_for(iteration: int, attempt: int = 0) -> PromptBatch:
        batch = draw(iteration, attempt)
        for prompt in batch.prompts[:: batch.samples_per_prompt]:
            recorded.append({"prompt_ids": prompt.prompt_ids, "task": json.dumps(dict(prompt.row))})
        return batch

    data.prompts_for = prompts_for  # pyright: ignore[reportAttributeAccessIssue]
    return recorded


def main(folder: str, settings: str) -> None:
    options = json.loads(settings)
    overrides = {**options["overrides"], "trainer.max_epochs": options["iterations"], "trainer.limit_val_batches": 0}
    run = build_run("fit", options["configs"], overrides)
    curve, recorded = Curve(Path(folder), options["save_every"]), record_prompts(run.datamodule)
    run.trainer.callbacks.append(curve)  # pyright: ignore[reportAttributeAccessIssue]
    run.run()
    for row in recorded:
        row["prompt"] = run.model.tokenizer.decode(row["prompt_ids"], clean_up_tokenization_spaces=False)
    Path(folder, "prompts.json").write_text(json.dumps(recorded), encoding="utf-8")
    print("\n" + json.dumps({"wall_s": curve.wall_s, "cpu_s": curve.cpu_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
