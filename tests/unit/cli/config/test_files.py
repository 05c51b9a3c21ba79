"""Finding and reading config files, and the sources of a command in their order."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from cli.config.files import SHIPPED, find_config, flatten, load_config, read_arguments, read_sources, read_yaml
from executor.commands.errors import UsageError


def test_sources_come_in_the_order_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\n")
    (tmp_path / "b.yaml").write_text("x: 2\n")
    line = ["--config", f"{tmp_path}/a.yaml", "--p.q=3", f"--config={tmp_path}/b.yaml", "--r", "[1]", "--print_config"]
    assert [(source.origin, source.settings) for source in read_arguments(line)] == [
        (f"{tmp_path}/a.yaml", {"x": 1}),
        ("command line", {"p": {"q": 3}}),
        (f"{tmp_path}/b.yaml", {"x": 2}),
        ("command line", {"r": [1]}),
        ("command line", {}),
    ]


def test_parser_gets_the_content_of_files_and_options_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: {y: 1.0e-5}\n")
    line = ["--config", f"{tmp_path}/a.yaml", "--run_dir", "007", "--z=1", "--help"]
    words = [list(source.words) for source in read_arguments(line)]
    assert words[0][0] == "--config"
    assert yaml.safe_load(words[0][1]) == {"x": {"y": 1.0e-5}}
    assert words[1:] == [["--run_dir", "007"], ["--z=1"], ["--help"]]


@pytest.mark.parametrize("option", ["--model.init_args.kl.target", "--model.kl.target"])
@pytest.mark.parametrize("value", ["null", "None", "~"])
def test_null_of_a_nested_key_is_passed_as_a_config(option: str, value: str) -> None:
    for line in ([option, value], [f"{option}={value}"]):
        [source] = read_arguments(line)
        assert source.settings == {"model": {"init_args": {"kl": {"target": None}}}}
        assert source.words[0] == "--config"
        assert yaml.safe_load(source.words[1]) == source.settings


@pytest.mark.parametrize("option", ["--model.init_args.lora", "--trainer.max_time"])
def test_null_of_another_key_is_passed_as_it_is(option: str) -> None:
    [source] = read_arguments([option, "null"])
    assert source.words == [option, "null"]


@pytest.mark.parametrize("rest", [[], ["--run_dir", "runs/x"]])
def test_an_option_without_a_value_is_named(rest: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--model\.init_from needs a value$"):
        list(read_arguments(["--model.init_from", *rest]))


def test_overrides_apply_on_top_of_files() -> None:
    sources = read_sources(["sft"], {"model.lr": 0.1, "data.init_args.tasks": None, "trainer.max_epochs": 2})
    assert [source.settings for source in sources[1:]] == [
        {"model": {"init_args": {"lr": 0.1}}},
        {"data": {"init_args": {"tasks": None}}},
        {"trainer": {"max_epochs": 2}},
    ]
    assert sources[0].settings == read_yaml("sft")


def test_config_without_a_file_is_an_error() -> None:
    with pytest.raises(UsageError, match="--config"):
        list(read_arguments(["--config"]))


def test_flatten_names_every_value() -> None:
    assert flatten({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}


@dataclass(frozen=True, kw_only=True)
class Settings:
    x: int
    y: str = "a"


def test_config_dataclass_is_read_with_overrides(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("x: 1\n")
    assert load_config(Settings, tmp_path / "c.yaml", {"y": "b"}) == Settings(x=1, y="b")
    (tmp_path / "c.yaml").write_text("x: 1\nz: 1\n")
    with pytest.raises(UsageError, match="c.yaml: unknown key z"):
        load_config(Settings, tmp_path / "c.yaml")


def test_a_shipped_file_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sft", "sft.yaml", "configs/sft.yaml"):
        assert find_config(name) == SHIPPED / "sft.yaml"
    assert find_config("rl/rloo") == SHIPPED / "rl" / "rloo.yaml"
    (tmp_path / "sft.yaml").write_text("seed_everything: 7\n")
    assert read_yaml("sft.yaml") == {"seed_everything": 7}  # a path wins
    assert find_config("sft") == SHIPPED / "sft.yaml"


def test_a_name_that_is_none_is_refused_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r"config file studies/smok: No such file or directory; did you mean 'studies/smoke'"
    ):
        read_yaml("studies/smok")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="config file folder: it is not a file"):
        read_yaml("folder")
    with pytest.raises(UsageError, match="No such file"):
        find_config("__init__.py")  # lies there, and is no config
