import random
import re

import pytest

from datamodules.atoms import ATOMS
from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.tree import Call, Constant, Param
from datamodules.synthesis.wording.frames import FRAMES
from datamodules.synthesis.wording.prompts import (
    Wording,
    build_reworded_prompts,
    choose_wording,
    describe,
    draw_prompt,
    draw_reworded_prompt,
)
from tests.support.toy_atoms import TOYS

VALUES = Param(0, "list[int]", Lists(Ints()))
NUMBER = Param(1, "int", Ints())
TREE = Call(TOYS["largest"], (Call(TOYS["rotate"], (VALUES, NUMBER)),))
BY_HAND = Wording(
    {"en": ("first_then", "bare"), "zh": ("bu_zhou",)},
    {
        "rotate": {"en": "turn {values} {k} places left", "zh": "把 {values} 循环左移 {k}"},
        "largest": {"en": "pick the greatest of {values}", "zh": "求 {values} 中最大者"},
    },
)


def choose(seed, atoms=ATOMS, *, num_held_out_frames=3, languages=("en", "zh")):
    return choose_wording(atoms, seed=seed, num_held_out_frames=num_held_out_frames, languages=languages)


def test_reworded_prompts_word_for_word():
    assert sorted(build_reworded_prompts(random.Random(0), TREE, "en", wording=BY_HAND)) == [
        "Code `solve(a, b)` to turn `a` `b` places left, and pick the greatest of what results.",
        "Write `solve(a: list[int], b: int) -> int`: first turn `a` `b` places left, "
        "finally pick the greatest of the result.",
    ]
    assert build_reworded_prompts(random.Random(0), TREE, "zh", wording=BY_HAND) == [
        "补全 `solve(a: list[int], b: int) -> int`。第 1 步：把 `a` 循环左移 `b`。第 2 步：求 上一步的结果 中最大者。"
    ]


def test_seen_is_what_is_not_held_out():
    assert len(BY_HAND.get_seen_frames("en")) == len(FRAMES["en"]) - 2
    assert {frame.name for frame in BY_HAND.get_seen_frames("en")}.isdisjoint({"first_then", "bare"})
    assert [frame.name for frame in BY_HAND.get_unseen_frames("zh")] == ["bu_zhou"]
    assert BY_HAND.get_seen_phrasings(TOYS["rotate"], "en") == (
        "rotate {values} left by {k}",
        "shift {values} left {k} times",
        "wind {values} back by {k}",
    )


def test_a_prompt_of_training_never_has_what_is_held_out():
    prompts = {
        draw_prompt(random.Random(i), TREE, "en", frames=BY_HAND.get_seen_frames("en"), wording=BY_HAND, used=set())
        for i in range(400)
    }
    assert len(prompts) > 90  # 12 frames, 3 phrasings of either step: 108 in all
    for prompt in prompts:
        assert not prompt.startswith(("Write `solve(a: list[int], b: int) -> int`: first", "Code `solve(a, b)` to"))
        assert "places left" not in prompt
        assert "pick the greatest" not in prompt.lower()


def test_a_taken_prompt_is_drawn_anew_until_none_is_left():
    used: set[str] = set()
    count_draw = [draw_reworded_prompt(random.Random(7), TREE, "en", wording=BY_HAND, used=used) for _ in range(3)]
    assert len({prompt for prompt in count_draw if prompt is not None}) == 2
    assert count_draw[2] is None
    assert used == set(count_draw[:2])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_many_frames_as_asked_for_and_one_phrasing_an_atom(seed):
    wording = choose(seed)
    for language in ("en", "zh"):
        assert len(wording.held_out_frames[language]) == 3
        assert len(wording.get_seen_frames(language)) + 3 == len(FRAMES[language]) == 14
        for atom in ATOMS.values():
            assert wording.get_unseen_phrasing(atom, language) in atom.phrasings[language]
            assert len(wording.get_seen_phrasings(atom, language)) == 3


def test_the_choice_for_an_atom_depends_on_nothing_but_seed_name_and_language():
    alone = choose(4, {"bounce": ATOMS["bounce"]}, num_held_out_frames=1, languages=("zh",))
    assert alone.held_out_phrasings["bounce"]["zh"] == choose(4).held_out_phrasings["bounce"]["zh"]
    # SHA-256 of "(0, 'held-out phrasing', 'bounce', 'en')" begins with c85c: 0xc85c / 0x10000 * 4 = 3.13
    assert choose(0).held_out_phrasings["bounce"]["en"] == ATOMS["bounce"].phrasings["en"][3]


def test_neighbouring_seeds_hold_out_other_frames_and_other_phrasings():
    wordings = [choose(seed) for seed in range(20)]
    assert len({tuple(w.held_out_frames.items()) for w in wordings}) == 20
    for one, other in zip(wordings, wordings[1:], strict=False):
        pairs = [(name, language) for name in ATOMS for language in ("en", "zh")]
        num_same = sum(one.held_out_phrasings[n][la] == other.held_out_phrasings[n][la] for n, la in pairs)
        assert 20 < num_same < 80  # of 200, a quarter by chance


def test_every_phrasing_and_every_frame_is_held_out_by_some_seed():
    wordings = [choose(seed) for seed in range(60)]
    assert {w.held_out_phrasings["bounce"]["en"] for w in wordings} == set(ATOMS["bounce"].phrasings["en"])
    assert {name for w in wordings for name in w.held_out_frames["zh"]} == {frame.name for frame in FRAMES["zh"]}


def test_without_held_out_frames_reworded_prompts_have_any_frame():
    wording = choose(0, num_held_out_frames=0)
    assert wording.get_seen_frames("en") == wording.get_unseen_frames("en") == FRAMES["en"]


def test_the_four_phrasings_of_an_atom_differ_in_more_than_punctuation():
    for atom in ATOMS.values():
        for texts in atom.phrasings.values():
            assert len({re.sub(r"\W", "", text).lower() for text in texts}) == len(texts) == 4


CHAIN = Call(TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["rotate"], (VALUES, NUMBER)),)), Constant(7)))


FORK = Call(
    TOYS["minus"], (Call(TOYS["largest"], (Call(TOYS["ordered"], (VALUES,)),)), Call(TOYS["largest"], (VALUES,)))
)


ENGLISH = {frame.name: frame for frame in FRAMES["en"]}


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
