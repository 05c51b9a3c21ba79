"""Draws the two prompts of a task: the one that models train on, and the same task in held-out words."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from datamodules.synthesis.composition.tree import Call, steps
from datamodules.synthesis.wording.describe import describe
from datamodules.synthesis.wording.frames import Frame
from datamodules.synthesis.wording.phrasing import Wording

PROMPT_ATTEMPTS = 20


def draw_prompt(
    rng: Random, tree: Call, language: str, *, frames: Sequence[Frame], wording: Wording, taken: set[str]
) -> str | None:
    """Draw seen phrasings and one of the frames until the prompt is new, and remember it; None where that fails."""
    for _ in range(PROMPT_ATTEMPTS):
        phrasings = [rng.choice(wording.seen_phrasings(call.atom, language)) for call in steps(tree)]
        prompt = describe(tree, frame=rng.choice(frames), phrasings=phrasings, names=wording.result_names(tree))
        if prompt not in taken:
            taken.add(prompt)
            return prompt
    return None


def reworded_prompts(rng: Random, tree: Call, language: str, *, wording: Wording) -> list[str]:
    """Tell the task in every held-out frame, in random order, with the held-out phrasing of every step."""
    frames = wording.unseen_frames(language)
    phrasings = [wording.unseen_phrasing(call.atom, language) for call in steps(tree)]
    names = wording.result_names(tree)
    return [describe(tree, frame=frame, phrasings=phrasings, names=names) for frame in rng.sample(frames, len(frames))]


def draw_reworded_prompt(rng: Random, tree: Call, language: str, *, wording: Wording, taken: set[str]) -> str | None:
    """Draw a reworded prompt that is new, and remember it; None where there is none."""
    for prompt in reworded_prompts(rng, tree, language, wording=wording):
        if prompt not in taken:
            taken.add(prompt)
            return prompt
    return None
