"""Compares GRPO of this project with that of TRL 1.16: held-out pass@1 against completions and against seconds.

    .venv/bin/python tests/integrations/run.py trl    # makes the environment of TRL
    python -m benchmarks.learning --data DIR --checkpoint RUN --output DIR [--iterations 20] [--threads 1]

`--data` and `--checkpoint` are a data set of `configs/synthesis_compose.yaml` and a run of SFT on it. Ours trains by
`configs/experiments/tiny_rl.yaml`; TRL gets its checkpoint, prompts, reward tests, executor, batch (32 prompts x 16
completions, one update), optimizer and float32, at three learning rates. Every 10 iterations the weights are saved
outside the clock; afterwards both are graded alike: one greedy completion of each of 200 tasks of synthetic_val.

Prints Markdown tables and writes all numbers to OUTPUT/learning.json. On a machine that others use, compare the
seconds of processor time; they leave out the sandboxes. `--smoke` runs 2 iterations of 4 x 4 completions.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.rounds import ROOT, build_table, run_json

TRL_PYTHON = ROOT / ".cache" / "integrations" / "trl" / "bin" / "python"
TIMEOUT_S = 7200
CONFIGS = ["rl", "experiments/tiny_rl"]
TRL_LEARNING_RATES = (3e-4, 1e-4, 1e-3)
MAX_NEW_TOKENS = 64
OURS = "atomforge"


class Sizes(NamedTuple):
    """Sizes of a run."""

    num_prompts: int = 32
    samples_per_prompt: int = 16
    num_val_tasks: int = 200
    save_every: int = 10
    """Iterations between evaluations."""

    @property
    def num_completions(self) -> int:
        """Completions of an iteration."""
        return self.num_prompts * self.samples_per_prompt


SMOKE = Sizes(num_prompts=4, samples_per_prompt=4, num_val_tasks=4, save_every=1)


class Point(NamedTuple):
    """A point of a learning curve."""

    trainer: str
    iteration: int
    completions: int
    wall_s: float
    """Of training since the start."""
    cpu_s: float
    """Processor time of the trainer's process in it."""
    pass_at_1: float
    """Greedy, on held-out tasks."""


def export_start(checkpoint: str, folder: Path) -> Any:
    """Write a checkpoint as a Hugging Face folder; returns its tokenizer."""
    from lightning_modules.models.loading import load_policy

    causal_lm, tokenizer = load_policy(checkpoint)
    causal_lm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def train_ours(folder: Path, args: argparse.Namespace, sizes: Sizes) -> dict[str, list[float]]:
    """Train with this project; returns the seconds of each iteration."""
    overrides = {
        "run_dir": str(folder / "run"),
        "num_threads": args.threads,
        "model.init_args.init_from": str(args.checkpoint),
        "data.init_args.data_dir": str(args.data),
        "data.init_args.prompts_per_iteration": sizes.num_prompts,
        "data.init_args.samples_per_prompt": sizes.samples_per_prompt,
        "data.init_args.minibatch_size": sizes.num_completions,
        "checkpoint.every_n_epochs": args.iterations,
    }
    options = {
        "configs": CONFIGS,
        "overrides": overrides,
        "iterations": args.iterations,
        "save_every": sizes.save_every,
    }
    command = [sys.executable, "-m", "benchmarks.trainers.learning_atomforge", str(folder), json.dumps(options)]
    return run_json(command, timeout_s=TIMEOUT_S, environment=build_environment(args.threads))


def train_trl(folder: Path, lr: float, args: argparse.Namespace, sizes: Sizes) -> dict[str, list[float]]:
    """Train with TRL; returns the seconds of each iteration."""
    options = {
        "start": str(args.output / "start"),
        "prompts": str(args.output / OURS / "prompts.json"),
        "samples_per_prompt": sizes.samples_per_prompt,
        "iterations": args.iterations,
        "save_every": sizes.save_every,
        "lr": lr,
        "warmup": 3,
        "max_new_tokens": MAX_NEW_TOKENS,
        "threads": args.threads,
    }
    script = str(ROOT / "benchmarks" / "trainers" / "learning_trl.py")
    command = [str(TRL_PYTHON), script, str(folder), json.dumps(options)]
    return run_json(command, timeout_s=TIMEOUT_S, environment=build_environment(args.threads))


def build_environment(threads: int) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(ROOT),
    }


