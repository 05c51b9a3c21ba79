"""On macOS, as far as Linux can simulate it, no command needs what only Linux has; sandboxes are Docker Desktop's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.macos.names import list_missing_names, simulate_macos

BACKEND = "tests.support.macos.linux_elsewhere.LinuxElsewhere"
TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}
SAMPLE = {"task_id": "t", "completion": "def f(x):\n    return x + 1\n"}
HELP = """
from cli.main import SUBCOMMANDS, main
for name in SUBCOMMANDS:
    assert main([name, "--help"]) == 0, name
"""


def run_on_macos(folder: Path, *words: str, code: int = 0, timeout_s: float = 280) -> str:
    """Run Python on simulated macOS in a folder; return standard output."""
    command = [sys.executable, *words]
    environment = simulate_macos(folder) | {"DOCKER_HOST": f"unix://{folder}/no-engine.sock"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == code, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


def test_typeshed_knows_what_macos_lacks() -> None:
    assert list_missing_names("os") >= {"sched_getaffinity", "pidfd_open", "memfd_create", "setresuid", "pipe2"}
    assert list_missing_names("select") >= {"epoll"}
    assert list_missing_names("resource") >= {"prlimit"}
    assert not list_missing_names("fcntl") & {"flock", "LOCK_EX"}


def test_simulation_hides_linux_from_the_project_alone(tmp_path: Path) -> None:
    checks = (
        "import executor.machine as machine, os, sys",
        "assert machine.sys.platform == sys.platform == 'linux' and hasattr(os, 'sched_getaffinity')",
        "assert not machine.is_linux()",
        "exec(compile('import os; assert not hasattr(os, \"memfd_create\")', machine.__file__, 'exec'))",
    )
    run_on_macos(tmp_path, "-c", "\n".join(checks))


def test_every_command_shows_its_help(tmp_path: Path) -> None:
    assert "--num-workers" in run_on_macos(tmp_path, "-c", HELP)


def test_doctor_reports_what_works(tmp_path: Path) -> None:
    lines = run_on_macos(tmp_path, "-m", "cli.main", "doctor", "--json", code=1).splitlines()
    found = {line["name"]: line for line in map(json.loads, lines)}
    assert found["system"]["level"] == "ok"
    assert found["system"]["detail"].startswith("Darwin")
    assert "bubblewrap exists on Linux only: use docker" in found["bubblewrap"]["detail"]
    assert found["bubblewrap"]["fix"] == ""
    assert found["sandbox"]["fix"] == found["docker"]["fix"] != ""


def test_grade_runs_programs_elsewhere_and_not_in_plain_processes(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(json.dumps(TASK) + "\n")
    (tmp_path / "samples.jsonl").write_text(json.dumps(SAMPLE) + "\n")
    grade = ("-m", "executor.commands", "grade", "--tasks", "tasks.jsonl", "--samples", "samples.jsonl")
    assert "1 passed" in run_on_macos(tmp_path, *grade, "--output", "out.jsonl", "--backend", BACKEND)
    run_on_macos(tmp_path, *grade, "--output", "none.jsonl", "--backend", "process", code=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_trains_and_evaluates(tmp_path: Path) -> None:
    demo = ("-m", "cli.main", "demo", "--config", "demo/smoke", "--output", "out", "--backend", BACKEND)
    assert "grpo - sft, paired by task" in run_on_macos(tmp_path, *demo, timeout_s=800)
