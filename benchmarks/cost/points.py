"""From what the ranks of a measured run wrote to one point: its fastest iteration. It runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cost.fit import Point
from benchmarks.cost.layout import Layout, RunSizes, Strategy
from benchmarks.cost.sizes import ModelSizes, sizes_of
from lightning_modules.architecture import Architecture

VOCAB_SIZE = 2000
NEW_TOKENS = 48
SAMPLES_PER_PROMPT = 4
MINIBATCH_SIZE = 32
TINY = sizes_of(Architecture(), name="tiny", vocab_size=VOCAB_SIZE)


@dataclass(frozen=True)
class Setting:
    """What is run."""

    strategy: Strategy
    num_ranks: int
    num_prompts: int
    is_fitted: bool
    """Else it is kept out of the fit."""


def point_of(setting: Setting, ranks: Sequence[Sequence[dict[str, float]]], *, model: ModelSizes = TINY) -> Point:
    """Take the iteration with the least wall time, the one that other work on the machine disturbed least.

    Args:
        setting: what was run.
        ranks: for each rank its iterations, as `benchmarks.cost.measure` writes them.
        model: of the policy.
    """
    best = min(range(len(ranks[0])), key=lambda i: ranks[0][i]["wall"])

    def mean(name: str) -> float:
        return sum(rank[best][name] for rank in ranks) / len(ranks)

    num_samples = setting.num_prompts * SAMPLES_PER_PROMPT
    run = RunSizes(
        prompts_per_iteration=setting.num_prompts,
        samples_per_prompt=SAMPLES_PER_PROMPT,
        minibatch_size=min(MINIBATCH_SIZE, num_samples),
        prompt_tokens=round(mean("prompt_tokens")),
        response_tokens=round(mean("response_tokens")),
        longest_response=round(max(rank[best]["longest_response"] for rank in ranks)),
    )
    return Point(
        model=model,
        run=run,
        layout=Layout(num_nodes=1, gpus_per_node=setting.num_ranks, strategy=setting.strategy),
        is_fitted=setting.is_fitted,
        generate_s=mean("generate"),
        score_s=mean("score"),
        update_s=mean("update"),
        wall_s=mean("wall"),
        rank_spread=sum(_excess(list(parts)) for parts in zip(*ranks, strict=True)) / len(ranks[0]),
    )


def _excess(parts: list[dict[str, float]]) -> float:
    """Longest time to answer and read over the mean of the ranks, less 1."""
    seconds = [part["generate"] + part["score"] for part in parts]
    return max(seconds) * len(seconds) / sum(seconds) - 1
