"""A rollout engine without a model: its completions are numbered texts of one token."""

from lightning_modules.generation.sampler import Completion


class FakeEngine:
    """Implements `RolloutEngine` and records what was called; the texts of its completions are 0, 1, 2, ..."""

    def __init__(self) -> None:
        self.events: list[tuple] = []
        self._version: int | None = None
        self._num_completions = 0

    def update_weights(self, causal_lm, *, version):
        self.events.append(("update", version))
        self._version = version

    def generate(self, prompts, sampling, *, stream_ids, seed, iteration=0, on_completion=lambda *_: None):
        assert self._version is not None
        self.events.append(("generate", len(prompts)))
        first = self._num_completions
        self._num_completions += len(prompts)
        completions = [Completion(str(first + i), [5], [-0.5], True, self._version) for i in range(len(prompts))]
        for index, completion in enumerate(completions):
            on_completion(index, completion)
        return completions

    def sleep(self):
        self.events.append(("sleep",))
        self._version = None

    def close(self):
        self.events.append(("close",))
