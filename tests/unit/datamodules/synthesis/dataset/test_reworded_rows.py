"""Held-out wording in the rows of a small build, read off their texts alone."""

import re
from dataclasses import replace

import pytest
from datasets import load_from_disk

from datamodules.atoms import ATOMS
from datamodules.encoding.tokenizer import training_texts
from datamodules.synthesis.audit import audit_dataset
from datamodules.synthesis.build import build, generate_dataset, write_dataset
from datamodules.synthesis.config import Counts, SynthesisConfig
from datamodules.synthesis.overlap import count_seen_rewordings, describe_first_seen_rewording
from datamodules.synthesis.wording.frame import Frame
from datamodules.synthesis.wording.frames import FRAMES
from tests.support.in_process import InProcess
from tests.support.toy_atoms import TOYS

CONFIG = SynthesisConfig(seed=5, counts=Counts(30, 12, 6, 8, 6, 8), num_tests=8, num_reward_tests=4)
TOY_CONFIG = replace(CONFIG, num_held_out_atoms=1, counts=Counts(5, 2, 1, 1, 1, 1))
FIELDS = {
    "typed": r"solve\([^`]*\) -> [^`]+",
    "bare": r"solve\([a-z, ]*\)",
    "types": "`[^`]+: [^`]+`(?:, `[^`]+: [^`]+`)*",
    "number": r"\d+",
    "name": r"\w+",
    "clause": ".+",
    "Clause": ".+",
}


def make(config=CONFIG, atoms=ATOMS):
    return generate_dataset(
        config, executor=InProcess(), verifier=InProcess(1), atoms=atoms, on_progress=lambda number: None
    )


@pytest.fixture(scope="module")
def made():
    return make()


def rows_of(splits):
    return [row for rows in splits.values() for row in rows]


def filled(template: str) -> str:
    """A pattern for what the template of a frame may have become."""
    parts = re.split(r"{(\w+)}", template)
    return "".join(FIELDS[part] if i % 2 else re.escape(part) for i, part in enumerate(parts))


def reading(frame: Frame) -> re.Pattern[str]:
    """A pattern for the prompts of a frame, whatever its steps say."""
    only, first, middle, last = (filled(part) for part in (frame.only, frame.first, frame.middle, frame.last))
    joiner = re.escape(frame.joiner)
    steps = f"(?:{only}|{first}(?:{joiner}{middle})*{joiner}{last})"
    return re.compile(filled(frame.opening) + steps + filled(frame.closing), re.DOTALL)


def saying(phrasing: str, language: str) -> re.Pattern[str]:
    """A pattern for a phrasing about arguments, constants and results of any frame."""
    references = {filled(text) for frame in FRAMES[language] for text in (frame.previous, frame.earlier)}
    argument = "(?:" + "|".join([r"`\w+`", r"-?\d+", r"'[^']*'", '"[^"]*"', "True", "False", *references]) + ")"
    return re.compile(argument.join(map(re.escape, re.split(r"{\w+}", phrasing))), re.IGNORECASE)


def frames_read(prompt: str, language: str) -> set[str]:
    return {frame.name for frame in FRAMES[language] if reading(frame).fullmatch(prompt)}


def test_no_prompt_has_a_held_out_frame_and_every_reworded_one_has(made):
    splits, manifest = made
    for row in rows_of(splits):
        held_out = set(manifest["held_out_frames"][row["language"]])
        assert frames_read(row["prompt"], row["language"])
        assert frames_read(row["prompt"], row["language"]).isdisjoint(held_out), row["prompt"]
        assert frames_read(row["reworded_prompt"], row["language"]) & held_out, row["reworded_prompt"]


def test_no_prompt_has_a_held_out_phrasing_and_every_reworded_one_has_those_of_all_its_atoms(made):
    splits, manifest = made
    for row in rows_of(splits):
        language = row["language"]
        for name in row["atoms"]:
            held_out = manifest["held_out_phrasings"][name][language]
            seen = [phrasing for phrasing in ATOMS[name].phrasings[language] if phrasing != held_out]
            assert len(seen) == 3
            assert not saying(held_out, language).search(row["prompt"]), row["prompt"]
            assert any(saying(phrasing, language).search(row["prompt"]) for phrasing in seen), row["prompt"]
            assert saying(held_out, language).search(row["reworded_prompt"]), row["reworded_prompt"]
            assert not any(saying(phrasing, language).search(row["reworded_prompt"]) for phrasing in seen)


def test_no_text_occurs_twice_among_prompts_and_reworded_prompts(made):
    rows = rows_of(made[0])
    texts = [row["prompt"] for row in rows] + [row["reworded_prompt"] for row in rows]
    assert len(set(texts)) == len(texts) == 2 * len(rows)


