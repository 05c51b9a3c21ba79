"""Finds training prompts that repeat prompts of evaluation sets.

Prompts are compared in lower case, without code fences and with white space collapsed. It finds copies, also inside
longer prompts, and no rewordings.
"""

import re
from collections.abc import Iterable

MIN_CONTAINED_CHARS = 60
"""Shorter prompts, such as "Add two numbers.", count only where they are equal."""
_ANCHOR_CHARS = 32
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)


class PromptIndex:
    """Evaluation prompts, looked up by their first characters.

    Args:
        prompts: as the evaluation set has them.
    """

    def __init__(self, prompts: Iterable[str]) -> None:
        self._prompts = {normalise_prompt(prompt) for prompt in prompts} - {""}
        self._by_anchor: dict[str, list[str]] = {}
        for prompt in self._prompts:
            if len(prompt) >= MIN_CONTAINED_CHARS:
                self._by_anchor.setdefault(prompt[:_ANCHOR_CHARS], []).append(prompt)

    def holds(self, prompt: str) -> bool:
        """Whether a prompt equals one of them, or contains one of at least `MIN_CONTAINED_CHARS` characters."""
        text = normalise_prompt(prompt)
        if text in self._prompts:
            return True
        starts = range(len(text) - MIN_CONTAINED_CHARS + 1) if self._by_anchor else ()
        return any(
            text.startswith(contained, start)
            for start in starts
            for contained in self._by_anchor.get(text[start : start + _ANCHOR_CHARS], ())
        )


def normalise_prompt(prompt: str) -> str:
    """Lower the case, remove lines that open or close code fences, and collapse white space."""
    return " ".join(_FENCE.sub("", prompt).lower().split())
