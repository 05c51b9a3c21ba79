"""Makes one arm, in a process of its own: `python -m cli.study.arm SPEC.json`.

Trains through `atomforge fit`, asks the model the tasks of every split, and writes `result.json`. Killed and started
again it goes on: the training from its newest checkpoint, the evaluation from the start.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.config.ranks import set_parent_death_signal
from cli.study.budget import budget_of
from cli.study.results import FILE_NAME, ArmResult
from executor.commands.io import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from lightning_modules.evaluation.records import Evaluation

TIMES = "seconds.json"
NOTE_EVERY_S = 30.0
STARTED_BY = "ATOMFORGE_STUDY"
"""Environment variable with the process that an arm must not outlive: two must never work on one."""


def main() -> int:
    """Make the arm that the specification names; exit code as of the training."""
    from cli.main import dispatch

    if STARTED_BY in os.environ:
        set_parent_death_signal(int(os.environ[STARTED_BY]))
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(spec["folder"])
    with time_kept(folder):
        if not _is_trained(folder):
            code = dispatch(fit_arguments(spec))
            if code != 0:
                return code
        causal_lm, tokenizer = _load(spec)
        evaluation = _evaluate(spec, causal_lm, tokenizer)
    run, config = folder / "run", yaml.safe_load((folder / "run" / "config.yaml").read_text(encoding="utf-8"))
    curves = read_curves(run)
    result = ArmResult(
        **{name: spec[name] for name in ("stage", "seed", "address", "kind", "parent", "versions")},
        config=config,
        minutes=round(_seconds(folder) / 60, 2),
        curves=curves,
        budget=budget_of(spec["kind"], config, run=run, curves=curves, causal_lm=causal_lm),
        evaluation=evaluation,
    )
    result.write(folder / FILE_NAME)
    _remove_checkpoints(run / "checkpoints")
    return 0


@contextmanager
def time_kept(folder: Path) -> Iterator[None]:
    """Add the seconds inside to those of earlier starts, every half minute too: an arm may be killed at any time."""
    before, started, over = _seconds(folder), time.monotonic(), threading.Event()

    def note() -> None:
        write_json(folder / TIMES, before + time.monotonic() - started)

    def keep_noting() -> None:
        while not over.wait(NOTE_EVERY_S):
            note()

    noting = threading.Thread(target=keep_noting, daemon=True)
    noting.start()
    try:
        yield
    finally:
        over.set()
        noting.join()
        note()


def fit_arguments(spec: Mapping[str, Any]) -> list[str]:
    """Spell the `atomforge fit` of an arm."""
    seed = str(spec["seed"])
    arguments = ["fit", *(word for layer in spec["layers"] for word in ("--config", layer))]
    for name, value in spec["overrides"].items():
        arguments += [f"--{name}", json.dumps(value)]
    arguments += ["--run_dir", str(Path(spec["folder"]) / "run"), "--seed_everything", seed]
    arguments += ["--data.init_args.data_dir", spec["data_dir"], "--data.init_args.seed", seed]
    arguments += ["--model.init_args.seed", seed, "--model.init_args.executor_backend", spec["backend"]]
    if spec["parent_run"] is not None:
        arguments += ["--model.init_args.init_from", spec["parent_run"]]
    if spec["num_threads"] is not None:
        arguments += ["--num_threads", str(spec["num_threads"])]
    return [*arguments, "--ckpt_path", "last"]


def read_curves(run: Path) -> dict[str, list[list[float]]]:
    """Read the scalars of a run, by tag: [[step, value], ...]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [[point.step, point.value] for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def _load(spec: Mapping[str, Any]) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    import torch

    from lightning_modules.models.loading import load_policy
    from lightning_modules.training.run_record import read_record

    run = Path(spec["folder"]) / "run"
    record = read_record(run)
    if record is not None and record.num_threads is not None:
        torch.set_num_threads(record.num_threads)
    causal_lm, tokenizer = load_policy(run)
    torch.nn.Module.to(causal_lm, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return causal_lm, tokenizer


def _evaluate(
    spec: Mapping[str, Any], causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> dict[str, Evaluation]:
    import torch

    from datamodules.eval_data import build_task_prompts, get_split, load_dataset
    from executor.api import open_executor
    from executor.commands.progress import CountProgress
    from lightning_modules.evaluation.evaluate import evaluate

    asked = spec["measurement"]
    dataset = load_dataset(spec["data_dir"])
    found: dict[str, Evaluation] = {}
    with open_executor(spec["backend"]) as executor:
        for split, (num_tasks, num_samples) in asked["splits"].items():
            prompts = build_task_prompts(get_split(dataset, split, data_dir=spec["data_dir"]), tokenizer, num_tasks)
            total = len(prompts) * (1 + num_samples)
            with CountProgress(f"{split}: completions judged", total) as progress:
                found[split] = evaluate(
                    causal_lm,
                    tokenizer,
                    prompts,
                    executor,
                    num_samples=num_samples,
                    temperature=asked["temperature"],
                    max_new_tokens=asked["max_new_tokens"],
                    seed=spec["seed"],
                    batch_size=asked["batch_size"],
                    dtype=getattr(torch, asked["dtype"]),
                    on_judged=lambda *_, shown=progress: shown.advance(1),
                )
    return found


def _is_trained(folder: Path) -> bool:
    return (folder / "run" / "checkpoints" / "final.ckpt").exists()


def _remove_checkpoints(checkpoints: Path) -> None:
    """Keep the final model alone, which other arms start from; one that was saved in shards is a folder."""
    final = checkpoints / "final.ckpt"
    for checkpoint in checkpoints.glob("epoch_*.ckpt"):
        if final.samefile(checkpoint):
            continue
        if checkpoint.is_dir():
            shutil.rmtree(checkpoint)
        else:
            checkpoint.unlink()


def _seconds(folder: Path) -> float:
    path = folder / TIMES
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0


if __name__ == "__main__":
    from executor.commands.errors import explain

    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(f"atomforge: error: {line}", file=sys.stderr)
        sys.exit(2)
