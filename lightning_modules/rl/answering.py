"""The answers to the prompts of an iteration: written, run and judged, and read again by policy and reference.

Programs are run while other answers are still being written and while the answers are read. Nothing here trains.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.api import Executor
from executor.grading.rewards import RewardConfig
from executor.types import Outcome
from lightning_modules.generation.generate import Generated, Sampling, generate
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.rl.judging import Judging
from lightning_modules.rl.responses import TokenScores
from lightning_modules.rl.rollout import score_tokens


@dataclass(frozen=True, kw_only=True)
class AnswerSettings:
    """How answers are written, rewarded and read."""

    sampling: Sampling
    reward: RewardConfig
    seed: int
    generate_batch_size: int
    score_batch_size: int
    dtype: torch.dtype | None
    """Of the weights while decoding; None = their own."""


class Answers(NamedTuple):
    """N answers, in the order of their prompts, and what making them took, by tag."""

    generated: list[Generated]
    completions: list[str]
    outcomes: list[Outcome]
    scores: TokenScores
    metrics: dict[str, float]


def answer_prompts(
    policy: Policy,
    reference: ReferencePolicy,
    tokenizer: PreTrainedTokenizerFast,
    executor: Executor,
    prompts: Sequence[TaskPrompt],
    sample_ids: list[int],
    settings: AnswerSettings,
    *,
    iteration: int,
    reading_context: Callable[[], AbstractContextManager],
    on_answered: Callable[[], None],
) -> Answers:
    """Answer each prompt once.

    Args:
        policy: answers.
        reference: the frozen policy.
        tokenizer: of both.
        executor: runs the programs and rewards them.
        prompts: N prompts.
        sample_ids: N names of random numbers.
        settings: how.
        iteration: names the random numbers, too.
        reading_context: the precision of training, in which answers are read.
        on_answered: called at the end of each answer, before its verdict.
    """
    eos_id, pad_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    assert isinstance(eos_id, int)  # tokenizers without these are refused when they are loaded
    assert isinstance(pad_id, int)
    prompt_ids = [prompt.prompt_ids for prompt in prompts]
    started_at = time.perf_counter()
    with executor.grading(rewards=settings.reward) as grading:
        judging = Judging(grading, tokenizer, prompts, stop=settings.sampling.stop)

        def finished(index: int, item: Generated) -> None:
            judging.add(index, item)
            on_answered()

        generated = generate(
            policy.sampling_model(settings.dtype),
            prompt_ids,
            sample_ids,
            sampling=settings.sampling,
            seed=settings.seed,
            iteration=iteration,
            eos_id=eos_id,
            pad_id=pad_id,
            batch_size=settings.generate_batch_size,
            tokenizer=tokenizer,
            dtype=settings.dtype,
            on_finished=finished,
        )
        generated_at = time.perf_counter()
        with reading_context():
            scores = score_tokens(
                policy,
                reference,
                prompt_ids,
                [item.token_ids for item in generated],
                batch_size=settings.score_batch_size,
                pad_id=pad_id,
                temperature=settings.sampling.temperature,
            )
        scored_at = time.perf_counter()
        outcomes = judging.outcomes()
    generate_s = generated_at - started_at
    metrics = {
        "time/generate_s": generate_s,
        "time/score_s": scored_at - generated_at,
        "time/execute_s": time.perf_counter() - scored_at,
        "throughput/generate_tokens_per_s": sum(len(item.token_ids) for item in generated) / generate_s,
    }
    return Answers(generated, judging.completions(), outcomes, scores, metrics)
