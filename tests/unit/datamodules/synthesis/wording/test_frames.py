import re

import pytest

from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.tree import Call, Constant, Param, build_depth_one
from datamodules.synthesis.wording.frames import FRAMES
from datamodules.synthesis.wording.prompts import describe
from tests.support.toy_atoms import TOYS

VALUES = Param(0, "list[int]", Lists(Ints()))


NUMBER = Param(1, "int", Ints())


CHAIN = Call(TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["rotate"], (VALUES, NUMBER)),)), Constant(7)))


FORK = Call(
    TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["ordered"], (VALUES,)),)), Call(TOYS["largest"], (VALUES,)))
)


ALL = [pytest.param(language, frame, id=frame.name) for language in FRAMES for frame in FRAMES[language]]


def phrasings(tree, language, which=0):
    from datamodules.synthesis.composition.tree import steps

    return [call.atom.phrasings[language][which] for call in steps(tree)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_a_dozen_different_frames(language):
    prompts = {describe(CHAIN, frame=frame, phrasings=phrasings(CHAIN, language)) for frame in FRAMES[language]}
    assert len(prompts) == len(FRAMES[language]) >= 12


@pytest.mark.parametrize(("language", "frame"), ALL)
def test_every_frame_names_solve_its_arguments_and_leaves_no_gap(language, frame):
    for tree in (CHAIN, FORK, build_depth_one(TOYS["rotate"])):
        prompt = describe(tree, frame=frame, phrasings=phrasings(tree, language))
        assert "solve" in prompt
        assert "`a`" in prompt
        assert not re.search(r"[{}]", prompt)
        assert "  " not in prompt


@pytest.mark.parametrize(("language", "frame"), ALL)
def test_older_results_are_told_from_the_last_one(language, frame):
    """In FORK the last step takes two results; a frame that called both the same would be ambiguous."""
    sort, top, other_top, difference = phrasings(FORK, language)
    marked = describe(FORK, frame=frame, phrasings=[sort, top, other_top, "<{left}><{right}>"])
    left, right = re.findall(r"<([^<>]*)>", marked)
    assert left != right


def test_most_frames_give_types():
    for language in FRAMES:
        typed = [
            "list[int]" in describe(CHAIN, frame=f, phrasings=phrasings(CHAIN, language)) for f in FRAMES[language]
        ]
        assert sum(typed) > len(typed) / 2
        assert not all(typed)
