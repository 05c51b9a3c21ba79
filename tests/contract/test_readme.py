"""The README says what is: its glossary holds every TensorBoard tag, its commands are real subcommands."""

import re
from pathlib import Path

from cli.main import SUBCOMMANDS
from lightning_modules.tags import TAGS

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_tag_is_in_the_glossary_and_nothing_else() -> None:
    rows = dict(re.findall(r"^\| `([^`]+/[^`]+)` \| (.+) \|$", README.partition("## Reading the curves")[2], re.M))
    assert rows == TAGS


def test_every_command_is_a_subcommand_and_every_subcommand_is_told() -> None:
    told = set(re.findall(r"`?atomforge ([a-z]+) (?:--|DIR|\[|build)", README))
    assert told <= set(SUBCOMMANDS)
    assert set(SUBCOMMANDS) - told <= {"validate", "test"}


def test_every_config_named_exists() -> None:
    named = set(re.findall(r"configs/[\w/]+\.yaml", README))
    assert named
    for name in named:
        assert (Path(__file__).resolve().parents[2] / name).exists(), name
