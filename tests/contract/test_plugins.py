"""The three plug-in points with the examples of the documentation, as it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import load_from_disk

from executor.api import open_executor
from executor.types import Run
from lightning_modules.training.logging.run_logger import read_curves

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "plugins"


def atomforge(*words: object, folder: Path = EXAMPLES, code: int = 0) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "import sys; from cli.main import main; sys.exit(main())", *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("plugins") / "data"
    atomforge("synthesize", "--config", "synthesis.yaml", "--output", output)
    return output


def test_atoms_from_outside_are_composed_and_audited(data: Path, tmp_path: Path) -> None:
    splits = load_from_disk(str(data))
    names = {name for row in splits["atomic"] for name in row["atoms"]}
    assert {"swap_neighbours", "count_near_mean"} <= names
    assert len(names) == 102
    manifest = json.loads((data / "manifest.json").read_text())
    assert manifest["config"]["plugin_atoms"] == ["my_atoms"]
    assert str(ROOT) not in json.dumps(manifest)
    assert "no two splits overlap" in atomforge("audit", data)
    said = atomforge("audit", data, folder=tmp_path, code=2)
    assert "plugin_atoms: there is no module my_atoms here or on PYTHONPATH" in said


HEAD = "from datamodules.atoms.registry import atom\n\n\n@atom(\n    en={texts},\n    zh={texts},\n)\n"
TEXTS = tuple(f"wording {number} of {{values}}" for number in range(4))


@pytest.mark.parametrize(
    ("function", "line"),
    [
        ("def in_order(values: list[int]) -> list[int]:\n    return sorted(values)", "it behaves as quicksort"),
        (
            "def transpose(values: list[int]) -> list[int]:\n    return values",
            "an atom called transpose already",
        ),
        (
            "def fails(values: list[int]) -> int:\n    return values[99]",
            "fails cannot be a task: raises on its own",
        ),
        ("def untyped(values) -> int:\n    return 1", "no type annotation for values"),
        ("def odd(values: complex) -> int:\n    return 1", "no default domain for type 'complex'"),
    ],
)
def test_an_atom_that_cannot_be_one_is_told_in_one_line(function: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "more_atoms.py").write_text(HEAD.format(texts=repr(TEXTS)) + function + "\n")
    config = yaml.safe_load((EXAMPLES / "synthesis.yaml").read_text()) | {"plugin_atoms": ["more_atoms"]}
    (tmp_path / "synthesis.yaml").write_text(yaml.safe_dump(config))
    said = atomforge("synthesize", "--config", "synthesis.yaml", "--output", "data", folder=tmp_path, code=2)
    assert line in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_a_module_without_atoms_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty_atoms.py").write_text("")
    (tmp_path / "synthesis.yaml").write_text("plugin_atoms: [empty_atoms]\n")
    said = atomforge("synthesize", "--config", "synthesis.yaml", "--output", "data", folder=tmp_path, code=2)
    assert "plugin_atoms: empty_atoms holds no atom" in said


def test_a_backend_of_ones_own_runs_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    source = "import os\ndef solve(n):\n    return [n + 1, os.getpriority(os.PRIO_PROCESS, 0)]"
    with open_executor("my_backend.LowPriorityBackend", num_workers=1) as executor:
        assert executor.description.startswith("low-priority: NOT a sandbox")
        [found] = executor.run([Run(source=source, entry_point="solve", calls=([1],))])
    assert found.results[0].value == [2, 19]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("my_backend.Nothing", "backend: the module my_backend has no Nothing"),
        ("my_backend.os", "backend: my_backend.os must be a class"),
        ("my_reward.brevity", r"backend: my_reward.brevity must accept \(\*, hash_seed: int\)"),
        (
            "types.SimpleNamespace",
            "types.SimpleNamespace has no name, description, start, close, with_profile",
        ),
    ],
)
def test_what_is_no_backend_is_told(path: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    with pytest.raises(ValueError, match=line):
        open_executor(path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_reward_of_ones_own_is_added_and_drawn(data: Path, tmp_path: Path) -> None:
    smoke = "studies/layers/smoke_"
    data_dir = ("--data.init_args.data_dir", data)
    atomforge("fit", "--config", "sft", "--config", f"{smoke}sft", *data_dir, "--run_dir", tmp_path / "sft")
    atomforge(
        *("fit", "--config", "ppo", "--config", f"{smoke}rl", *data_dir, "--run_dir", tmp_path / "rl"),
        *("--model.init_args.init_from", tmp_path / "sft", "--model.init_args.reward_function", "my_reward.brevity"),
    )
    assert "reward/custom" in read_curves(tmp_path / "rl")
