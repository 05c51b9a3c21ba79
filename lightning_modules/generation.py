"""Completions from any transformers causal LM: batched, seeded token by token, fast on a CPU.

Prompts are sorted by length and padded on the left; equal prompts are read once for all of their samples; rows that
have finished are taken out of the batch. Every draw is a function of (seed, iteration, sample id, position), so a
sample does not depend on its neighbours. It does no beam search, no top-k or top-p: those would make the sampling
distribution differ from the one that is trained.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from lightning_modules.counter_random import uniforms
from lightning_modules.kv_cache import new_cache, select_rows

COMPACT_AT = 0.25
"""Share of finished rows at which they are taken out of the batch."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    Args:
        max_new_tokens: A completion is cut off after so many tokens.
        temperature: Divides the logits before the softmax; 0.0 takes the most likely token each time.
    """

    max_new_tokens: int
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be at least 0.0, got {self.temperature}")


class Generated(NamedTuple):
    """One completion: its tokens (with `<eos>` where it stopped), their log-probabilities, and whether it stopped.

    `logprobs` are under the sampling distribution; of a greedy completion they are the model's own (temperature 1).
    """

    token_ids: list[int]
    logprobs: list[float]
    finished: bool


@dataclass(frozen=True)
class _Rows:
    """The `B` rows still decoded, of the `N` a batch began with, and what each of them is."""

    place: np.ndarray
    """[B] int, the row's number when the batch began"""
    sample_ids: np.ndarray
    """[B] uint64"""
    budget: np.ndarray
    """[B] int, tokens the completion may have"""
    num_prompt: Tensor
    """[B] long, tokens of the prompt"""
    mask: Tensor
    """[B, P + budget] long, 0 = padding on the left"""

    def keep(self, rows: np.ndarray, chosen: Tensor) -> "_Rows":
        return _Rows(
            place=self.place[rows],
            sample_ids=self.sample_ids[rows],
            budget=self.budget[rows],
            num_prompt=self.num_prompt[chosen],
            mask=self.mask[chosen],
        )


def decoding_dtype(precision: str) -> torch.dtype | None:
    """Choose the `dtype` of `generate` that goes with a Trainer's precision."""
    return torch.bfloat16 if precision == "bf16-mixed" else None


@torch.no_grad()
def generate(
    causal_lm: PreTrainedModel,
    prompt_ids: list[list[int]],
    sample_ids: list[int],
    *,
    sampling: Sampling,
    seed: int,
    iteration: int = 0,
    eos_id: int,
    pad_id: int,
    batch_size: int,
    dtype: torch.dtype | None = None,
    on_finished: Callable[[int, Generated], None] | None = None,
) -> list[Generated]:
    """Complete each prompt once.

    Args:
        causal_lm: A causal LM of transformers, used in eval mode and put back into the mode it was in.
        prompt_ids: N token lists, none empty; equal ones cost one reading.
        sample_ids: N ids that name the random numbers of each completion.
        sampling: Length and temperature.
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, else 0.
        eos_id: Token that ends a completion.
        pad_id: Token put on the left of shorter prompts.
        batch_size: Rows decoded together.
        dtype: Decode with a copy of the weights in this type (bfloat16 is 1.5 to 2 times as fast where the processor
            has it); None takes the model as it is.
        on_finished: Called with (index, completion) as each one ends.

    Returns:
        N completions, in the order of `prompt_ids`.

    Raises:
        ValueError: A prompt is empty or leaves no room for a token in the model's context.
    """
    if len(prompt_ids) != len(sample_ids):
        raise ValueError(f"{len(prompt_ids)} prompts but {len(sample_ids)} sample ids; there must be one for each")
    context = getattr(causal_lm.config, "max_position_embeddings", None) or 1 << 30
    for index, prompt in enumerate(prompt_ids):
        if not 0 < len(prompt) < context:
            raise ValueError(f"prompt {index} has {len(prompt)} tokens; the model takes 1 to {context - 1}")
    order = sorted(range(len(prompt_ids)), key=lambda index: (len(prompt_ids[index]), prompt_ids[index]))
    was_training = causal_lm.training
    model = causal_lm if dtype is None else _with_parameters_in(causal_lm, dtype)
    model.eval()
    results: dict[int, Generated] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        prompts = [prompt_ids[index] for index in chosen]
        budget = np.array([min(sampling.max_new_tokens, context - len(prompt)) for prompt in prompts])
        cache, logits, mask = _read_prompts(model, prompts, room=int(budget.max()), pad_id=pad_id)
        rows = _Rows(
            place=np.arange(len(chosen)),
            sample_ids=np.array([sample_ids[index] for index in chosen], dtype=np.uint64),
            budget=budget,
            num_prompt=torch.tensor([len(prompt) for prompt in prompts], device=logits.device),
            mask=mask,
        )
        decoding = _decode(
            model,
            rows,
            cache=cache,
            logits=logits,
            temperature=sampling.temperature,
            seed=seed,
            iteration=iteration,
            eos_id=eos_id,
        )
        for place, completion in decoding:
            results[chosen[place]] = completion
            if on_finished is not None:
                on_finished(chosen[place], completion)
    causal_lm.train(was_training)
    return [results[index] for index in range(len(prompt_ids))]


