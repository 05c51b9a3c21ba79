"""Completions from engines that sample by themselves: collects their tokens and decides when a completion ends.

The rules are those of `GenerationState`: `<eos>`, a stop string, or the maximum length. What an engine has sampled
beyond that is dropped. This module decodes only tokens that may complete a stop string.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.generation.text import StopStrings, decode_completion


@dataclass(frozen=True)
class StreamRules:
    """What the completions of a call of `RolloutEngine.generate` have in common.

    Args:
        tokenizer: Of the policy.
        sampling: Length and stop strings.
        context: Maximum tokens of prompt and completion.
        version: Of the policy.
    """

    tokenizer: PreTrainedTokenizerFast
    sampling: SamplingParams
    context: int
    version: int

    @functools.cached_property
    def eos_id(self) -> int:
        """The token that ends a completion."""
        eos_id = self.tokenizer.eos_token_id
        assert isinstance(eos_id, int)  # checked when the tokenizer is loaded
        return eos_id


class CompletionStream:
    """A completion whose tokens arrive one or several at a time.

    Args:
        prompt_ids: Of the prompt.
        rules: When it ends.
        stop_strings: Detects the stop strings of `rules`; None for none.
    """

    def __init__(self, prompt_ids: Sequence[int], rules: StreamRules, stop_strings: StopStrings | None) -> None:
        self._prompt_ids = prompt_ids
        self.rules = rules
        self._stop_strings = stop_strings
        self._token_ids: list[int] = []
        self._logprobs: list[float] = []
        self._finished = False

    @property
    def max_new_tokens(self) -> int:
        """Maximum length of this completion in tokens."""
        return min(self.rules.sampling.max_new_tokens, self.rules.context - len(self._prompt_ids))

    @property
    def has_ended(self) -> bool:
        """Whether further tokens are dropped."""
        return self._finished or len(self._token_ids) == self.max_new_tokens

    def add(self, token_ids: Sequence[int], logprobs: Sequence[float]) -> bool:
        """Append tokens with their log-probabilities until the completion ends; returns whether it has ended.

        Raises:
            ValueError: There are not as many log-probabilities as tokens.
        """
        for token_id, logprob in zip(token_ids, logprobs, strict=True):
            if self.has_ended:
                break
            self._token_ids.append(token_id)
            self._logprobs.append(logprob)
            self._finished = token_id == self.rules.eos_id or self._matches_stop_string(token_id)
        return self.has_ended

    def result(self) -> Completion:
        """Return the completion, which has ended."""
        rules = self.rules
        text = decode_completion(rules.tokenizer, self._prompt_ids, self._token_ids, rules.sampling.stop)
        return Completion(text, self._token_ids, self._logprobs, self._finished, rules.version)

    def _matches_stop_string(self, token_id: int) -> bool:
        stop_strings = self._stop_strings
        if stop_strings is None or not stop_strings.may_match(token_id):
            return False
        return stop_strings.matches_suffix(self._token_ids)


def open_streams(prompts: Sequence[list[int]], rules: StreamRules) -> list[CompletionStream]:
    """Open a stream for each prompt; they share what is known about tokens and stop strings."""
    stop = rules.sampling.stop
    stop_strings = StopStrings(rules.tokenizer, stop) if stop else None
    return [CompletionStream(prompt, rules, stop_strings) for prompt in prompts]