def test_atomic_rows_are_the_seen_phrasings(made):
    splits, manifest = made
    ids = {row["task_id"] for row in splits["atomic"]}
    for name, atom in ATOMS.items():
        for language in ("en", "zh"):
            held_out = atom.phrasings[language].index(manifest["held_out_phrasings"][name][language])
            assert [f"atomic/{name}/{language}/{i}" in ids for i in range(4)] == [i != held_out for i in range(4)]


def test_atoms_share_reworded_prompts_only_where_frames_are_too_few():
    splits, _ = make(replace(TOY_CONFIG, num_held_out_frames=2), TOYS)
    texts = [row["reworded_prompt"] for row in splits["atomic"] if row["task_id"].startswith("atomic/minus/en/")]
    assert len(texts) == 3
    assert len(set(texts)) == 2


def test_tasks_do_not_depend_on_what_is_held_out(made):
    splits, _ = make(replace(CONFIG, num_held_out_frames=7))
    for name, rows in splits.items():
        for one, other in zip(made[0][name], rows, strict=True):
            differing = {key for key in one if one[key] != other[key]}
            assert differing <= {"prompt", "reworded_prompt"}
    train = splits["synthetic_train"]
    assert [row["prompt"] for row in train] != [row["prompt"] for row in made[0]["synthetic_train"]]


def test_reworded_prompts_draw_apart_from_prompts(made, monkeypatch):
    """With prompts that are drawn otherwise, reworded ones stay."""
    from datamodules.synthesis.dataset import generate

    draw = generate.draw_prompt
    monkeypatch.setattr(generate, "draw_prompt", lambda rng, *rest, **more: (rng.random(), draw(rng, *rest, **more))[1])
    splits, _ = make()
    train, before = splits["synthetic_train"], made[0]["synthetic_train"]
    assert [row["prompt"] for row in train] != [row["prompt"] for row in before]
    assert [row["reworded_prompt"] for row in train] == [row["reworded_prompt"] for row in before]


def test_the_tokenizer_is_trained_on_no_reworded_prompt(made, tmp_path):
    write_dataset(tmp_path / "data", *made, library={})
    texts = set(training_texts(load_from_disk(str(tmp_path / "data"))))
    assert {row["prompt"] for row in made[0]["synthetic_train"]} <= texts
    assert texts.isdisjoint(row["reworded_prompt"] for row in rows_of(made[0]))


def test_rewordings_that_are_seen_are_counted_by_split_whatever_their_white_space():
    prompts = {"one": ["add  it\nup", "sort it"], "two": ["other"]}
    assert count_seen_rewordings(prompts, ["add it up ", "third"]) == {"one": 1, "two": 0}
    assert describe_first_seen_rewording({"one": 0, "two": 0}) is None
    assert describe_first_seen_rewording({"one": 0, "two": 3}) == "two has 3 prompts that are reworded prompts of tasks"


@pytest.mark.parametrize("training", ["atomic", "synthetic_train", "synthetic_rl"])
def test_an_audit_finds_a_reworded_prompt_in_training(made, tmp_path, training):
    splits, manifest = made
    leaked = {**splits[training][2], "prompt": splits["synthetic_test"][1]["reworded_prompt"]}
    rows = [*splits[training][:2], leaked, *splits[training][3:]]
    write_dataset(tmp_path / "data", {**splits, training: rows}, manifest, library={})
    found = audit_dataset(tmp_path / "data", InProcess())
    assert not found.is_clean
    assert {split: number for split, number in found.seen_rewordings.items() if number} == {training: 1}
    assert found.changed_splits == (training,)


def test_an_audit_of_an_honest_build_finds_none(made, tmp_path):
    write_dataset(tmp_path / "data", *made, library={})
    found = audit_dataset(tmp_path / "data", InProcess())
    assert found.is_clean
    assert set(found.seen_rewordings.values()) == {0}


def test_a_build_with_a_reworded_prompt_in_training_writes_nothing(tmp_path, monkeypatch):
    from datamodules.synthesis.dataset import generate

    monkeypatch.setattr(generate, "draw_reworded_prompt", lambda rng, tree, language, *, wording, used: max(used))
    with pytest.raises(
        ValueError, match=r"nothing was written: \w+ has \d+ prompts that are reworded prompts of tasks"
    ):
        build(tmp_path / "data", TOY_CONFIG, executor=InProcess(), verifier=InProcess(1), atoms=TOYS)
    assert list(tmp_path.iterdir()) == []
