"""Reading YAML and checking keys."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.config.files import SUBCLASS, KeyCheck, given_settings, read_yaml
from cli.config.names import SHIPPED, find_config, with_paths
from executor.commands.errors import UsageError


@dataclass
class Inner:
    rate: float = 0.1


class Model:
    def __init__(self, width: int = 1, inner: Inner | None = None) -> None: ...


class OpenModel:
    def __init__(self, **anything) -> None: ...


KNOWN = {"run_dir": None, "trainer": {"max_epochs": None, "precision": None}, "model": SUBCLASS}
MODEL = f"{__name__}.Model"


def check(*settings: dict) -> KeyCheck:
    checker = KeyCheck(KNOWN)
    for number, mapping in enumerate(settings):
        checker.check(mapping, origin=f"{number}.yaml")
    return checker


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"run_dri": "x"}, "0.yaml: unknown key run_dri; did you mean 'run_dir'?"),
        ({"zzz": {}}, "0.yaml: unknown key zzz"),
        ({"trainer": {"max_epoch": 1}}, "0.yaml: unknown key trainer.max_epoch; did you mean 'max_epochs'?"),
        ({"trainer": 3}, "0.yaml: trainer takes keys of its own, got 3"),
        (
            {"model": {"class_path": MODEL, "init_arg": {}}},
            "0.yaml: unknown key model.init_arg; did you mean 'init_args'?",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": {"widht": 1}}},
            "0.yaml: unknown key model.init_args.widht; did you mean 'width'?",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": {"inner": {"rat": 1}}}},
            "0.yaml: unknown key model.init_args.inner.rat; did you mean 'rate'?",
        ),
        (
            {"model": {"class_path": f"{__name__}.Modle"}},
            f"0.yaml: model.class_path is {__name__}.Modle, but {__name__} has no class Modle; did you mean 'Model'?",
        ),
        (
            {"model": {"class_path": "no.such.Thing"}},
            "0.yaml: model.class_path is no.such.Thing, but there is no module no.such",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": None}},
            "0.yaml: model.init_args takes keys ({} for none), got None",
        ),
        ({"model": 3}, "0.yaml: model needs class_path and init_args, got 3"),
    ],
)
def test_unknown_keys(settings: dict, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(settings)
    assert str(caught.value) == line


def test_good_settings_pass() -> None:
    check(
        {"run_dir": "x", "trainer": {"precision": "32"}, "model": {"class_path": MODEL, "init_args": {"width": 2}}},
        {"model": {"init_args": {"inner": {"rate": 1.0}}}},
        {"model": {"class_path": f"{__name__}.OpenModel", "init_args": {"whatever": 1}}},
    )


def test_an_overlay_is_checked_against_the_class_of_the_base() -> None:
    with pytest.raises(UsageError, match=r"^1\.yaml: unknown key model\.init_args\.zzz$"):
        check({"model": {"class_path": MODEL}}, {"model": {"init_args": {"zzz": 2}}})


def test_origin_is_the_last_to_set_a_key() -> None:
    checker = check({"trainer": {"max_epochs": 1, "precision": "32"}}, {"trainer": {"max_epochs": 2}})
    assert checker.origin_of("trainer.max_epochs") == "1.yaml"
    assert checker.origin_of("trainer.precision") == "0.yaml"
    assert checker.origin_of("run_dir") is None


def test_settings_come_in_the_order_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\n")
    (tmp_path / "b.yaml").write_text("x: 2\n")
    line = ["--config", f"{tmp_path}/a.yaml", "--p.q=3", f"--config={tmp_path}/b.yaml", "--r", "[1]", "--print_config"]
    assert list(given_settings(line)) == [
        (f"{tmp_path}/a.yaml", {"x": 1}),
        ("command line", {"p": {"q": 3}}),
        (f"{tmp_path}/b.yaml", {"x": 2}),
        ("command line", {"r": [1]}),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"a: 1\nb: [\n", "c.yaml:3: not valid YAML: expected the node content, but found '<stream end>'"),
        (b"a: 1\nb: c: d\n", "c.yaml:2: not valid YAML: mapping values are not allowed here"),
        (b"- a\n", "c.yaml: a config file holds `key: value` lines, this one holds a list"),
        (b"# nothing\n", "c.yaml: the config file is empty"),
        (b"\xff\xfe\x00", "cannot read the config file c.yaml: not UTF-8 text"),
        (None, "cannot read the config file c.yaml: No such file or directory"),
    ],
)
def test_broken_files(text: bytes | None, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("c.yaml").write_bytes(text)
    with pytest.raises(UsageError) as caught:
        read_yaml("c.yaml")
    assert str(caught.value) == line


def test_a_shipped_file_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sft", "sft.yaml", "configs/sft.yaml"):
        assert find_config(name) == SHIPPED / "sft.yaml"
    assert find_config("rl/grpo") == SHIPPED / "rl" / "grpo.yaml"
    assert with_paths(["--config", "sft", "--config=rl/grpo", "--run_dir", "sft"]) == [
        "--config",
        str(SHIPPED / "sft.yaml"),
        f"--config={SHIPPED / 'rl' / 'grpo.yaml'}",
        "--run_dir",
        "sft",
    ]
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
    with pytest.raises(UsageError, match="config file folder: it is no file"):
        read_yaml("folder")
    with pytest.raises(UsageError, match="No such file"):
        find_config("__init__.py")  # lies there, and is no config
