"""Which frames and phrasings training sees, and which are held out for a seed. Pure.

Of each language some frames are held out, and of each atom one phrasing a language; hashes choose them. A prompt that
is trained on has seen ones only, a reworded prompt held-out ones only (`prompts` draws both, `describe` writes them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datamodules.atoms import Atom
from datamodules.synthesis.composition.render import RESULT_NAMES, permute_names
from datamodules.synthesis.composition.tree import Call
from datamodules.synthesis.dataset.seeding import fraction, generator
from datamodules.synthesis.wording.frames import FRAMES, Frame


@dataclass(frozen=True)
class Wording:
    """What is held out; everything else is seen."""

    held_out_frames: Mapping[str, tuple[str, ...]]
    """Names of frames by language, in the order of their definition."""
    held_out_phrasings: Mapping[str, Mapping[str, str]]
    """By atom and language, the phrasing itself."""
    permutes_names: bool = False
    """Whether results of steps are named by a permutation of each task's own."""

    def result_names(self, tree: Call) -> str:
        """Return the names of the steps' results, in order; one letter each."""
        return permute_names(tree) if self.permutes_names else RESULT_NAMES

    def seen_frames(self, language: str) -> tuple[Frame, ...]:
        """Return the frames of prompts that are trained on."""
        held_out = self.held_out_frames[language]
        return tuple(frame for frame in FRAMES[language] if frame.name not in held_out)

    def unseen_frames(self, language: str) -> tuple[Frame, ...]:
        """Return the frames of reworded prompts: those held out, or all where none are."""
        held_out = self.held_out_frames[language]
        return tuple(frame for frame in FRAMES[language] if frame.name in held_out or not held_out)

    def seen_phrasings(self, atom: Atom, language: str) -> tuple[str, ...]:
        """Return the phrasings of an atom in prompts that are trained on."""
        held_out = self.unseen_phrasing(atom, language)
        return tuple(phrasing for phrasing in atom.phrasings[language] if phrasing != held_out)

    def unseen_phrasing(self, atom: Atom, language: str) -> str:
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
    """Choose what is held out: frames by a hash of (seed, language), phrasings by one of (seed, atom, language)."""
    return Wording(
        {language: _choose_frames(seed, language, num_held_out_frames) for language in languages},
        {
            atom.name: {language: _choose_phrasing(seed, atom, language) for language in languages}
            for atom in atoms.values()
        },
        permutes_names,
    )


def _choose_frames(seed: int, language: str, num_frames: int) -> tuple[str, ...]:
    names = [frame.name for frame in FRAMES[language]]
    chosen = generator(seed, "held-out frames", language).sample(names, num_frames)
    return tuple(name for name in names if name in chosen)


def _choose_phrasing(seed: int, atom: Atom, language: str) -> str:
    phrasings = atom.phrasings[language]
    return phrasings[int(fraction(seed, "held-out phrasing", atom.name, language) * len(phrasings))]
