"""From what the ranks of a measured run wrote to one point. It runs nothing.

Other programs may take the cores for a while, so parts are counted in processor seconds: a part has the share of its
iteration's processor seconds that it has of its wall time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.cost.fit import Point
from benchmarks.cost.layout import Layout, RunSizes, Strategy
from benchmarks.cost.sizes import ModelSizes, sizes_of
from lightning_modules.models.tiny_llama import TinyLlamaConfig

VOCAB_SIZE = 2000
NEW_TOKENS = 48
SAMPLES_PER_PROMPT = 4
MINIBATCH_SIZE = 32
TINY = sizes_of(TinyLlamaConfig(), name="tiny", vocab_size=VOCAB_SIZE)


@dataclass(frozen=True)
class Setting:
    """What is run."""

    strategy: Strategy
    num_ranks: int
    num_prompts: int
    is_fitted: bool
    """Else it is kept out of the fit."""


def point_of(setting: Setting, ranks: Sequence[Sequence[dict[str, float]]], *, model: ModelSizes = TINY) -> Point:
    """Take the mean over ranks and iterations.

    Args:
        setting: what was run.
        ranks: for each rank its iterations, as `benchmarks.cost.measure` writes them.
        model: of the policy.
    """
    every = [iteration for rank in ranks for iteration in rank]

    def mean(name: str) -> float:
        return fmean(iteration[name] for iteration in every)

    def cpu_mean(name: str) -> float:
        return fmean(iteration[name] * iteration["cpu"] / iteration["wall"] for iteration in every)

    parts = {part: cpu_mean(part) for part in ("generate", "score", "update")}
    num_samples = setting.num_prompts * SAMPLES_PER_PROMPT
    run = RunSizes(
        prompts_per_iteration=setting.num_prompts,
        samples_per_prompt=SAMPLES_PER_PROMPT,
        minibatch_size=min(MINIBATCH_SIZE, num_samples),
        prompt_tokens=round(mean("prompt_tokens")),
        response_tokens=round(mean("response_tokens")),
        longest_response=round(max(iteration["longest_response"] for iteration in every)),
    )
    return Point(
        model=model,
        run=run,
        layout=Layout(num_nodes=1, gpus_per_node=setting.num_ranks, strategy=setting.strategy),
        is_fitted=setting.is_fitted,
        generate_s=parts["generate"],
        score_s=parts["score"],
        update_s=parts["update"],
        other_s=mean("cpu") - sum(parts.values()),
        wall_s=median(iteration["wall"] for iteration in every),
        rank_spread=fmean(_excess(list(iterations)) for iterations in zip(*ranks, strict=True)),
    )


def _excess(iterations: list[dict[str, float]]) -> float:
    """Longest processor time to answer and read over the mean of the ranks, less 1."""
    seconds = [(one["generate"] + one["score"]) * one["cpu"] / one["wall"] for one in iterations]
    return max(seconds) / fmean(seconds) - 1
