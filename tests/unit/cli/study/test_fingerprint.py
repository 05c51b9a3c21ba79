"""What the fingerprint of an arm depends on."""

from pathlib import Path

import pytest

from cli.study import fingerprint as module
from cli.study.fingerprint import MARKER, compute_fingerprint, hash_sources
from cli.study.plan import Stage


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text("trainer: { max_epochs: 3, precision: 32-true } # three\n")
    return path


def fingerprint(layer: Path, **changes) -> str:
    given = {"seed": 0, "measurement": {"splits": {"s": [4, 8]}}, "num_threads": 1, "data": {"sha256": {"s": "x"}}}
    given |= {"parent": "p", "overrides": {"trainer.max_epochs": 4}, "kind": "sft"} | changes
    stage = Stage(
        name="n", kind=given.pop("kind"), parent="other", configs=(str(layer),), overrides=given.pop("overrides")
    )
    return compute_fingerprint(stage, given.pop("seed"), **given)


def test_everything_that_affects_numbers_changes_the_fingerprint(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(layer)
    assert fingerprint(layer) == first
    changes = [
        {"seed": 1},
        {"kind": "rl"},
        {"parent": None},
        {"num_threads": 2},
        {"data": {"sha256": {"s": "y"}}},
        {"overrides": {"trainer.max_epochs": 5}},
        {"measurement": {"splits": {"s": [5, 8]}}},
        {"measurement": {"splits": {"s": [4, 9]}}},
    ]
    found = {fingerprint(layer, **change) for change in changes}
    assert len(found) == len(changes)
    assert first not in found
    layer.write_text("# another comment\ntrainer: { max_epochs: 3, precision: 32-true }\n")
    assert fingerprint(layer) == first
    layer.write_text("trainer: { max_epochs: 3, precision: bf16-mixed }\n")
    assert fingerprint(layer) != first
    monkeypatch.setattr(module, "hash_sources", lambda: "other sources")
    assert fingerprint(layer) != first


def test_a_part_left_out_of_a_mixture_changes_the_fingerprint(tmp_path: Path) -> None:
    """Later files replace a mixture and do not add to it, so what an earlier one holds must not hide a change."""
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text("data: { init_args: { mixture: { atomic: {}, synthetic_train: {} } } }\n")
    found = set()
    for mixture in ("{ atomic: {}, synthetic_train: {} }", "{ atomic: {} }"):
        over.write_text(f"data: {{ init_args: {{ mixture: {mixture} }} }}\n")
        stage = Stage(name="n", kind="sft", configs=(str(base), str(over)))
        found.add(compute_fingerprint(stage, 0, measurement={}, num_threads=1, data={"sha256": {}}, parent=None))
    assert len(found) == 2


def test_documentation_and_marked_files_are_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lightning_modules"
    package.mkdir()
    monkeypatch.setattr(module, "ROOT", tmp_path)

    def digest(losses: str, shown: str = "") -> str:
        (package / "losses.py").write_text(losses)
        (package / "shown.py").write_text(f"{MARKER} (shows)\n{shown}")
        hash_sources.cache_clear()
        return hash_sources()

    first = digest('"""One."""\nX = 1\n')
    assert digest('"""Two."""\nX = 1  # a comment\n', "Y = 2\n") == first
    assert digest('"""One."""\nX = 2\n') != first
    hash_sources.cache_clear()
