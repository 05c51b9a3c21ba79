"""`atomforge demo`: the whole way at small size, stage by stage, each stage the command a user would type.

Data, SFT, PPO, and the evaluation of the untrained model, the SFT model and the PPO model. A stage whose result is on
disk is skipped, an interrupted one goes on where it was. It tunes nothing: sizes and learning rates are in the YAML.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from cli.config.files import read_yaml
from executor.api import BACKENDS
from executor.commands.errors import UsageError, did_you_mean
from executor.commands.io import write_json

_GIVEN = ("output", "seed", "data", "backend")
"""Keys of the file that are options, too."""
MODELS = ("untrained", "sft", "ppo")
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "str | None": (str, type(None)),
}


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What the models are asked: `num_tasks` by split, evenly spread; the rest as in `atomforge evaluate`.

    The untrained model rambles to the limit on every task, so it is asked at most `max_tasks_untrained` of a split.
    `dtype` is that of the weights while decoding; `auto` is bfloat16 where that is faster here, else float32.
    """

    num_tasks: dict[str, int]
    max_tasks_untrained: int = 50
    num_samples: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 384
    batch_size: int = 256
    dtype: str = "auto"


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The stages: a synthesis YAML, the YAML layers of both `fit` runs, and the evaluation.

    `seed` is that of training and sampling; the data's own is in the synthesis YAML. `data` names a directory with
    a data set to use instead of a new one under `output`.
    """

    output: str
    synthesis: str
    sft: list[str]
    ppo: list[str]
    evaluation: EvaluationPlan
    seed: int = 0
    data: str | None = None
    backend: str = "auto"

    def num_tasks(self, model: str, split: str) -> int:
        """How many tasks of a split a model is asked."""
        wanted = self.evaluation.num_tasks[split]
        return min(wanted, self.evaluation.max_tasks_untrained) if model == "untrained" else wanted

    @property
    def data_dir(self) -> Path:
        return Path(self.data) if self.data else Path(self.output) / "data"


@dataclass
class Clock:
    """Seconds spent in each stage, kept in `output/times.json` over interruptions."""

    path: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def measure(self, stage: str, work: Callable[[], None]) -> None:
        """Run `work`, adding its time to `stage` even when it is interrupted."""
        started = time.monotonic()
        try:
            work()
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - started, 1)
            write_json(self.path, self.seconds)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole way at small size: data, SFT, PPO, evaluation",
        description="Build data, train by SFT and PPO, grade both on held-out tasks, print one table.",
    )
    parser.add_argument("--config", required=True, help="YAML file, e.g. configs/demo.yaml")
    parser.add_argument("--output", default=None, help="directory for everything (the file's `output`)")
    parser.add_argument("--seed", type=int, default=None, help="seed of training and sampling (the file's `seed`)")
    parser.add_argument("--data", default=None, help="use this data set instead of building one")
    parser.add_argument(
        "--backend", default=None, help=f"where programs run: {', '.join(BACKENDS)} (the file's `backend`)"
    )


def run(args: argparse.Namespace) -> int:
    """Run what is not finished yet, then print the table.

    Raises:
        ValueError: the config is wrong, or `output` holds a demo of another config; one line.
    """
    config = load_config(args.config)
    given = {name: getattr(args, name) for name in _GIVEN if getattr(args, name) is not None}
    config = replace(config, **given)
    claim_output(config)
    clock = _clock(Path(config.output) / "times.json")
    try:
        if config.data is None:
            _stage(clock, "data", _synthesize_arguments(config))
        for name in ("sft", "ppo"):
            if not (Path(config.output) / name / "checkpoints" / "final.ckpt").exists():
                _stage(clock, name, fit_arguments(config, name))
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # the stage's own advice does not fit: this command goes on by itself
    from cli.evaluation.demo_evaluation import evaluate_models
    from cli.evaluation.demo_table import print_report

    clock.measure("evaluation", lambda: evaluate_models(config))
    print_report(config, clock.seconds)
    return 0


def load_config(path: str) -> DemoConfig:
    """Read and check the YAML of a demo.

    Raises:
        UsageError: a key is unknown, missing or of the wrong type; one line naming file and key.
    """
    raw = read_yaml(path)
    plan = raw.get("evaluation", {})
    _check_keys(path, "", raw, DemoConfig)
    if not isinstance(plan, dict):
        raise UsageError(f"{path}: evaluation must be a mapping")
    _check_keys(path, "evaluation.", plan, EvaluationPlan)
    tasks = plan["num_tasks"]
    if not isinstance(tasks, dict) or not all(isinstance(n, int) and n > 0 for n in tasks.values()):
        raise UsageError(f"{path}: evaluation.num_tasks must map names of splits to whole numbers above 0")
    for name in ("sft", "ppo"):
        if not isinstance(raw[name], list) or not all(isinstance(layer, str) for layer in raw[name]):
            raise UsageError(f"{path}: {name} must be a list of YAML files")
    return DemoConfig(**{**raw, "evaluation": EvaluationPlan(**plan)})


def claim_output(config: DemoConfig) -> None:
    """Write the config into `output`, or see that the one there is the same; where programs run may change.

    Raises:
        UsageError: it is another one.
    """
    path = Path(config.output) / "demo.json"
    mine = asdict(config)
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in mine if name != "backend" and mine[name] != theirs.get(name)]
        if changed:
            raise UsageError(
                f"{config.output} holds a demo with other values of {', '.join(changed)}: give another --output, "
                "or delete it"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, mine)


def fit_arguments(config: DemoConfig, name: str) -> list[str]:
    """Spell the `atomforge fit` command of a stage; it starts anew or goes on, whichever it is."""
    layers = {"sft": config.sft, "ppo": config.ppo}[name]
    arguments = ["fit", *(word for layer in layers for word in ("--config", layer))]
    arguments += ["--run_dir", f"{config.output}/{name}", "--seed_everything", str(config.seed)]
    arguments += ["--data.init_args.data_dir", str(config.data_dir), "--data.init_args.seed", str(config.seed)]
    arguments += ["--model.init_args.seed", str(config.seed), "--model.init_args.executor_backend", config.backend]
    if name == "ppo":
        arguments += ["--model.init_args.init_from", f"{config.output}/sft"]
    return [*arguments, "--ckpt_path", "last"]


def _synthesize_arguments(config: DemoConfig) -> list[str]:
    return ["synthesize", "--config", config.synthesis, "--output", str(config.data_dir), "--backend", config.backend]


def _stage(clock: Clock, name: str, arguments: list[str]) -> None:
    from cli.main import dispatch

    print(f"\n$ atomforge {shlex.join(arguments)}", flush=True)
    code = 0

    def work() -> None:
        nonlocal code
        code = dispatch(arguments)

    clock.measure(name, work)
    if code != 0:
        raise UsageError(f"the stage {name} of the demo ended with exit code {code}; its own message is above")


def _clock(path: Path) -> Clock:
    return Clock(path, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})


def _check_keys(path: str, prefix: str, given: dict[str, Any], record: type) -> None:
    known = {item.name: item for item in fields(record)}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"{path}: unknown key {prefix}{key}{did_you_mean(key, known)}")
        wanted = _TYPES.get(str(known[key].type))
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise UsageError(f"{path}: {prefix}{key} is {yaml.safe_dump(value).split()[0]}, want {known[key].type}")
    required = {"output", "synthesis", "sft", "ppo", "evaluation", "num_tasks"}
    if missing := [key for key in known if key in required and key not in given]:
        raise UsageError(f"{path}: the key {prefix}{missing[0]} is missing")