def evaluate_weights(folder: Path, tokenizer: Any, args: argparse.Namespace, sizes: Sizes) -> float:
    """Grade one greedy completion of each held-out task; returns the fraction that passes."""
    import torch
    from transformers import AutoModelForCausalLM

    from cli.api import EvalConfig, Suite, evaluate

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    suite = Suite(data=str(args.data), split="synthetic_val", num_tasks=sizes.num_val_tasks)
    config = EvalConfig(num_samples=0, max_new_tokens=MAX_NEW_TOKENS)
    scores = evaluate((model, tokenizer), suite, config).greedy_scores()
    return sum(scores.values()) / len(scores)


def build_curve(
    trainer: str, seconds: Mapping[str, Sequence[float]], scores: Mapping[int, float], num_completions: int
) -> list[Point]:
    """Join times and scores.

    Args:
        trainer: its name.
        seconds: `wall_s` and `cpu_s` of each iteration.
        scores: pass@1 after some iterations; 0 is the checkpoint.
        num_completions: of an iteration.
    """
    return [
        Point(trainer, n, n * num_completions, sum(seconds["wall_s"][:n]), sum(seconds["cpu_s"][:n]), score)
        for n, score in sorted(scores.items())
    ]


def print_tables(curves: Mapping[str, Sequence[Point]]) -> None:
    """Print all points, then ours over the curve of TRL that ends highest."""
    points = [point for curve in curves.values() for point in curve]
    rows = [
        [p.trainer, str(p.iteration), str(p.completions), f"{p.wall_s:.0f}", f"{p.cpu_s:.0f}", f"{p.pass_at_1:.3f}"]
        for p in points
    ]
    print(build_table(["trainer", "iteration", "completions", "seconds", "processor seconds", "pass@1"], rows))
    others = [curve for name, curve in curves.items() if name != OURS]
    if not others:
        return
    best, ours = max(others, key=lambda curve: curve[-1].pass_at_1)[-1], curves[OURS][-1]
    rows = [
        ["completions/s", f"{best.wall_s / ours.wall_s:.2f}", "2.0"],
        ["completions/s of processor time", f"{best.cpu_s / ours.cpu_s:.2f}", "2.0"],
        ["pass@1 after as many completions, difference", f"{ours.pass_at_1 - best.pass_at_1:+.3f}", "0.0"],
    ]
    print(build_table([f"{OURS} over {best.trainer}", "measured", "goal: at least"], rows))


def main() -> int:
    """Train, evaluate, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data set of `atomforge synthesize`")
    parser.add_argument("--checkpoint", type=Path, required=True, help="run of SFT that both start from")
    parser.add_argument("--output", type=Path, required=True, help="directory for weights and learning.json")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of each trainer")
    parser.add_argument("--smoke", action="store_true", help="2 iterations of 4 x 4 completions, one learning rate")
    args = parser.parse_args()
    args.data, args.checkpoint, args.output = (path.resolve() for path in (args.data, args.checkpoint, args.output))
    sizes, learning_rates = (SMOKE, TRL_LEARNING_RATES[:1]) if args.smoke else (Sizes(), TRL_LEARNING_RATES)
    args.iterations = 2 if args.smoke else args.iterations
    if not TRL_PYTHON.exists():
        print(f"TRL is left out: no {TRL_PYTHON}; tests/integrations/run.py trl makes it", file=sys.stderr)
        learning_rates = ()
    args.output.mkdir(parents=True, exist_ok=True)
    tokenizer = export_start(str(args.checkpoint), args.output / "start")
    start_score = evaluate_weights(args.output / "start", tokenizer, args, sizes)
    curves = {}
    for name, lr in {OURS: None, **{f"TRL, lr {lr:g}": lr for lr in learning_rates}}.items():
        print(f"training: {name}", file=sys.stderr, flush=True)
        folder = args.output / (OURS if lr is None else f"trl_{lr:g}")
        seconds = train_ours(folder, args, sizes) if lr is None else train_trl(folder, lr, args, sizes)
        saved = range(sizes.save_every, args.iterations + 1, sizes.save_every)
        scores = {n: evaluate_weights(folder / str(n), tokenizer, args, sizes) for n in saved}
        curves[name] = build_curve(name, seconds, {0: start_score, **scores}, sizes.num_completions)
        content = {name: [point._asdict() for point in curve] for name, curve in curves.items()}
        (args.output / "learning.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print_tables(curves)
    return 0


if __name__ == "__main__":
    sys.exit(main())
