"""Files for a base model: what they say, and that they are apart from every other split and change none."""

import ast
from dataclasses import replace

import pytest

from datamodules.atoms import ATOMS
from datamodules.encoding.prompt_format import format_file_head
from datamodules.synthesis.audit import audit_dataset, read_splits
from datamodules.synthesis.build import write_dataset
from datamodules.synthesis.composition.tree import build_depth_one
from datamodules.synthesis.dataset.split import PRETRAINING, SPLITS
from datamodules.synthesis.overlap import Keys, count_overlaps, describe_first_overlap, drop_single_atom_files
from datamodules.synthesis.wording.frames import DOCSTRINGS
from datamodules.synthesis.wording.prompts import describe
from tests.support.in_process import InProcess
from tests.unit.datamodules.synthesis.test_build import CONFIG, make

WITH_FILES = replace(CONFIG, counts=replace(CONFIG.counts, pretraining=20))


@pytest.fixture(scope="module")
def made():
    return make(WITH_FILES)


def test_everything_else_stays_what_it_is(made):
    splits, manifest = made
    plain, plain_manifest = make()
    assert list(splits) == [*SPLITS, PRETRAINING]
    assert {name: splits[name] for name in SPLITS} == plain
    assert {name: manifest["sha256"][name] for name in SPLITS} == plain_manifest["sha256"]
    assert "pretraining" not in plain_manifest["config"]["counts"]


def test_atoms_and_compositions(made):
    files = made[0][PRETRAINING]
    assert [row["depth"] for row in files].count(1) == 600
    assert sorted({row["depth"] for row in files}) == [1, 2, 3]
    assert len(files) == 620
    held_out = set(made[1]["held_out_atoms"])
    assert not any(held_out.intersection(row["atoms"]) for row in files if row["depth"] > 1)


def test_what_a_docstring_says():
    atom = ATOMS["digit_sum"]
    words = [describe(build_depth_one(atom), frame=frame, phrasings=["add {n} up"]) for frame in DOCSTRINGS["en"]]
    assert words == ["Add `a` up.", "solve(a: int) -> int\n\nAdd `a` up."]
    assert format_file_head(words[0]) == '"""Add `a` up."""\n\n\n'


def test_files_are_programs_with_their_description_as_docstring(made):
    for row in made[0][PRETRAINING]:
        module = ast.parse(format_file_head(row["prompt"]) + row["solution"])
        assert ast.get_docstring(module, clean=False) == row["prompt"]


def test_the_audit_finds_files_apart(made, tmp_path):
    splits, manifest = made
    assert describe_first_overlap(manifest["overlaps"]) is None
    assert f"synthetic_train & {PRETRAINING}" in manifest["overlaps"]
    write_dataset(tmp_path / "data", splits, manifest, library={})
    assert read_splits(tmp_path / "data")[PRETRAINING] == splits[PRETRAINING]
    assert audit_dataset(tmp_path / "data", InProcess()).is_clean
    stolen = [dict(row) for row in splits[PRETRAINING]]
    stolen[-1] = {**splits["synthetic_test"][0], "task_id": stolen[-1]["task_id"]}
    write_dataset(tmp_path / "stolen", {**splits, PRETRAINING: stolen}, manifest, library={})
    found = audit_dataset(tmp_path / "stolen", InProcess()).overlaps[f"synthetic_test & {PRETRAINING}"]
    assert found == {"prompt": 1, "program": 1, "skeleton": 1, "behaviour": 1}


def test_atoms_alone_are_in_two_splits_by_nature():
    alone, composed = Keys("p", "1", "f(P0)", "b"), Keys("q", "2", "g(f(P0))", "c")
    rows = {"atomic": [alone], PRETRAINING: [alone, composed], "synthetic_train": [composed]}
    assert count_overlaps(drop_single_atom_files(rows))[f"atomic & {PRETRAINING}"]["program"] == 0
    assert count_overlaps(drop_single_atom_files(rows))[f"{PRETRAINING} & synthetic_train"]["program"] == 1
