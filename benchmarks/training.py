"""How fast the trainers are, beside TRL 1.9 and a plain torch loop; prints Markdown tables.

    python -m venv trl-env && trl-env/bin/pip install torch==2.13.0 trl==1.9.0 transformers==5.23.0 requests
    python benchmarks/training.py --trl-python trl-env/bin/python [--rounds 3] [--only "NAME;NAME"] [--output FILE.json]

In each round every contestant runs once, in a process of its own with one thread a rank, so that all share the good
and bad minutes of the machine; ratios are taken within a round. A contestant's number is the median over its steps
but the first. Medians, least and greatest over the rounds. The machine should do nothing else. Without --trl-python
those of TRL are left out. A step of SFT holds 40 samples, about 16 rows of 256 tokens (what TRL packs); one of
reinforcement learning 32 completions of 64 tokens. Model and data: `benchmarks/trainers/material.py`.
"""

# ruff: noqa: E402

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
import torch

from benchmarks.trainers.table import GOALS, print_tables
from lightning_modules.training.device_peaks import measured_gemm_flops_per_s

TIMEOUT_S = 900
WARM_UP = 2
"""Steps at the start that do not count."""
SFT_STEPS, RL_STEPS, ROLLOUTS = 8, 6, 5


def commands(folder: str, trl_python: str | None) -> dict[str, list[str]]:
    """Name the contestants and what starts them."""
    us = [sys.executable, "-m"]
    found = {
        "sft: torch loop, packed bf16": [*us, "benchmarks.trainers.raw", folder, "packed", str(SFT_STEPS)],
        "sft: torch loop, padded fp32": [*us, "benchmarks.trainers.raw", folder, "padded", str(SFT_STEPS)],
        "rollout: transformers generate": [*us, "benchmarks.trainers.rollouts", folder, "transformers", "sampled",
                                           str(ROLLOUTS)],
        "rollout: ours fp32": [*us, "benchmarks.trainers.rollouts", folder, "ours", "sampled", str(ROLLOUTS)],
        "rollout: ours bf16": [*us, "benchmarks.trainers.rollouts", folder, "ours_bf16", "sampled", str(ROLLOUTS)],
    }  # fmt: skip
    for mode in ("shipped", "matched"):
        for what, steps in (("sft", SFT_STEPS), ("ppo", RL_STEPS), ("grpo", RL_STEPS)):
            found[f"{what}: ours {mode}"] = [*us, "benchmarks.trainers.ours", folder, what, mode, str(steps)]
    found["ppo: ours shipped, real executor"] = [*us, "benchmarks.trainers.ours", folder, "ppo", "shipped",
                                                 str(RL_STEPS), "real"]  # fmt: skip
    found["sft: ours shipped, two ranks"] = [*us, "benchmarks.trainers.ours", folder, "sft", "shipped",
                                             str(SFT_STEPS), "2"]  # fmt: skip
    if trl_python is not None:
        others = str(ROOT / "benchmarks" / "trainers" / "others.py")
        for dtype, name in (("float32", "fp32"), ("bfloat16", "bf16")):
            for what, label in (("sft_packed", "sft: trl packing"), ("sft", "sft: trl"), ("grpo", "grpo: trl"),
                                ("ppo", "ppo: trl")):  # fmt: skip
                steps = 5 if what == "sft_packed" else SFT_STEPS if what == "sft" else RL_STEPS
                found[f"{label} {name}"] = [trl_python, others, folder, what, str(steps), dtype]
    return found


def run(command: list[str]) -> dict[str, float] | None:
    """Run a contestant; None where it failed, with its last words on stderr."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return numbers_of(json.loads(lines[-1]))
    except (subprocess.TimeoutExpired, IndexError) as error:
        print(f"failed: {' '.join(command)}: {type(error).__name__}", file=sys.stderr)
        if isinstance(error, IndexError):
            print("\n".join(done.stderr.splitlines()[-5:]), file=sys.stderr)
        return None


def numbers_of(found: dict) -> dict[str, float]:
    """Reduce the steps of one run to `step_s`, `tokens_per_s`, and the shares of an iteration."""
    steps_s, tokens = found["steps_s"][WARM_UP:], found["tokens"][WARM_UP:]
    numbers = {"step_s": median(steps_s)}
    if tokens:
        numbers["tokens_per_s"] = median(n / s for n, s in zip(tokens, steps_s, strict=False))
    parts = found.get("parts_s", [])[WARM_UP:]
    for part in parts[0] if parts else ():
        numbers[f"share_{part}"] = median(p[part] / s for p, s in zip(parts, steps_s, strict=False))
    return numbers


def greedy_rows_equal(folder: str) -> bool:
    """Whether our loop and `generate` write the same greedy completions."""
    rows = []
    for who in ("transformers", "ours"):
        command = [sys.executable, "-m", "benchmarks.trainers.rollouts", folder, who, "greedy", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1])["rows"])
    return rows[0] == rows[1]


def gemm_speeds() -> str:
    """Say what a product of matrices reaches here: what bfloat16 can gain differs from processor to processor."""
    torch.set_num_threads(1)
    fp32, bf16 = (measured_gemm_flops_per_s(dtype) / 1e9 for dtype in (torch.float32, torch.bfloat16))
    return f"gemm of 1024^3: {fp32:.0f} GFLOP/s in float32, {bf16:.0f} in bfloat16"


def main() -> int:
    """Run the rounds, print what was finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trl-python", default=None, help="python of an environment with trl 1.9")
    parser.add_argument("--only", default=None, help="names of contestants, with semicolons between")
    parser.add_argument("--folder", default=None, help="where model and data are made and kept (a temporary one)")
    parser.add_argument("--output", type=Path, default=None, help="JSON file for all numbers")
    args = parser.parse_args()
    folder = args.folder or tempfile.mkdtemp()
    subprocess.run([sys.executable, "-m", "benchmarks.trainers.material", folder], cwd=ROOT, check=True)
    contestants = commands(folder, args.trl_python)
    names = list(contestants) if args.only is None else args.only.split(";")
    if unknown := [name for name in names if name not in contestants]:
        parser.error(f"no contestant {unknown[0]!r}; there are: {'; '.join(contestants)}")
    rounds: list[dict[str, dict[str, float]]] = []
    try:
        for number in range(1, args.rounds + 1):
            rounds.append({})
            for name in names:
                print(f"round {number}: {name}", file=sys.stderr)
                if (found := run(contestants[name])) is not None:
                    rounds[-1][name] = found
                if args.output is not None:
                    args.output.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    print(f"{platform.machine()}, {os.cpu_count()} cores, one thread a rank; {gemm_speeds()}\n")
    print_tables(rounds, GOALS)
    if any(name.startswith("rollout") for name in names):
        print(f"\nGreedy completions of our loop and of `generate` are identical: {greedy_rows_equal(folder)}")
    return 0 if len(rounds) == args.rounds and all(len(found) == len(names) for found in rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
