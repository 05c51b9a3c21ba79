"""The documentation builds without a warning; the commands of tutorial, tour and own tasks run, in their order."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.S)
    for line in block.splitlines()
]


def run_command(words: list[str], folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli.main", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    commands = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    assert "atomforge synthesize" in commands
    keys = (tmp_path / "site" / "reference" / "keys" / "index.html").read_text(encoding="utf-8")
    assert "--model.kl.target" in keys
    assert "--data.num_sampled_reward_tests" in keys
    modules = (tmp_path / "site" / "reference" / "modules" / "index.html").read_text(encoding="utf-8")
    assert "SFTDataModule" in modules
    assert "paired_mean_difference" in modules


def test_every_link_to_a_file_leads_to_one() -> None:
    dead = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("executor/*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in link and not (page.parent / link).exists():
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_runs(tmp_path: Path) -> None:
    assert len(COMMANDS) == 7
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for line in COMMANDS:
        words = shlex.split(line)
        assert words[0] == "atomforge"
        run_command(words[1:], tmp_path)
    assert (tmp_path / "runs" / "tutorial" / "rl" / "checkpoints" / "final.ckpt").exists()
    assert (tmp_path / "runs" / "tutorial" / "evaluation" / "results.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_tasks_are_trained_on_and_judged_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```json\n(.*?)```", page, re.S)
    (tmp_path / "mine.jsonl").write_text("".join(example.replace("mine/0", f"mine/{number}") for number in range(48)))
    [script] = re.findall(r"```python\n(.*?)```", page, re.S)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    smoke = {"sft": "studies/layers/smoke_sft", "ppo": "studies/layers/smoke_rl"}
    _, checking, training = re.findall(r"```bash\n(.*?)```", page, re.S)
    for line in training.splitlines():
        words = [word for word in shlex.split(line) if word != "atomforge"]
        if words[0] == "fit":
            words[3:3] = ["--config", smoke[words[2]]]
        else:
            words += ["--num-samples", "1", "--max-new-tokens", "8"]
        run_command(words, tmp_path)
    assert (tmp_path / "runs" / "split_rl" / "checkpoints" / "final.ckpt").exists()
    to_samples, grading = checking.splitlines()
    subprocess.run(to_samples.replace("python", sys.executable, 1), shell=True, cwd=tmp_path, check=True)
    run_command(shlex.split(grading)[1:], tmp_path)
    checked = [json.loads(line) for line in (tmp_path / "checked.jsonl").read_text().splitlines()]
    assert [row["status"] for row in checked] == ["passed"] * 48


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tour_of_the_readme_shows_what_it_says(tmp_path: Path) -> None:
    tour = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Five minutes")[2].partition("\n## ")[0]
    [block] = re.findall(r"```bash\n(.*?)```", tour, re.S)
    commands = [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("atomforge ")]
    assert len(commands) == 2
    small = ROOT / "configs" / "studies" / "layers" / "synthesis_smoke.yaml"
    run_command(["synthesize", "--config", str(small), "--output", "runs/demo/data"], tmp_path)
    losses = []
    for words in commands:
        run_command(words, tmp_path)
        curves = EventAccumulator(str(tmp_path / words[words.index("--run_dir") + 1]))
        curves.Reload()
        losses.append([point.value for point in curves.Scalars("loss/train")])
    assert len(losses[0]) == len(losses[1]) == 50
    assert losses[0][-1] < losses[1][-1] < losses[1][0]
