"""From completions to verdicts: each program is run as soon as its completion ends, while others are still written."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.grading.grader import Grading
from executor.types import Outcome, Submission
from lightning_modules.generation.decoding import decode_completion
from lightning_modules.generation.sampler import Generated
from lightning_modules.generation.stop_strings import cut_at_stop


class Judging:
    """Gives completions to a grading in whichever order they end, and takes the verdicts in the order of the tasks.

    Args:
        grading: where the programs go.
        tokenizer: of the completions.
        prompts: N, one for each completion.
        stop: texts at which a program ends.
    """

    def __init__(
        self,
        grading: Grading,
        tokenizer: PreTrainedTokenizerFast,
        prompts: Sequence[TaskPrompt],
        *,
        stop: Sequence[str] = (),
    ) -> None:
        self._grading = grading
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._tasks = [prompt.task for prompt in prompts]
        self._stop = stop
        self._places: dict[int, int] = {}
        self._texts: dict[int, str] = {}

    def add(self, index: int, generated: Generated) -> None:
        """Start judging the completion of task `index`; fits `on_finished` of `generate`."""
        prompt_ids = self._prompts[index].prompt_ids
        self._texts[index] = completion_text(self._tokenizer, prompt_ids, generated.token_ids, self._stop)
        submission = Submission(task=self._tasks[index], completion=self._texts[index])
        self._places[index] = self._grading.add(submission)

    def completions(self) -> list[str]:
        """N texts."""
        return [self._texts[index] for index in range(len(self._tasks))]

    def outcomes(self) -> list[Outcome]:
        """Wait for the N verdicts; every completion has been added."""
        outcomes = self._grading.outcomes()
        return [outcomes[self._places[index]] for index in range(len(self._tasks))]


def completion_text(
    tokenizer: PreTrainedTokenizerFast,
    prompt_ids: Sequence[int],
    token_ids: Sequence[int],
    stop: Sequence[str] = (),
) -> str:
    """Decode the completion of a prompt up to the first of the texts `stop`; special tokens are left out."""
    return cut_at_stop(decode_completion(tokenizer, prompt_ids, token_ids), stop)
