"""Sampling of tokens: parameters, random numbers, and the state of a batch of completions.

Every random number is a function of (seed, iteration, stream id, position). A completion therefore does not depend on
the batch it is decoded in, on the number of ranks, or on whether a run was resumed. This module runs no model. There is
no top-k or top-p: they would make the sampling distribution differ from the one that is trained.
"""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.generation.text import StopStrings

_MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class SamplingParams:
    """How completions are sampled.

    Args:
        max_new_tokens: Maximum length of a completion in tokens.
        temperature: Divides the logits before the softmax; 0.0 always takes the most likely token.
        stop: A completion ends when its text contains one of these strings. The string is removed from the text; its
            tokens are kept.
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


class Completion(NamedTuple):
    """A generated completion."""

    text: str
    """Without special tokens, up to the first stop string."""
    token_ids: list[int]
    """`L` tokens, with `<eos>` or the tokens of the stop string at the end if the completion is finished."""
    logprobs: list[float]
    """`L` log-probabilities under the sampling distribution; at temperature 1 for greedy completions."""
    finished: bool
    """Ended by `<eos>` or a stop string; False if it was truncated at the maximum length."""
    policy_version: int = 0
    """Iterations that the policy had been trained for when it sampled the completion."""


class GenerationState:
    """Tokens of `N` completions that are sampled in step, one position at a time.

    Args:
        stream_ids: [N] uint64, the random stream of each completion.
        max_new_tokens: [N] maximum length of each completion.
        temperature: Of sampling; 0.0 is greedy.
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, else 0.
        eos_id: Token that ends a completion.
        stop_strings: Strings that end a completion; None for none.
    """

    def __init__(
        self,
        stream_ids: NDArray[np.uint64],
        max_new_tokens: NDArray[np.int64],
        *,
        temperature: float,
        seed: int,
        iteration: int,
        eos_id: int,
        stop_strings: StopStrings | None,
    ) -> None:
        self._stream_ids = stream_ids
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self._key = (seed, iteration)
        self._eos_id = eos_id
        self._stop_strings = stop_strings
        self._position = 0
        self._random: Tensor | None = None
        """[N, capacity] numbers in [0, 1) on the device of the logits, one per token."""
        self._rows = np.zeros(0, dtype=np.int64)
        self._device_rows: Tensor | None = None
        self._tokens = np.zeros((len(stream_ids), self.capacity), dtype=np.int64)
        self._logprobs = np.zeros(self._tokens.shape, dtype=np.float64)
        self._lengths = np.zeros(len(stream_ids), dtype=np.int64)
        self._finished = np.zeros(len(stream_ids), dtype=bool)

    @property
    def capacity(self) -> int:
        """Maximum length of the longest completion in tokens."""
        return int(self._max_new_tokens.max())

    def step(self, logits: Tensor, rows: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.bool_]]:
        """Sample the next token of the completions that have not ended.

        Args:
            logits: [B, V].
            rows: [B] indices of the completions, from 0 to N - 1.

        Returns:
            [B] tokens, and [B] bool, True where a completion has ended.
        """
        random = self._draw(rows, logits.device) if self._temperature > 0.0 else None
        tokens, logprobs = sample_tokens(logits, temperature=self._temperature, random=random)
        # one copy, and on a GPU one wait, for both: the bits of the log-probabilities travel as integers
        copied = torch.stack([tokens, logprobs.view(torch.int32).long()]).cpu().numpy()
        ids = copied[0]
        self._tokens[rows, self._position] = ids
        self._logprobs[rows, self._position] = copied[1].astype(np.int32).view(np.float32)
        self._position += 1
        self._lengths[rows] = self._position
        finished = (ids == self._eos_id) | self._match_stop_strings(ids, rows)
        self._finished[rows] = finished
        return tokens, finished | (self._max_new_tokens[rows] == self._position)

    def result(self, row: int) -> tuple[list[int], list[float], bool]:
        """Return token ids, log-probabilities and `finished` of a completion."""
        length = self._lengths[row]
        return self._tokens[row, :length].tolist(), self._logprobs[row, :length].tolist(), bool(self._finished[row])

    def _draw(self, rows: NDArray[np.int64], device: torch.device) -> Tensor:
        """Return the random numbers [B] of the next token; they are uploaded once for the whole batch."""
        if self._random is None:
            numbers = uniforms(*self._key, self._stream_ids[:, None], np.arange(self.capacity))
            self._random = torch.from_numpy(numbers).to(device)
        if self._device_rows is None or not np.array_equal(rows, self._rows):
            self._rows = rows.copy()
            self._device_rows = torch.from_numpy(self._rows).to(device)
        return self._random[:, self._position].index_select(0, self._device_rows)

    def _match_stop_strings(self, ids: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        matches = np.zeros(len(ids), dtype=bool)
        if self._stop_strings is not None:
            for i, token_id in enumerate(ids.tolist()):
                if self._stop_strings.may_match(token_id):
                    matches[i] = self._stop_strings.matches_suffix(self._tokens[rows[i], : self._position].tolist())
        return matches


def sample_tokens(logits: Tensor, *, temperature: float, random: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sample a token per row by inverting the cumulative distribution.

    Args:
        logits: [B, V].
        temperature: Divides the logits; 0.0 takes the most likely token.
        random: [B] numbers in [0, 1); None if `temperature` is 0.0.

    Returns:
        [B] tokens and [B] their log-probabilities in float32, at temperature 1 if `temperature` is 0.0.
    """
    logits = logits.float()
    if temperature == 0.0:
        tokens = logits.argmax(-1)
    else:
        assert random is not None
        logits = logits / temperature if temperature != 1.0 else logits
        probabilities = torch.softmax(logits, -1)
        with _allow_cumsum():
            cumulative = probabilities.cumsum(-1)
        total = cumulative[:, -1:]
        threshold = random.to(cumulative)[:, None] * total
        # float32 may round a number near 1 up to 1, and no cumulative probability exceeds the total
        threshold = torch.minimum(threshold, torch.nextafter(total, torch.zeros_like(total)))
        # the first token whose cumulative probability exceeds the threshold has a probability above zero
        tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
    return tokens, logprobs


