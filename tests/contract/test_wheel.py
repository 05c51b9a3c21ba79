"""The wheels of atomforge and atomforge-executor, away from the checkout: their files, and their commands."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINING_PACKAGES = ("cli", "configs", "datamodules", "lightning_modules")
HEAVY = ("torch", "lightning", "transformers", "datasets", "numpy")
TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}
SAMPLE = {"task_id": "t", "completion": "def f(x):\n    return x + 1\n"}
SYNTHESIS = {
    "counts": dict.fromkeys(("train", "rl", "val", "test", "test_deeper", "test_held_out_atoms"), 2),
    "languages": ["en"], "num_tests": 8, "num_reward_tests": 4,
}  # fmt: skip
GRADE = ("grade", "--tasks", "tasks.jsonl", "--samples", "samples.jsonl", "--output", "out.jsonl")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both distributions from a copy of the checkout: atomforge and atomforge-executor."""
    folder = tmp_path_factory.mktemp("wheels")
    source, dist = folder / "source", folder / "dist"
    # caches change while other tests run
    ignored = ["--exclude=./.*", "--exclude=__pycache__", "--exclude=./runs", "--exclude=./build", "--exclude=./site"]
    source.mkdir()
    packed = subprocess.run(["tar", "-C", str(ROOT), *ignored, "-cf", "-", "."], capture_output=True, check=True)
    subprocess.run(["tar", "-C", str(source), "-xf", "-"], input=packed.stdout, check=True)
    for project in (source, source / "executor"):
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(project)]
        done = subprocess.run(build, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    assert len(list(dist.glob("*.tar.gz"))) == 2
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    checked = subprocess.run(check, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    [atomforge], [executor] = dist.glob("atomforge-*.whl"), dist.glob("atomforge_executor-*.whl")
    return atomforge, executor


@pytest.fixture(scope="module")
def environment(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install atomforge-executor and its dependencies, and nothing else, in an empty environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    pip_install(folder, "-c", str(ROOT / "constraints.txt"), str(wheels[1]))
    return folder


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tasks.jsonl").write_text(json.dumps(TASK) + "\n")
    (tmp_path / "samples.jsonl").write_text(json.dumps(SAMPLE) + "\n")
    return tmp_path


def pip_install(environment: Path, *arguments: str) -> None:
    """Install in an environment without pip, with the pip of this one."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(environment), "install", "-q"]
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def call(command: list[str], folder: Path, *, code: int = 0, timeout_s: int = 120, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == code, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout + done.stderr


def list_files(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_wheels_share_no_file_and_hold_every_module(wheels: tuple[Path, Path]) -> None:
    training, executor = map(list_files, wheels)
    assert not training & executor
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    sources = {
        name: {str(path.relative_to(ROOT)) for path in (ROOT / name).rglob("*.py")}
        for name in (*TRAINING_PACKAGES, "executor")
    }
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "cli" / "report" / "templates").iterdir()}
    modules = (sources[name] | {f"{name}/py.typed"} for name in TRAINING_PACKAGES)
    assert training == configs.union(templates, *modules)
    assert sources["executor"] | {"executor/py.typed", "executor/deploy/Dockerfile"} <= executor
    assert all(name.startswith("executor/") for name in executor)


def test_metadata_pins_the_same_version_and_the_executor_needs_no_torch(wheels: tuple[Path, Path]) -> None:
    training, executor = (
        Parser().parsestr(
            zipfile.ZipFile(wheel).read("-".join(wheel.name.split("-")[:2]) + ".dist-info/METADATA").decode()
        )
        for wheel in wheels
    )
    assert training["Version"] == executor["Version"]
    assert f"atomforge-executor=={training['Version']}" in training.get_all("Requires-Dist", [])
    needed = [line for line in executor.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert needed
    assert not [line for line in needed if line.startswith(HEAVY)]


def test_package_names_shadow_nothing_of_the_standard_library() -> None:
    assert not {*TRAINING_PACKAGES, "executor"} & sys.stdlib_module_names


def test_executor_alone_grades_and_reports(environment: Path, files: Path) -> None:
    program = str(environment / "bin" / "atomforge-executor")
    assert "1 passed" in call([program, *GRADE, "--backend", "process"], files)
    assert json.loads((files / "out.jsonl").read_text())["status"] == "passed"
    lines = call([program, "doctor", "--json"], files, code=0 if sandbox_works() else 1).splitlines()
    names = {json.loads(line)["name"] for line in lines}
    assert {"python", "pydantic", "bubblewrap", "docker"} <= names
    assert not names & {"torch", "gpu", "slurm"}
    convert = [program, "convert", "--from", "apps", "--input", "codeparrot/apps", "--output", "apps.jsonl"]
    assert "atomforge-executor[hub]" in call(convert, files, code=2)
    (files / "service.yaml").write_text("port: 0\n")
    assert "atomforge-executor[serve]" in call([program, "serve", "--config", "service.yaml"], files, code=2)


def test_atomforge_beside_the_executor_offers_the_same_commands(
    environment: Path, wheels: tuple[Path, Path], files: Path
) -> None:
    pip_install(environment, "--no-deps", str(wheels[0]))
    executor, atomforge = (str(environment / "bin" / name) for name in ("atomforge-executor", "atomforge"))
    assert "1 passed" in call([atomforge, *GRADE, "--backend", "process"], files)
    for name in ("grade", "convert", "serve", "doctor"):
        shown = [call([program, name, "--help"], files) for program in (executor, atomforge)]
        assert shown[0].replace("atomforge-executor", "atomforge").split() == shown[1].split()
    assert "--offline" in call([atomforge, "executor", "build", "--help"], files)
    found = [json.loads(line) for line in call([atomforge, "doctor", "--json"], files, code=1).splitlines()]
    [torch] = [one for one in found if one["name"] == "torch"]
    assert (torch["level"], torch["fix"]) == ("broken", "pip install atomforge")


def test_commands_of_both_wheels_run_away_from_the_checkout(wheels: tuple[Path, Path], files: Path) -> None:
    """The dependencies are those of this environment."""
    installed = files / "installed"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(installed)
    variables = {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        return call([sys.executable, "-m", "cli.main", *words], files, **variables)

    where = "import cli, executor; print(cli.__file__, executor.__file__)"
    assert call([sys.executable, "-c", where], files, **variables).count(str(installed)) == 2
    assert "python" in run("doctor")
    (files / "synthesis.yaml").write_text(json.dumps(SYNTHESIS))
    run("synthesize", "--config", "synthesis.yaml", "--output", "data")
    study = run("study", "--config", "studies/smoke", "--output", "study", "--dry-run")
    assert "base: sft" in study
    assert "1 passed" in run(*GRADE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_runs_from_the_wheels_in_an_empty_directory(wheels: tuple[Path, Path], tmp_path: Path) -> None:
    """In an environment of its own with the wheels; their dependencies, torch among them, are those of this one."""
    folder = tmp_path / "environment"
    venv.create(folder)
    pip_install(folder, "--no-deps", *map(str, wheels))
    [site_packages] = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (empty := tmp_path / "empty").mkdir()
    demo = [str(folder / "bin" / "atomforge"), "demo", "--config", "demo/smoke"]
    shown = call(demo, empty, timeout_s=800, OMP_NUM_THREADS="1")
    assert "grpo - sft, paired by task" in shown
    assert [path.name for path in empty.iterdir()] == ["runs"]
    assert {"data", "results.json", "report.html", "sft", "grpo"} <= {
        path.name for path in (empty / "runs" / "demo_smoke").iterdir()
    }


def sandbox_works() -> bool:
    from executor.commands.doctor import Level, check_sandbox

    return any(check_sandbox(name).level is Level.OK for name in ("bubblewrap", "docker"))
