import pytest
import yaml

from datamodules.synthesis.config import Counts, SynthesisConfig
from executor.commands.config import parse_dataclass


def test_the_files_in_the_project_parse_and_mean_what_they_say():
    with open("configs/synthesis.yaml", encoding="utf-8") as file:
        full = parse_dataclass(SynthesisConfig, yaml.safe_load(file), source="synthesis.yaml")
    with open("configs/synthesis_small.yaml", encoding="utf-8") as file:
        small = parse_dataclass(SynthesisConfig, yaml.safe_load(file), source="synthesis_small.yaml")
    assert full == SynthesisConfig()
    assert small.counts == Counts(3000, 1000, 200, 320, 100, 100)


@pytest.mark.parametrize(
    ("mapping", "line"),
    [
        ({"sed": 1}, "unknown key sed"),
        ({"counts": {"training": 1}}, "unknown key counts.training"),
        ({"counts": 7}, "counts must be a mapping"),
        ({"counts": {"train": "many"}}, "counts.train must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"num_held_out_frames": 11}, "num_held_out_frames must be a whole number from 0 to 10, not 11"),
        ({"num_held_out_frames": -1}, "num_held_out_frames must be a whole number from 0 to 10, not -1"),
        ({"num_tests": 0}, "num_tests must be a whole number from 1 to"),
        ({"languages": ["fr"]}, "languages must be a list of en, zh"),
        ({"languages": "en"}, "languages must be a list"),
        ({"counts": {"rl": 0}}, "counts: rl must be a whole number from 1 to"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(mapping, line):
    with pytest.raises(ValueError, match=line) as error:
        parse_dataclass(SynthesisConfig, mapping, source="mine.yaml")
    assert str(error.value).startswith("mine.yaml: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"counts": {"test": 5}},
        {"num_held_out_atoms": 3},
        {"num_held_out_frames": 0},
        {"num_tests": 9},
        {"num_reward_tests": 9},
    ],
)
def test_every_key_changes_the_configuration(change):
    assert parse_dataclass(SynthesisConfig, change, source="x") != SynthesisConfig()
