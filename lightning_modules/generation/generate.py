"""Completions from any transformers causal LM: batched, seeded token by token, fast on a CPU.

Prompts are sorted by length and padded on the left; equal prompts are read once for all of their samples; rows that
have ended are taken out of the batch. A model whose state is more than keys and values is run by transformers' own
`generate` instead, which draws the same tokens. Drawing and ending are the business of `drafts`.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from lightning_modules.generation.hf_generate import decode_with_transformers
from lightning_modules.generation.kv_cache import is_drivable, new_cache, select_rows
from lightning_modules.generation.llama_decoder import LlamaDecoder, can_decode
from lightning_modules.generation.sampler import Drafts, Generated, Rules, Sampling
from lightning_modules.generation.stop_strings import StopStrings
from lightning_modules.models.policy import get_context_length


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
    tokenizer: PreTrainedTokenizerFast | None = None,
    dtype: torch.dtype | None = None,
    on_finished: Callable[[int, Generated], None] | None = None,
) -> list[Generated]:
    """Complete each prompt once.

    Args:
        causal_lm: A causal LM of transformers, used in eval mode and put back into the mode it was in.
        prompt_ids: N token lists, none empty; equal ones cost one reading.
        sample_ids: N ids that name the random numbers of each completion.
        sampling: Length, temperature and stop strings.
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, else 0.
        eos_id: Token that ends a completion.
        pad_id: Token put on the left of shorter prompts.
        batch_size: Rows decoded together.
        tokenizer: Of the completions, needed for stop strings alone.
        dtype: Decode with a copy of the weights in this type (bfloat16 is 1.5 to 2 times as fast where the processor
            has it); None takes the model as it is.
        on_finished: Called with (index, completion) as each one ends.

    Returns:
        N completions, in the order of `prompt_ids`.

    Raises:
        ValueError: A prompt is empty or leaves no room for a token in the model's context, or there are stop strings
            but no tokenizer.
    """
    if len(prompt_ids) != len(sample_ids):
        raise ValueError(f"{len(prompt_ids)} prompts but {len(sample_ids)} sample ids; there must be one for each")
    context = get_context_length(causal_lm)
    for index, prompt in enumerate(prompt_ids):
        if not 0 < len(prompt) < context:
            raise ValueError(f"prompt {index} has {len(prompt)} tokens; the model takes 1 to {context - 1}")
    rules = Rules(
        temperature=sampling.temperature,
        seed=seed,
        iteration=iteration,
        eos_id=eos_id,
        stops=_stop_strings(tokenizer, sampling.stop),
    )
    order = sorted(range(len(prompt_ids)), key=lambda index: (len(prompt_ids[index]), prompt_ids[index]))
    was_training = causal_lm.training
    causal_lm.eval()
    decode = _decoding_of(causal_lm, dtype)
    results: dict[int, Generated] = {}
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        prompts = [prompt_ids[index] for index in chosen]
        budget = np.array([min(sampling.max_new_tokens, context - len(prompt)) for prompt in prompts])
        names = np.array([sample_ids[index] for index in chosen], dtype=np.uint64)
        drafts = Drafts(names, budget, rules)
        for place, completion in decode(prompts, drafts, room=int(budget.max()), pad_id=pad_id):
            results[chosen[place]] = completion
            if on_finished is not None:
                on_finished(chosen[place], completion)
    causal_lm.train(was_training)
    return [results[index] for index in range(len(prompt_ids))]


def _stop_strings(tokenizer: PreTrainedTokenizerFast | None, strings: tuple[str, ...]) -> StopStrings | None:
    if strings and tokenizer is None:
        raise ValueError(f"stop strings {list(strings)} need a tokenizer")
    return StopStrings(tokenizer, strings) if strings and tokenizer is not None else None


def _decoding_of(
    causal_lm: PreTrainedModel, dtype: torch.dtype | None
) -> Callable[..., Iterator[tuple[int, Generated]]]:
    """Choose how a model is decoded: our loop and our own computation, our loop, or transformers' `generate`."""
    if can_decode(causal_lm):
        decoder = LlamaDecoder(causal_lm, dtype)
        return functools.partial(_decode, decoder, causal_lm.config, causal_lm.device)
    model = causal_lm if dtype is None else _with_parameters_in(causal_lm, dtype)
    if is_drivable(model):
        read = functools.partial(model, use_cache=True, logits_to_keep=1)
        return functools.partial(_decode, read, model.config, model.device)
    return functools.partial(_decode_with_transformers, model)


