"""Prompts of compositions: which wording is held out, how a prompt is drawn, and how it is written.

Each language has held-out frames, and each atom one held-out phrasing per language. Prompts for training use seen
frames and phrasings only; reworded prompts use held-out ones only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from datamodules.atoms import Atom
from datamodules.seeding import keyed_fraction, keyed_random
from datamodules.synthesis.composition.render import (
    RESULT_NAMES,
    argument_name,
    permute_names,
    signature,
    step_number,
)
from datamodules.synthesis.composition.tree import Call, Constant, Node, Param, parameters, steps
from datamodules.synthesis.wording.frame import Frame
from datamodules.synthesis.wording.frames import FRAMES

PROMPT_ATTEMPTS = 20
_PLACEHOLDER = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Wording:
    """The held-out wording; everything else is seen in training."""

    held_out_frames: Mapping[str, tuple[str, ...]]
    """Names of frames by language, in the order of their definition."""
    held_out_phrasings: Mapping[str, Mapping[str, str]]
    """Phrasing by atom and language."""
    permutes_names: bool = False
    """Whether the variables for results of steps are permuted in each task."""

    def get_result_names(self, tree: Call) -> str:
        """Return the variables for the results of the steps, in order; one letter each."""
        return permute_names(tree) if self.permutes_names else RESULT_NAMES

    def get_seen_frames(self, language: str) -> tuple[Frame, ...]:
        """Return the frames of prompts for training."""
        held_out = self.held_out_frames[language]
        return tuple(frame for frame in FRAMES[language] if frame.name not in held_out)

    def get_unseen_frames(self, language: str) -> tuple[Frame, ...]:
        """Return the frames of reworded prompts: those held out, or all if none are."""
        held_out = self.held_out_frames[language]
        return tuple(frame for frame in FRAMES[language] if frame.name in held_out or not held_out)

    def get_seen_phrasings(self, atom: Atom, language: str) -> tuple[str, ...]:
        """Return the phrasings of an atom in prompts for training."""
        held_out = self.get_unseen_phrasing(atom, language)
        return tuple(phrasing for phrasing in atom.phrasings[language] if phrasing != held_out)

    def get_unseen_phrasing(self, atom: Atom, language: str) -> str:
        """Return the phrasing of an atom in reworded prompts."""
        return self.held_out_phrasings[atom.name][language]


def choose_wording(
    atoms: Mapping[str, Atom],
    *,
    seed: int,
    num_held_out_frames: int,
    languages: Sequence[str],
    permutes_names: bool = False,
) -> Wording:
    """Choose held-out frames by a hash of (seed, language), phrasings by a hash of (seed, atom, language)."""
    return Wording(
        {language: _choose_frames(seed, language, num_held_out_frames) for language in languages},
        {
            atom.name: {language: _choose_phrasing(seed, atom, language) for language in languages}
            for atom in atoms.values()
        },
        permutes_names,
    )


def draw_prompt(
    rng: Random, tree: Call, language: str, *, frames: Sequence[Frame], wording: Wording, used: set[str]
) -> str | None:
    """Draw seen phrasings and one of the frames until the prompt is new, and add it to `used`; None if that fails."""
    for _ in range(PROMPT_ATTEMPTS):
        phrasings = [rng.choice(wording.get_seen_phrasings(call.atom, language)) for call in steps(tree)]
        prompt = describe(tree, frame=rng.choice(frames), phrasings=phrasings, names=wording.get_result_names(tree))
        if prompt not in used:
            used.add(prompt)
            return prompt
    return None


def draw_reworded_prompt(rng: Random, tree: Call, language: str, *, wording: Wording, used: set[str]) -> str | None:
    """Draw a reworded prompt that is new, and add it to `used`; None if there is none."""
    for prompt in build_reworded_prompts(rng, tree, language, wording=wording):
        if prompt not in used:
            used.add(prompt)
            return prompt
    return None


def build_reworded_prompts(rng: Random, tree: Call, language: str, *, wording: Wording) -> list[str]:
    """Write the prompt in every held-out frame, in random order, with the held-out phrasing of every step."""
    frames = wording.get_unseen_frames(language)
    phrasings = [wording.get_unseen_phrasing(call.atom, language) for call in steps(tree)]
    names = wording.get_result_names(tree)
    return [describe(tree, frame=frame, phrasings=phrasings, names=names) for frame in rng.sample(frames, len(frames))]


def describe(tree: Call, *, frame: Frame, phrasings: Sequence[str], names: str = RESULT_NAMES) -> str:
    """Write the prompt of a composition.

    Args:
        tree: the composition.
        frame: template that links the steps.
        phrasings: of each step's atom, in order of evaluation.
        names: variables for the results of the steps, in the same order; one letter each.
    """
    fields = {
        "typed": signature(tree),
        "bare": signature(tree, typed=False),
        "types": ", ".join(f"`{argument_name(param)}: {param.type_name}`" for param in parameters(tree)),
    }
    calls = steps(tree)
    parts = []
    for number, (call, phrasing) in enumerate(zip(calls, phrasings, strict=True)):
        step_fields = {
            **fields,
            "clause": _write_clause(phrasing, call, tree, frame, names),
            "Clause": _write_clause(phrasing[:1].upper() + phrasing[1:], call, tree, frame, names),
            "number": str(number + 1),
            "name": names[number],
        }
        parts.append(_fill(_choose_template(frame, number, len(calls)), step_fields))
    return _fill(frame.opening, fields) + frame.joiner.join(parts) + _fill(frame.closing, fields)


def _choose_frames(seed: int, language: str, num_frames: int) -> tuple[str, ...]:
    names = [frame.name for frame in FRAMES[language]]
    chosen = keyed_random(seed, "held-out frames", language).sample(names, num_frames)
    return tuple(name for name in names if name in chosen)


def _choose_phrasing(seed: int, atom: Atom, language: str) -> str:
    phrasings = atom.phrasings[language]
    return phrasings[int(keyed_fraction(seed, "held-out phrasing", atom.name, language) * len(phrasings))]


def _choose_template(frame: Frame, number: int, num_steps: int) -> str:
    if num_steps == 1:
        return frame.only
    if number == num_steps - 1:
        return frame.last
    return frame.first if number == 0 else frame.middle


def _write_clause(phrasing: str, call: Call, tree: Call, frame: Frame, names: str) -> str:
    slots = [slot.name for slot in call.atom.parameters]
    words = [_write_argument(arg, call, tree, frame, names) for arg in call.args]
    return _fill(phrasing, dict(zip(slots, words, strict=True)))


def _write_argument(arg: Node, call: Call, tree: Call, frame: Frame, names: str) -> str:
    if isinstance(arg, Constant):
        return repr(arg.value)
    if isinstance(arg, Param):
        return f"`{argument_name(arg)}`"
    number = step_number(tree, arg)
    template = frame.previous if number == step_number(tree, call) - 1 else frame.earlier
    return _fill(template, {"number": str(number + 1), "name": names[number]})


def _fill(template: str, fields: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: fields[match.group(1)], template)
