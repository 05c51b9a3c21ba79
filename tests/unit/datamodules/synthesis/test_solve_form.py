"""Data sets whose solutions hold the entry point alone, and splits with depths of their own."""

import json
import re
from collections import Counter

import pytest
from datasets import load_from_disk

from datamodules.atoms import ATOMS
from datamodules.synthesis.audit import audit_dataset
from datamodules.synthesis.build import build
from datamodules.synthesis.composition.render import RESULT_NAMES, permute_names, render_entry_function
from datamodules.synthesis.composition.tree import Call, Param
from datamodules.synthesis.config import Counts, Depths, SynthesisConfig
from datamodules.synthesis.dataset.library import read_library
from executor.commands.config import parse_dataclass
from executor.grading.tasks.library import select_from_library
from executor.sandbox.codec import decode_value, encode_value
from tests.support.in_process import InProcess

CONFIG = SynthesisConfig(
    seed=5,
    counts=Counts(train=24, rl=12, val=6, test=8, test_deeper=4, test_held_out_atoms=4),
    solution_form="solve",
    depths=Depths(train=(1, 2), rl=(1, 2, 3), val=(2, 3), test=(2, 3, 4, 5)),
    extra_train={3: 3},
    num_tests=8,
    num_reward_tests=4,
    languages=("en",),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("solve") / "data"
    build(path, CONFIG, executor=InProcess(), verifier=InProcess(1))
    return path


@pytest.fixture(scope="module")
def dataset(directory):
    return load_from_disk(str(directory))


def test_splits_have_equal_shares_of_their_depths(dataset):
    depths = {split: Counter(table["depth"]) for split, table in dataset.items()}
    assert depths["synthetic_train"] == {1: 12, 2: 12, 3: 3}
    assert depths["synthetic_rl"] == {1: 4, 2: 4, 3: 4}
    assert depths["synthetic_test"] == {2: 2, 3: 2, 4: 2, 5: 2}
    assert depths["synthetic_test_deeper"] == {4: 2, 5: 2}


def test_solutions_define_solve_alone_and_run_with_the_library(dataset):
    for table in dataset.values():
        library = read_library(table.select([0]))
        assert library.keys() == ATOMS.keys()
        for row in table:
            assert re.findall(r"^def (\w+)", row["solution"], re.M) == ["solve"]
            namespace = {}
            exec(select_from_library(library, row["solution"]) + row["solution"], namespace)
            test = json.loads(row["tests"])[0]
            result = namespace["solve"](*[decode_value(arg) for arg in test["args"]])
            assert encode_value(result) == test["expected"]


def test_names_of_results_are_permuted_and_agree_with_the_prompt(dataset):
    firsts = Counter()
    for row in dataset["synthetic_train"]:
        names = re.findall(r"^    (\w) = ", row["solution"], re.M)
        assert len(set(names)) == len(names)
        firsts.update(names[:1])
        if "call it" in row["prompt"].lower():
            assert all(f"`{name}`" in row["prompt"] for name in names)
    assert len(firsts) > 3


def test_equal_trees_get_equal_names():
    atom = ATOMS["clamp"] if "clamp" in ATOMS else next(iter(ATOMS.values()))
    leaves = tuple(Param(i, slot.type_name, slot.domain) for i, slot in enumerate(atom.parameters))
    tree = Call(atom, leaves)
    assert permute_names(tree) == permute_names(Call(atom, leaves))
    assert sorted(permute_names(tree)) == sorted(RESULT_NAMES)
    assert render_entry_function(tree).startswith("def solve(a: ")


def test_the_audit_runs_solutions_with_the_library(directory):
    found = audit_dataset(directory, InProcess())
    assert found.is_clean
    assert found.changed_splits == ()


@pytest.mark.parametrize(
    ("mapping", "line"),
    [
        ({"solution_form": "body"}, "solution_form must be one of whole, solve, not 'body'"),
        ({"depths": {"train": []}}, "depths: train must be a list of depths"),
        ({"depths": {"train": [0]}}, "depths: train must be a whole number from 1 to 6, not 0"),
        ({"depths": {"trian": [2]}}, "unknown key depths.trian"),
        ({"depths": [2, 3]}, "depths must be a mapping"),
        ({"extra_train": {9: 5}}, "extra_train: a depth must be a whole number from 1 to 6, not 9"),
        ({"extra_train": {3: -1}}, "extra_train.3 must be a whole number"),
    ],
)
def test_mistakes_name_file_and_key(mapping, line):
    with pytest.raises(ValueError, match=line):
        parse_dataclass(SynthesisConfig, mapping, source="mine.yaml")


def test_new_keys_leave_the_identity_of_older_data_sets_alone():
    assert not {"solution_form", "depths", "extra_train"} & SynthesisConfig().to_mapping().keys()
    mapping = CONFIG.to_mapping()
    assert mapping["extra_train"] == {"3": 3}
    assert mapping["depths"]["test"] == [2, 3, 4, 5]
    assert json.loads(json.dumps(mapping)) == mapping
