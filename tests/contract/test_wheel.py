"""The wheel, away from the checkout: it holds its configs and its sandbox, and its commands run."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("cli", "configs", "datamodules", "executor", "lightning_modules")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = ["--exclude=./runs", "--exclude=./.venv", "--exclude=./.git", "--exclude=./build", "--exclude=./site"]
    source.mkdir()
    packed = subprocess.run(["tar", "-C", str(ROOT), *ignored, "-cf", "-", "."], capture_output=True, check=True)
    subprocess.run(["tar", "-C", str(source), "-xf", "-"], input=packed.stdout, check=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((folder / "dist").glob("atomforge-*.tar.gz"))) == 1
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, (folder / "dist").iterdir())]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    [found] = (folder / "dist").glob("atomforge-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_what_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    sources = {str(path.relative_to(ROOT)) for name in NAMES for path in (ROOT / name).rglob("*.py")}
    assert configs | sources | {f"{name}/py.typed" for name in NAMES} | {"executor/deploy/Dockerfile"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in names)


def test_its_names_shadow_nothing_of_the_standard_library() -> None:
    assert not set(NAMES) & sys.stdlib_module_names


def test_its_commands_run_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from cli.main import main; sys.exit(main())", *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
        return done.stdout

    where = "import cli; print(cli.__file__)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    shown = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert shown.stdout.startswith(str(installed))

    assert "python" in run("doctor")
    run("synthesize", "--config", "studies/layers/synthesis_smoke", "--output", "data")
    study = run("study", "--config", "studies/smoke", "--output", "study", "--dry-run")
    assert "base: sft" in study
    (tmp_path / "tasks.jsonl").write_text(
        '{"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}\n'
    )
    (tmp_path / "samples.jsonl").write_text('{"task_id": "t", "completion": "def f(x):\\n    return x + 1\\n"}\n')
    assert "1 passed" in run("grade", "--tasks", "tasks.jsonl", "--samples", "samples.jsonl", "--output", "out.jsonl")
