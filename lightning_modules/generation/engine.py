"""Engines decode one batch of prompts. `NativeEngine` is the fast one, for models whose state is a key/value cache.

An engine runs the model and leaves sampling to `GenerationState`. A further engine needs a class with `decode`, and a
case in `generate.select_engine`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.generation.sampler import GenerationState


class Engine(Protocol):
    """Decodes batches of prompts with one model."""

    def decode(self, prompts: list[list[int]], state: GenerationState) -> Iterator[int]:
        """Decode `N` prompts until all completions have ended.

        Args:
            prompts: N token lists, none empty.
            state: Samples the tokens and holds the results.

        Yields:
            The index of each completion when it has ended.
        """
        ...


class BatchCache(Protocol):
    """The key/value cache of a batch: first of distinct prompts, then of completions."""

    def share(self, prompts: Tensor, mask: Tensor) -> None:
        """Begin the completions of `prompts`, [N] indices of cached prompts on the CPU.

        The mask of the prompts is [G, P], 0 = padding.
        """
        ...

    def select(self, rows: Tensor) -> None:
        """Keep the completions `rows` (indices on the CPU, so that no device has to be waited for), in that order."""
        ...


class NativeEngine:
    """Decodes token by token with a preallocated cache and removes rows that have ended from the batch.

    Args:
        forward: The model; takes `input_ids`, `attention_mask`, `position_ids` and `past_key_values`.
        new_cache: Returns an empty cache for prompts and completions of at most as many tokens.
        device: Of the model.
        pad_id: Token to the left of shorter prompts.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        new_cache: Callable[[int, int], BatchCache],
        device: torch.device,
        *,
        pad_id: int,
    ) -> None:
        self._forward = forward
        self._new_cache = new_cache
        self._device = device
        self._pad_id = pad_id

    def decode(self, prompts: list[list[int]], state: GenerationState) -> Iterator[int]:
        """Implement `Engine.decode`."""
        cache = self._new_cache(max(map(len, prompts)), state.capacity)
        logits, mask = self._prefill(prompts, cache)
        rows = np.arange(len(prompts))
        positions = mask.sum(1, keepdim=True)
        length = mask.shape[1]
        mask = torch.cat([mask, mask.new_ones(len(mask), state.capacity)], 1)
        while True:
            tokens, ended = state.step(logits, rows)
            yield from rows[ended].tolist()
            if ended.all():
                return
            if ended.any():
                kept = compact_rows(ended)
                on_cpu = torch.from_numpy(kept)
                indices = on_cpu.to(tokens.device)
                rows, tokens, positions, mask = rows[kept], tokens[indices], positions[indices], mask[indices]
                cache.select(on_cpu)
            length += 1
            logits = self._forward(
                input_ids=tokens[:, None],
                attention_mask=mask[:, :length],
                position_ids=positions,
                past_key_values=cache,
            ).logits[:, -1]
            positions = positions + 1

    def _prefill(self, prompts: list[list[int]], cache: BatchCache) -> tuple[Tensor, Tensor]:
        """Run each distinct prompt through the model once.

        Returns:
            Logits [N, V] of the first token, and the mask [N, P] long, 0 = padding.
        """
        row_by_prompt = {prompt: row for row, prompt in enumerate(dict.fromkeys(tuple(prompt) for prompt in prompts))}
        distinct = [list(prompt) for prompt in row_by_prompt]
        ids, mask = (tensor.to(self._device) for tensor in pad_left(distinct, self._pad_id))
        logits = self._forward(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
        ).logits[:, -1]
        rows = torch.tensor([row_by_prompt[tuple(prompt)] for prompt in prompts])
        cache.share(rows, mask)
        rows = rows.to(self._device)
        return logits[rows], mask[rows]


def compact_rows(ended: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Fill the gaps that ended rows leave with rows from the end of the batch; the other rows stay in place.

    Args:
        ended: [B] bool, True = to be removed.

    Returns:
        [B'] the row that each of the remaining places takes.
    """
    num_kept = int((~ended).sum())
    rows = np.arange(num_kept)
    rows[ended[:num_kept]] = num_kept + np.flatnonzero(~ended[num_kept:])
    return rows


def pad_left(prompts: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return [N, P] tokens and the mask [N, P] long, 0 = padding."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask
