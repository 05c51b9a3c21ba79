"""Config dataclasses from YAML: strict types, and errors that name the file, the key and the value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from executor.commands.config import parse_dataclass, read_yaml
from executor.commands.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str
    count: int = 1
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be at least 0, not {self.count}")


@dataclass(frozen=True, kw_only=True)
class Whole:
    parts: tuple[Part, ...] = ()
    single: Part | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    rate: float | None = None
    title: str = "x"
    flag: bool = False


def parse(settings: Mapping[str, Any], **options: Any) -> Whole:
    return parse_dataclass(Whole, settings, source="c.yaml", **options)


def test_nested_values_are_built_and_missing_keys_keep_their_defaults() -> None:
    given = {"parts": [{"name": "p"}], "overrides": {"a.b": {"c": [1]}}, "words": ["x"], "rate": 1}
    assert parse(given) == Whole(parts=(Part(name="p"),), overrides={"a.b": {"c": [1]}}, words=("x",), rate=1.0)
    assert parse({"single": {"name": "q", "kind": "b"}}).single == Part(name="q", kind="b")
    assert parse({"single": None}) == Whole()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prats": []}, ["unknown key prats", "'parts'"]),
        ({"zzz": None}, ["unknown key zzz; known keys: ", "parts"]),
        ({"parts": [{"nmae": "p"}]}, ["unknown key parts.0.nmae", "'name'"]),
        ({"single": {"name": "p", "knid": None}}, ["unknown key single.knid", "'kind'"]),
        ({"parts": [{}]}, ["parts.0.name is missing"]),
        ({"parts": {}}, ["parts", "a list", "{}"]),
        ({"single": 3}, ["single", "a mapping", "3"]),
        ({"parts": [{"name": 1}]}, ["parts.0.name", "text", "1"]),
        ({"parts": [{"name": "p", "count": "1"}]}, ["parts.0.count", "a whole number", "'1'"]),
        ({"parts": [{"name": "p", "count": True}]}, ["parts.0.count", "a whole number", "True"]),
        ({"parts": [{"name": "p", "count": -1}]}, ["parts.0: count must be at least 0, not -1"]),
        ({"parts": [{"name": "p", "kind": "c"}]}, ["parts.0.kind", "'a' or 'b'", "'c'"]),
        ({"rate": "1e-3"}, ["rate", "a number", "'1e-3'"]),
        ({"flag": 1}, ["flag", "true or false", "1"]),
        ({"overrides": []}, ["overrides", "a mapping", "[]"]),
    ],
)
def test_error_names_file_key_and_value(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(settings)
    assert str(caught.value).startswith("c.yaml: ")
    assert [word for word in words if word not in str(caught.value)] == []


def test_section_and_renamed_keys_are_named() -> None:
    with pytest.raises(UsageError, match=r"c.yaml: whole.parts.0.num was renamed to whole.parts.count"):
        parse({"parts": [{"num": 1}]}, prefix="whole.", renamed={"whole.parts.num": "whole.parts.count"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: 1\nb: [\n", ["c.yaml:3: not valid YAML"]),
        (b"a: 1\nb: c: d\n", ["c.yaml:2: not valid YAML"]),
        (b"- a\n", ["c.yaml", "a list"]),
        (b"# nothing\n", ["c.yaml", "empty"]),
        (b"\xff\xfe\x00", ["c.yaml", "UTF-8"]),
        (None, ["c.yaml", "No such file"]),
    ],
)
def test_broken_files(text: bytes | None, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("c.yaml").write_bytes(text)
    with pytest.raises(UsageError) as caught:
        read_yaml(Path("c.yaml"))
    assert [word for word in words if word not in str(caught.value)] == []
