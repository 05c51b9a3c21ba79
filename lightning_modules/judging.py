"""From completions to verdicts: each program is run as soon as its completion ends, while others are still written."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from executor.grading.grader import Grading
from executor.types import Outcome, Submission, Task
from lightning_modules.drafts import Generated
from lightning_modules.stop_strings import cut_at_stop, decode


class Judging:
    """Gives completions to a grading in whichever order they end, and takes the verdicts in the order of the tasks.

    Args:
        grading: where the programs go.
        tokenizer: of the completions.
        tasks: N, one for each completion.
        stop: texts at which a program ends.
    """

    def __init__(
        self,
        grading: Grading,
        tokenizer: PreTrainedTokenizerFast,
        tasks: Sequence[Task],
        *,
        stop: Sequence[str] = (),
    ) -> None:
        self._grading = grading
        self._tokenizer = tokenizer
        self._tasks = tasks
        self._stop = stop
        self._places: dict[int, int] = {}
        self._texts: dict[int, str] = {}

    def add(self, index: int, generated: Generated) -> None:
        """Start judging the completion of task `index`; fits `on_finished` of `generate`."""
        self._texts[index] = completion_text(self._tokenizer, generated.token_ids, self._stop)
        submission = Submission(task=self._tasks[index], completion=self._texts[index])
        self._places[index] = self._grading.add(submission)

    def completions(self) -> list[str]:
        """N texts."""
        return [self._texts[index] for index in range(len(self._tasks))]

    def outcomes(self) -> list[Outcome]:
        """Wait for the N verdicts; every completion has been added."""
        outcomes = self._grading.outcomes()
        return [outcomes[self._places[index]] for index in range(len(self._tasks))]


def completion_text(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int], stop: Sequence[str] = ()) -> str:
    """Decode a completion up to the first of the texts `stop`; special tokens, `<eos>` among them, are left out."""
    return cut_at_stop(decode(tokenizer, token_ids), stop)