@contextmanager
def _allow_cumsum() -> Iterator[None]:
    """Allow `cumsum` under `trainer.deterministic: true`: torch has no kernel for CUDA that it calls deterministic.

    A scan within one row adds in a fixed order; torch's list of such operators is about scans over several blocks.
    """
    if not torch.are_deterministic_algorithms_enabled():
        yield
        return
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=warn_only)


def stream_id(task_id: str, number: int) -> int:
    """Return the random stream of a completion: 63 bits of a hash of its task and its number within the task."""
    digest = hashlib.sha256(f"{task_id}\0{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def uniforms(
    seed: int, iteration: int, stream_ids: NDArray[np.uint64], position: int | NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return one number in [0, 1) per stream and position, with 53 random bits. Not for cryptography.

    Args:
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, or 0.
        stream_ids: [B], or [B, 1] for several positions.
        position: Index of the token within its completion, or [T] indices.

    Returns:
        [B] numbers, or [B, T].
    """
    key = _mix(_mix(np.array([seed & _MASK], dtype=np.uint64)) ^ np.uint64(iteration & _MASK))
    hashed = _mix(_mix(key ^ stream_ids.astype(np.uint64)) ^ np.asarray(position, dtype=np.uint64))
    return (hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def derive_seed(*numbers: int) -> int:
    """Hash several numbers to one 64-bit seed, for torch's own generators (dropout)."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = _mix(state ^ np.uint64(number & _MASK))
    return int(state[0])


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[B] -> [B]: one step of splitmix64 (Steele, Lea and Flood 2014), a bijection of 64-bit integers."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
