"""README and the page on curves say what is: every TensorBoard tag, every subcommand, configs that exist."""

import re
from pathlib import Path

from cli.main import SUBCOMMANDS
from lightning_modules.training.logging.tags import TAGS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURVES = (ROOT / "docs" / "curves.md").read_text(encoding="utf-8")


def test_every_tag_is_in_the_glossary_and_nothing_else() -> None:
    rows = dict(re.findall(r"^\| `([^`]+/[^`]+)` \| (.+) \|$", CURVES.partition("## All tags")[2], re.M))
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
