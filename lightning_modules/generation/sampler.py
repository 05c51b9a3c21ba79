"""The completions of a batch while they are written: how tokens are drawn, and when a completion ends.

Every draw is a function of (seed, iteration, sample id, position), so a sample does not depend on its neighbours. No
model is run here. There is no top-k or top-p: they would make the sampling distribution differ from the trained one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_modules.generation.counter_random import uniforms
from lightning_modules.generation.stop_strings import StopStrings


@dataclass(frozen=True)
class SamplingParams:
    """How completions are drawn.

    Args:
        max_new_tokens: A completion is cut off after so many tokens.
        temperature: Divides the logits before the softmax; 0.0 takes the most likely token each time.
        stop: A completion ends when its text has one of these; they are no part of the program, but their tokens stay.
    """

    max_new_tokens: int
    temperature: float = 1.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be at least 0.0, got {self.temperature}")
        if isinstance(self.stop, str) or "" in self.stop:
            raise ValueError(f"stop must be a list of texts, none of them empty, got {self.stop!r}")


class Generated(NamedTuple):
    """One completion: its tokens (with `<eos>` where it stopped), their log-probabilities, and whether it stopped.

    `logprobs` are under the sampling distribution; of a greedy completion they are the model's own (temperature 1).
    A completion that a stop string ended has stopped, too; the tokens of that string are its last ones.
    """

    token_ids: list[int]
    logprobs: list[float]
    finished: bool


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What draws and ends completions, the same for all batches of a call of `generate`."""

    temperature: float
    seed: int
    iteration: int
    eos_id: int
    stops: StopStrings | None


class Drafts:
    """`N` completions, written one token at a time from position 0 on.

    Args:
        sample_ids: [N] uint64, names of random numbers.
        budget: [N] tokens each may have.
        rules: how tokens are drawn and what ends a completion.
    """

    def __init__(self, sample_ids: np.ndarray, budget: np.ndarray, rules: Rules) -> None:
        self._sample_ids = sample_ids
        self._budget = budget
        self._rules = rules
        self._num_written = 0
        self._tokens = np.zeros((len(budget), int(budget.max())), dtype=np.int64)
        self._logprobs = np.zeros(self._tokens.shape, dtype=np.float64)

    def write(self, logits: Tensor, places: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Draw the next token of some completions that have not ended.

        Args:
            logits: [B, V].
            places: [B] their numbers, from 0 to N - 1.

        Returns:
            [B] tokens; [B] bool, True = ended; [B] bool, True = ended by `<eos>` or a stop string.
        """
        rules, position = self._rules, self._num_written
        random = uniforms(rules.seed, rules.iteration, self._sample_ids[places], position)
        tokens, logprobs = draw_tokens(logits, temperature=rules.temperature, random=random)
        ids = tokens.cpu().numpy()
        self._tokens[places, position] = ids
        self._logprobs[places, position] = logprobs.cpu().numpy()
        self._num_written += 1
        stopped = ids == rules.eos_id
        if rules.stops is not None:
            stopped |= self._have_stop_string(rules.stops, ids, places)
        return tokens, stopped | (self._budget[places] == self._num_written), stopped

    def completion(self, place: int, *, finished: bool) -> Generated:
        """Return a completion with the token that was written last as its last one."""
        length = self._num_written
        return Generated(self._tokens[place, :length].tolist(), self._logprobs[place, :length].tolist(), finished)

    def _have_stop_string(self, stops: StopStrings, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        found = np.zeros(len(ids), dtype=bool)
        for row, token_id in enumerate(ids.tolist()):
            if stops.can_end_with(token_id):
                found[row] = stops.is_in_end_of(self._tokens[places[row], : self._num_written].tolist())
        return found


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
        total = cumulative[:, -1:]
        threshold = torch.from_numpy(random).to(cumulative)[:, None] * total
        # in float32 a number near 1 may be rounded to 1, and nothing is above the total
        threshold = torch.minimum(threshold, torch.nextafter(total, torch.zeros_like(total)))
        # the first token whose cumulative probability is above the threshold; it has a probability above zero
        tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
    return tokens, logprobs
