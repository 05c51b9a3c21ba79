"""Decoding by transformers' own `generate`, for models whose state our loop cannot drive (Mamba, hybrids, RWKV).

transformers runs the model and keeps its state; a logits processor draws each token as our loop does and leaves nothing
else possible. It is slower: rows that have ended stay in the batch.
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

from lightning_modules.generation.sampler import Drafts, Generated


class _Scribe:
    """Writes the drafts of `num_rows` prompts for transformers, which asks for scores, then for the rows that ended."""

    def __init__(self, drafts: Drafts, num_rows: int) -> None:
        self._drafts = drafts
        self._num_rows = num_rows
        self.completions: dict[int, Generated] = {}

    def write(self, scores: Tensor) -> Tensor:
        """[N, V] -> [N, V]: 0 for the token that was drawn, -inf for all others."""
        places = np.array([place for place in range(self._num_rows) if place not in self.completions], dtype=np.int64)
        chosen = scores.argmax(-1)
        if len(places):  # on a GPU, transformers takes a step more
            rows = torch.from_numpy(places).to(scores.device)
            chosen[rows], ended, stopped = self._drafts.write(scores[rows], places)
            for row in np.flatnonzero(ended):
                place = int(places[row])
                self.completions[place] = self._drafts.completion(place, finished=bool(stopped[row]))
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)

    def have_ended(self, device: torch.device) -> Tensor:
        """[N] bool, True = ended."""
        return torch.tensor([place in self.completions for place in range(self._num_rows)], device=device)


class _Drawing(LogitsProcessor):
    def __init__(self, scribe: _Scribe) -> None:
        self._scribe = scribe

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return self._scribe.write(scores)


class _Ending(StoppingCriteria):
    def __init__(self, scribe: _Scribe) -> None:
        self._scribe = scribe

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **kwargs: object) -> Tensor:
        return self._scribe.have_ended(input_ids.device)


def decode_with_transformers(
    causal_lm: PreTrainedModel, ids: Tensor, mask: Tensor, drafts: Drafts, *, pad_id: int, room: int
) -> Iterator[tuple[int, Generated]]:
    """Write all drafts, then give (place, completion) of each.

    Args:
        causal_lm: in eval mode.
        ids: [N, P] prompts, padded on the left.
        mask: [N, P] long, 0 = padding.
        drafts: of the N prompts.
        pad_id: Token behind a completion that has ended.
        room: Tokens of the longest completion.
    """
    scribe = _Scribe(drafts, len(ids))
    with _without_generation_defaults(causal_lm):
        causal_lm.generate(  # pyright: ignore[reportCallIssue]
            ids,
            attention_mask=mask,
            generation_config=GenerationConfig(do_sample=False, max_new_tokens=room, pad_token_id=pad_id),
            logits_processor=LogitsProcessorList([_Drawing(scribe)]),
            stopping_criteria=StoppingCriteriaList([_Ending(scribe)]),
        )
    yield from sorted(scribe.completions.items())


@contextmanager
def _without_generation_defaults(causal_lm: PreTrainedModel) -> Iterator[None]:
    """Set aside what a checkpoint asks of `generate` (penalties, top-k, its end tokens): it would change the draws."""
    defaults = causal_lm.generation_config
    causal_lm.generation_config = GenerationConfig()
    try:
        yield
    finally:
        causal_lm.generation_config = defaults
