import re

import pytest

from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.tree import Call, Constant, Param, depth_one
from datamodules.synthesis.wording.describe import describe
from datamodules.synthesis.wording.frames import FRAMES
from tests.support.toy_atoms import TOYS

VALUES = Param(0, "list[int]", Lists(Ints()))
NUMBER = Param(1, "int", Ints())
CHAIN = Call(TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["rotate"], (VALUES, NUMBER)),)), Constant(7)))
FORK = Call(
    TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["ordered"], (VALUES,)),)), Call(TOYS["largest"], (VALUES,)))
)
ENGLISH = {frame.name: frame for frame in FRAMES["en"]}
ALL = [pytest.param(language, frame, id=frame.name) for language in FRAMES for frame in FRAMES[language]]


def phrasings(tree, language, which=0):
    from datamodules.synthesis.composition.tree import steps

    return [call.atom.phrasings[language][which] for call in steps(tree)]


def test_a_chain_in_english_word_for_word():
    assert describe(CHAIN, frame=ENGLISH["first_then"], phrasings=phrasings(CHAIN, "en")) == (
        "Write `solve(a: list[int], b: int) -> int`: first rotate `a` left by `b`, then take the largest of the "
        "result, finally subtract 7 from the result."
    )


def test_numbered_lines_name_their_steps():
    assert describe(FORK, frame=ENGLISH["numbered_lines"], phrasings=phrasings(FORK, "en", 1)) == (
        "`solve(a: list[int]) -> int`\n"
        "1. Put `a` in order\n"
        "2. Find the maximum of the result of step 1\n"
        "3. Find the maximum of `a`\n"
        "4. Take the result of step 3 away from the result of step 2"
    )


def test_named_results():
    assert describe(FORK, frame=ENGLISH["to_get"], phrasings=phrasings(FORK, "en")) == (
        "Implement `solve(a: list[int]) -> int`. Sort `a` to get `x`. Take the largest of `x` to get `y`. "
        "Take the largest of `a` to get `z`. Return what you get when you subtract `z` from `y`."
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_are_a_dozen_different_frames(language):
    prompts = {describe(CHAIN, frame=frame, phrasings=phrasings(CHAIN, language)) for frame in FRAMES[language]}
    assert len(prompts) == len(FRAMES[language]) >= 12


@pytest.mark.parametrize(("language", "frame"), ALL)
def test_every_frame_names_solve_its_arguments_and_leaves_no_gap(language, frame):
    for tree in (CHAIN, FORK, depth_one(TOYS["rotate"])):
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
