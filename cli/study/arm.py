"""Makes one arm, in a process of its own: `python -m cli.study.arm SPEC.json`.

Trains through `atomforge fit`, asks the model the tasks of every split, and writes `result.json`. Killed and started
again it goes on: the training from its newest checkpoint, the evaluation from the start.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.json_file import write_json
from cli.launched_rank import die_with
from cli.study.results import FILE_NAME, ArmResult

if TYPE_CHECKING:
    from lightning_modules.judged import Evaluation

TIMES = "seconds.json"
STARTED_BY = "ATOMFORGE_STUDY"
"""Environment variable with the process that an arm must not outlive: two must never work on one."""


def main() -> int:
    """Make the arm that the specification names; exit code as of the training."""
    from cli.main import dispatch

    if STARTED_BY in os.environ:
        die_with(int(os.environ[STARTED_BY]))
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(spec["folder"])
    started = time.monotonic()
    before = _seconds(folder)
    try:
        if not _is_trained(folder):
            code = dispatch(fit_arguments(spec))
            if code != 0:
                return code
        evaluation = _evaluate(spec)
    finally:
        write_json(folder / TIMES, before + time.monotonic() - started)
    result = ArmResult(
        **{name: spec[name] for name in ("stage", "seed", "address", "kind", "parent", "versions")},
        config=yaml.safe_load((folder / "run" / "config.yaml").read_text(encoding="utf-8")),
        minutes=round(_seconds(folder) / 60, 2),
        curves=read_curves(folder / "run"),
        evaluation=evaluation,
    )
    result.write(folder / FILE_NAME)
    for checkpoint in (folder / "run" / "checkpoints").glob("epoch_*.ckpt"):
        if not _is_linked(folder, checkpoint):
            checkpoint.unlink()
    return 0


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


def _evaluate(spec: Mapping[str, Any]) -> dict[str, Evaluation]:
    import torch

    from cli.count_progress import CountProgress
    from datamodules.eval_data import load_dataset, split_of, task_prompts
    from executor.client import open_executor
    from lightning_modules.evaluation import evaluate
    from lightning_modules.machine import has_fast_bf16
    from lightning_modules.model_loading import load_policy
    from lightning_modules.run_record import read_record

    run, asked = Path(spec["folder"]) / "run", spec["measurement"]
    record = read_record(run)
    if record is not None and record.num_threads is not None:
        torch.set_num_threads(record.num_threads)
    causal_lm, tokenizer = load_policy(run)
    torch.nn.Module.to(causal_lm, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    dataset = load_dataset(spec["data_dir"])
    found: dict[str, Evaluation] = {}
    with open_executor(spec["backend"]) as executor:
        for split, num_tasks in asked["splits"].items():
            prompts = task_prompts(split_of(dataset, split, data_dir=spec["data_dir"]), tokenizer, num_tasks)
            total = len(prompts) * (1 + asked["num_samples"])
            with CountProgress(f"{split}: completions judged", total) as progress:
                found[split] = evaluate(
                    causal_lm,
                    tokenizer,
                    prompts,
                    executor,
                    num_samples=asked["num_samples"],
                    temperature=asked["temperature"],
                    max_new_tokens=asked["max_new_tokens"],
                    seed=spec["seed"],
                    batch_size=asked["batch_size"],
                    dtype=torch.bfloat16 if has_fast_bf16() else None,
                    on_judged=lambda *_, shown=progress: shown.advance(1),
                )
    return found


def _is_trained(folder: Path) -> bool:
    return (folder / "run" / "checkpoints" / "final.ckpt").exists()


def _is_linked(folder: Path, checkpoint: Path) -> bool:
    """Whether the model that other arms start from is this very file."""
    return (folder / "run" / "checkpoints" / "final.ckpt").samefile(checkpoint)


def _seconds(folder: Path) -> float:
    path = folder / TIMES
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0


if __name__ == "__main__":
    from cli.errors import explain

    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(f"atomforge: error: {line}", file=sys.stderr)
        sys.exit(2)