def _with_parameters_in(causal_lm: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Copy a model with other parameters' type; buffers stay, for rotary frequencies do not bear rounding."""
    duplicate = copy.deepcopy(causal_lm)
    for parameter in duplicate.parameters():
        parameter.data = parameter.data.to(dtype)
    return duplicate


def _read_prompts(
    causal_lm: PreTrainedModel, prompts: list[list[int]], *, room: int, pad_id: int
) -> tuple[DynamicCache, Tensor, Tensor]:
    """Run the distinct prompts through the model once.

    Returns:
        The cache with one row a prompt, logits `[B, V]` of the first token, and the mask `[B, P + room]`, 0 = padding.
    """
    device = causal_lm.device
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(row_of), width), pad_id, dtype=torch.long)
    mask = torch.ones((len(row_of), width + room), dtype=torch.long)
    for prompt, row in row_of.items():
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, : width - len(prompt)] = 0
    ids, mask = ids.to(device), mask.to(device)
    cache = new_cache(causal_lm.config, capacity=width + room)
    logits = causal_lm(
        input_ids=ids,
        attention_mask=mask[:, :width],
        position_ids=(mask[:, :width].cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    rows = torch.tensor([row_of[tuple(prompt)] for prompt in prompts], device=device)
    select_rows(cache, rows)
    return cache, logits[rows], mask[rows]


def _decode(
    causal_lm: PreTrainedModel,
    rows: _Rows,
    *,
    cache: DynamicCache,
    logits: Tensor,
    temperature: float,
    seed: int,
    iteration: int,
    eos_id: int,
) -> Iterator[tuple[int, Generated]]:
    """Draw token after token, and give (place, completion) of each row as it ends. `logits` is [B, V]."""
    num_read = rows.mask.shape[1] - int(rows.budget.max())
    tokens_of = np.zeros((len(rows.place), int(rows.budget.max())), dtype=np.int64)
    logprobs_of = np.zeros(tokens_of.shape, dtype=np.float64)
    done = np.zeros(len(rows.place), dtype=bool)
    for position in range(tokens_of.shape[1]):
        random = uniforms(seed, iteration, rows.sample_ids, position)
        tokens, logprobs = draw_tokens(logits, temperature=temperature, random=random)
        ids = tokens.cpu().numpy()
        tokens_of[rows.place, position] = ids
        logprobs_of[rows.place, position] = logprobs.cpu().numpy()
        stopped = ids == eos_id
        ended = ~done & (stopped | (rows.budget == position + 1))
        for row in np.flatnonzero(ended):
            place = int(rows.place[row])
            length = position + 1
            yield (
                place,
                Generated(tokens_of[place, :length].tolist(), logprobs_of[place, :length].tolist(), bool(stopped[row])),
            )
        done |= ended
        if done.all():
            return
        if done.mean() >= COMPACT_AT:
            kept = np.flatnonzero(~done)
            chosen = torch.from_numpy(kept).to(tokens.device)
            rows, tokens, done = rows.keep(kept, chosen), tokens[chosen], done[kept]
            select_rows(cache, chosen)
        logits = causal_lm(
            input_ids=tokens[:, None],
            attention_mask=rows.mask[:, : num_read + position + 1],
            position_ids=(rows.num_prompt + position)[:, None],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]


def draw_tokens(logits: Tensor, *, temperature: float, random: np.ndarray) -> tuple[Tensor, Tensor]:
    """Choose a token for each row by inverting the cumulative distribution.

    Args:
        logits: [B, V].
        temperature: Divides the logits; 0.0 takes the most likely token.
        random: [B] numbers in [0, 1), not used where `temperature` is 0.0.

    Returns:
        [B] tokens and [B] their log-probabilities in float32, at temperature 1 where `temperature` is 0.0.
    """
    logits = logits.float()
    if temperature == 0.0:
        tokens = logits.argmax(-1)
    else:
        logits = logits / temperature if temperature != 1.0 else logits
        cumulative = torch.softmax(logits, -1).cumsum(-1)
        threshold = torch.from_numpy(random).to(cumulative)[:, None] * cumulative[:, -1:]
        # the first token whose cumulative probability is above the threshold; it has a probability above zero
        tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
    return tokens, logprobs
