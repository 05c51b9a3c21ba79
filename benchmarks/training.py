"""Measures steps and tokens per second of the trainers, of TRL 1.9 and of a plain torch loop; prints Markdown tables.

    python -m venv trl-env && trl-env/bin/pip install torch==2.13.0 trl==1.9.0 transformers==5.23.0 requests
    python -m benchmarks.training --trl-python trl-env/bin/python [--rounds 3] [--only "NAME;NAME"] [--output FILE.json]

Seconds of a step and tokens per second of a contestant are medians over its steps after the first two; one thread a
rank. The tables give median, least and greatest over the rounds; ratios are taken within a round. Nothing else should
run on the machine. Without --trl-python TRL is left out. A step of SFT has 40 samples, about 16 rows of 256 tokens (as
TRL packs them); one of RL 32 completions of 64 tokens. Model and data: `benchmarks/trainers/inputs.py`.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.rounds import ROOT, Round, build_table, format_spread, run_json, run_rounds
from lightning_modules.training.flops import measured_gemm_flops_per_s

TIMEOUT_S = 900
NUM_WARM_UP_STEPS = 2
SFT_STEPS, RL_STEPS, GENERATE_STEPS = 3, 3, 3
PARTS = ("generate", "score", "execute", "update")


class Goal(NamedTuple):
    """A ratio of two contestants in a round, above 1 where the first is faster, and what it should reach."""

    label: str
    contestant: str
    baseline: str
    number: str
    """`tokens_per_s` or `step_s`."""
    min_ratio: float | None = None


SFT, PPO, GRPO = "sft: atomforge shipped", "ppo: atomforge shipped", "grpo: atomforge shipped"
GOALS = (
    Goal("SFT tokens/s, over TRL with packing", SFT, "sft: trl packing fp32", "tokens_per_s", 6.0),
    Goal("... TRL in bf16", SFT, "sft: trl packing bf16", "tokens_per_s"),
    Goal("SFT tokens/s, over TRL without packing", SFT, "sft: trl fp32", "tokens_per_s", 3.0),
    Goal("... TRL in bf16", SFT, "sft: trl bf16", "tokens_per_s"),
    Goal("SFT tokens/s, over the packed bf16 loop", SFT, "sft: torch loop, packed bf16", "tokens_per_s", 0.95),
    Goal("SFT matched (fp32), over TRL without packing", "sft: atomforge matched", "sft: trl fp32", "tokens_per_s"),
    Goal("PPO step, time of TRL over atomforge", PPO, "ppo: trl fp32", "step_s", 3.0),
    Goal("... TRL in bf16", PPO, "ppo: trl bf16", "step_s"),
    Goal("PPO matched (fp32, separate critic)", "ppo: atomforge matched", "ppo: trl fp32", "step_s"),
    Goal("GRPO step, time of TRL over atomforge", GRPO, "grpo: trl fp32", "step_s", 2.0),
    Goal("... TRL in bf16", GRPO, "grpo: trl bf16", "step_s"),
    Goal("GRPO matched (fp32)", "grpo: atomforge matched", "grpo: trl fp32", "step_s"),
    Goal("rollouts fp32, over generate", "rollout: atomforge fp32", "rollout: transformers", "tokens_per_s", 1.6),
    Goal("rollouts bf16, over generate", "rollout: atomforge bf16", "rollout: transformers", "tokens_per_s"),
    # tokens/s are those of one rank, so 0.8 is 1.6 times the samples
    Goal("SFT tokens/s of a rank, two ranks over one", f"{SFT}, two ranks", SFT, "tokens_per_s", 0.8),
)
EXECUTE_SHARE = ("ppo: atomforge shipped, real executor", 0.03)
"""Contestant, and the largest share of an iteration that it should wait for the executor."""


def build_commands(folder: str, trl_python: str | None) -> dict[str, list[str]]:
    """Build the command of each contestant."""
    baselines = [sys.executable, "-m", "benchmarks.trainers.baselines", folder]
    atomforge = [sys.executable, "-m", "benchmarks.trainers.atomforge_trainers", folder]
    commands = {
        "sft: torch loop, packed bf16": [*baselines, "torch_loop", str(SFT_STEPS)],
        "rollout: transformers": [*baselines, "transformers", str(GENERATE_STEPS)],
        "rollout: atomforge fp32": [*baselines, "atomforge", str(GENERATE_STEPS)],
        "rollout: atomforge bf16": [*baselines, "atomforge_bf16", str(GENERATE_STEPS)],
    }
    for mode in ("shipped", "matched"):
        for algorithm, steps in (("sft", SFT_STEPS), ("ppo", RL_STEPS), ("grpo", RL_STEPS)):
            commands[f"{algorithm}: atomforge {mode}"] = [*atomforge, algorithm, mode, str(steps)]
    commands[EXECUTE_SHARE[0]] = [*atomforge, "ppo", "shipped", str(RL_STEPS), "real"]
    for algorithm, steps in (("sft", SFT_STEPS), ("ppo", RL_STEPS)):
        commands[f"{algorithm}: atomforge shipped, two ranks"] = [*atomforge, algorithm, "shipped", str(steps), "2"]
    trl_runs = {"sft_packed": ("sft: trl packing", 5), "sft": ("sft: trl", SFT_STEPS), "grpo": ("grpo: trl", RL_STEPS),
                "ppo": ("ppo: trl", RL_STEPS)}  # fmt: skip
    for dtype, suffix in (("float32", "fp32"), ("bfloat16", "bf16")) if trl_python is not None else ():
        for trainer, (label, steps) in trl_runs.items():
            script = str(ROOT / "benchmarks" / "trainers" / "trl_trainers.py")
            commands[f"{label} {suffix}"] = [str(trl_python), script, folder, trainer, str(steps), dtype]
    return commands


def reduce_steps(printed: dict) -> dict[str, float]:
    """Reduce the steps that a contestant printed to `step_s`, `tokens_per_s`, and shares of an RL iteration."""
    steps_s, tokens = printed["steps_s"][NUM_WARM_UP_STEPS:], printed["tokens"][NUM_WARM_UP_STEPS:]
    numbers = {"step_s": median(steps_s)}
    if tokens:
        numbers["tokens_per_s"] = median(n / s for n, s in zip(tokens, steps_s, strict=False))
    parts = printed.get("parts_s", [])[NUM_WARM_UP_STEPS:]
    for part in parts[0] if parts else ():
        numbers[f"share_{part}"] = median(p[part] / s for p, s in zip(parts, steps_s, strict=False))
    return numbers


def print_tables(rounds: Sequence[Round], goals: Sequence[Goal]) -> None:
    """Print a row for each contestant, then one for each ratio of two contestants that both ran."""
    rows = []
    for name in dict.fromkeys(name for found in rounds for name in found):
        runs = [found[name] for found in rounds if name in found]
        shares = [f"{median(run[f'share_{part}'] for run in runs):.2f}" for part in PARTS if f"share_{part}" in runs[0]]
        tokens = format_spread([run["tokens_per_s"] for run in runs]) if "tokens_per_s" in runs[0] else ""
        rows.append([name, format_spread([run["step_s"] for run in runs], 2), tokens, " / ".join(shares)])
    print(build_table(["contestant", "step, s", "tokens/s", " / ".join(PARTS)], rows))
    rows = []
    for goal in goals:
        ratios = [compute_ratio(goal, found) for found in rounds if goal.contestant in found and goal.baseline in found]
        if ratios:
            met = "" if goal.min_ratio is None else "met" if median(ratios) >= goal.min_ratio else "**not met**"
            rows.append([goal.label, format_spread(ratios, 2), str(goal.min_ratio or ""), met])
    name, max_share = EXECUTE_SHARE
    if shares := [found[name]["share_execute"] for found in rounds if name in found]:
        met = "met" if median(shares) <= max_share else "**not met**"
        rows.append(["share of executor waits in PPO", format_spread(shares, 4), f"at most {max_share}", met])
    print(build_table(["ratio", "median (least-greatest)", "goal", ""], rows))


def compute_ratio(goal: Goal, found: Round) -> float:
    number, baseline = found[goal.contestant][goal.number], found[goal.baseline][goal.number]
    return baseline / number if goal.number == "step_s" else number / baseline


def main() -> int:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trl-python", default=None, help="python of an environment with trl 1.9")
    parser.add_argument("--only", default=None, help="names of contestants, separated by semicolons")
    parser.add_argument(
        "--folder", default=None, help="folder for model and data, reused if filled (default: temporary)"
    )
    parser.add_argument("--output", type=Path, default=None, help="JSON file for all numbers")
    args = parser.parse_args()
    folder = os.path.abspath(args.folder or tempfile.mkdtemp())
    commands = build_commands(folder, args.trl_python)
    names = list(commands) if args.only is None else args.only.split(";")
    if unknown := [name for name in names if name not in commands]:
        parser.error(f"--only {unknown[0]!r}: contestants are {'; '.join(commands)}")
    run_json([sys.executable, "-m", "benchmarks.trainers.inputs", folder], timeout_s=TIMEOUT_S)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    selected = {name: commands[name] for name in names}
    printed = run_rounds(selected, args.rounds, timeout_s=TIMEOUT_S, environment=environment)
    rounds = [{name: reduce_steps(steps) for name, steps in found.items()} for found in printed]
    if args.output is not None:
        args.output.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
    torch.set_num_threads(1)
    fp32, bf16 = (measured_gemm_flops_per_s(dtype) / 1e9 for dtype in (torch.float32, torch.bfloat16))
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread a rank; gemm of 1024^3: {fp32:.0f} GFLOP/s in "
          f"float32, {bf16:.0f} in bfloat16\n")  # fmt: skip
    print_tables(rounds, GOALS)
    return 0 if len(rounds) == args.rounds and all(len(found) == len(names) for found in rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
