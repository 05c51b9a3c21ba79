"""Decoding by `generate` of transformers, for models whose state is not a key/value cache (Mamba, hybrids, RWKV).

transformers runs the model and keeps its state; a logits processor samples each token through `GenerationState` and
masks all others. This is slower than `NativeEngine`: rows that have ended stay in the batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from lightning_modules.generation.engine import pad_left
from lightning_modules.generation.sampler import GenerationState


class TransformersEngine:
    """Decodes with `causal_lm.generate`.

    Args:
        causal_lm: In eval mode.
        pad_id: Token to the left of shorter prompts and to the right of completions that have ended.
    """

    def __init__(self, causal_lm: PreTrainedModel, *, pad_id: int) -> None:
        self._causal_lm = causal_lm
        self._pad_id = pad_id

    def decode(self, prompts: list[list[int]], state: GenerationState) -> Iterator[int]:
        """Implement `Engine.decode`; yields when all completions have ended."""
        ids, mask = (tensor.to(self._causal_lm.device) for tensor in pad_left(prompts, self._pad_id))
        sampler = _Sampler(state, len(prompts))
        with _default_generation_config(self._causal_lm):
            self._causal_lm.generate(  # pyright: ignore[reportCallIssue]
                ids,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False, max_new_tokens=state.capacity, pad_token_id=self._pad_id
                ),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList([_AllEnded(sampler)]),
            )
        yield from range(len(prompts))


class _Sampler(LogitsProcessor):
    """Replaces the scores [N, V] by 0 for the sampled token and -inf for all others."""

    def __init__(self, state: GenerationState, num_prompts: int) -> None:
        self._state = state
        self.ended = np.zeros(num_prompts, dtype=bool)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        rows = np.flatnonzero(~self.ended)
        tokens = scores.argmax(-1)
        if len(rows):  # on a GPU, transformers takes one more step
            indices = torch.from_numpy(rows).to(scores.device)
            tokens[indices], self.ended[rows] = self._state.step(scores[indices], rows)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


class _AllEnded(StoppingCriteria):
    def __init__(self, sampler: _Sampler) -> None:
        self._sampler = sampler

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **kwargs: object) -> Tensor:
        return torch.from_numpy(self._sampler.ended).to(input_ids.device)


@contextmanager
def _default_generation_config(causal_lm: PreTrainedModel) -> Iterator[None]:
    """Disable the generation defaults of a checkpoint (penalties, top-k, end tokens), which would change sampling."""
    defaults = causal_lm.generation_config
    causal_lm.generation_config = GenerationConfig()
    try:
        yield
    finally:
        causal_lm.generation_config = defaults