def _with_parameters_in(causal_lm: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Copy a model with other parameters' type; buffers stay, for rotary frequencies do not bear rounding."""
    duplicate = copy.deepcopy(causal_lm)
    for parameter in duplicate.parameters():
        parameter.data = parameter.data.to(dtype)
    return duplicate


def _decode_with_transformers(
    causal_lm: PreTrainedModel, prompts: list[list[int]], drafts: Drafts, *, room: int, pad_id: int
) -> Iterator[tuple[int, Generated]]:
    ids, mask = (tensor.to(causal_lm.device) for tensor in _pad_left(prompts, pad_id))
    return decode_with_transformers(causal_lm, ids, mask, drafts, pad_id=pad_id, room=room)


def _decode(
    read: Callable[..., Any],
    config: PreTrainedConfig,
    device: torch.device,
    prompts: list[list[int]],
    drafts: Drafts,
    *,
    room: int,
    pad_id: int,
) -> Iterator[tuple[int, Generated]]:
    """Write token after token, and give (place, completion) of each row as it ends."""
    cache = new_cache(config, capacity=max(map(len, prompts)) + room)
    logits, mask = _read_prompts(read, device, prompts, cache, pad_id=pad_id)
    places = np.arange(len(prompts))
    positions = mask.sum(1, keepdim=True)
    mask = torch.cat([mask, mask.new_ones(len(mask), room)], 1)
    num_read = mask.shape[1] - room
    while True:
        tokens, ended, stopped = drafts.write(logits, places)
        for row in np.flatnonzero(ended):
            yield int(places[row]), drafts.completion(int(places[row]), finished=bool(stopped[row]))
        if ended.all():
            return
        if ended.any():
            kept = fill_gaps(ended)
            rows = torch.from_numpy(kept).to(tokens.device)
            places, tokens, positions, mask = places[kept], tokens[rows], positions[rows], mask[rows]
            select_rows(cache, rows)
        num_read += 1
        logits = read(
            input_ids=tokens[:, None], attention_mask=mask[:, :num_read], position_ids=positions, past_key_values=cache
        ).logits[:, -1]
        positions = positions + 1


def fill_gaps(ended: np.ndarray) -> np.ndarray:
    """Choose which row stands where once some have ended: the last rows take their places, the others stay.

    Args:
        ended: [B] bool, True = to be taken out.

    Returns:
        [B'] the rows that go on.
    """
    num_kept = int((~ended).sum())
    rows = np.arange(num_kept)
    rows[ended[:num_kept]] = num_kept + np.flatnonzero(~ended[num_kept:])
    return rows


def _read_prompts(
    read: Callable[..., Any], device: torch.device, prompts: list[list[int]], cache: DynamicCache, *, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Run the distinct prompts through the model once; the empty cache has one row a prompt then.

    Returns:
        Logits `[B, V]` of the first token, and the mask `[B, P]` long, 0 = padding.
    """
    row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
    ids, mask = (tensor.to(device) for tensor in _pad_left([list(prompt) for prompt in row_of], pad_id))
    logits = read(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        past_key_values=cache,
    ).logits[:, -1]
    rows = torch.tensor([row_of[tuple(prompt)] for prompt in prompts], device=device)
    select_rows(cache, rows)
    return logits[rows], mask[rows]


def _pad_left(prompts: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return [B, P] tokens and the mask [B, P] long, 0 = padding."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask
