import json
from pathlib import Path

import pytest

from cli.main import main


def row(iteration: int, group: int, status: str, **changes) -> dict:
    reward = {"passed": 1.0, "wrong": 0.0}.get(status)
    return {
        "iteration": iteration, "rank": 0, "group": group, "task_id": f"rl-{group}", "depth": 2,
        "prompt": f"Write solve {group}.\n", "completion": f"def solve(x):\n    return x + {group}\n",
        "status": status, "num_passed": 3 if reward else 1, "num_tests": 3, "detail": "", "reward": reward,
        "reward_parts": None, "advantage": 0.25, "trained": reward is not None, "num_tokens": 11, "finished": True,
        "token_ids": [1],
    } | changes  # fmt: skip


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    (tmp_path / "rollouts").mkdir()
    for iteration in (0, 10):
        rows = [row(iteration, group, status) for group in range(3) for status in ("passed", "wrong")]
        rows[-1] = row(iteration, 2, "infra", finished=False, completion="x = 1\n" * 30)
        path = tmp_path / "rollouts" / f"iteration_{iteration}_rank_0.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return tmp_path


def test_shows_some_prompts_of_the_newest_iteration(run_dir: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["rollouts", "--run", str(run_dir), "--num-prompts", "2"]) == 0
    shown = capsys.readouterr().out
    assert (
        "iteration 10 (stored: 0, 10): 6 rollouts of 3 prompts, 3 passed, mean reward 0.600, 1 not trained on" in shown
    )
    assert [f"Write solve {group}." in shown for group in range(3)] == [True, True, False]
    assert "return x + 1" in shown
    assert "3/3" in shown
    assert "0.250" in shown


def test_a_lost_and_truncated_rollout_is_shown_as_such(run_dir: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["rollouts", "--run", str(run_dir), "--iteration", "0"]) == 0
    shown = capsys.readouterr().out
    for text in ("infra", "unknown", "not trained", "cut off", "... 10 more lines"):
        assert text in shown


def test_writes_all_rows_of_an_iteration(run_dir: Path, capsys) -> None:
    output = run_dir / "all.jsonl"
    assert main(["rollouts", "--run", str(run_dir), "--iteration", "0", "--output", str(output)]) == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [one["iteration"] for one in rows] == [0] * 6
    assert f"{output}: iteration 0, 6 rollouts of 3 prompts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--iteration", "3"], ["--iteration 3", "0, 10"]),
        (["--output", "none/out.jsonl"], ["--output", "no directory"]),
    ],
)
def test_wrong_options_are_named(run_dir: Path, capsys, options: list[str], words: list[str]) -> None:
    assert main(["rollouts", "--run", str(run_dir), *options]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words)


def test_a_run_without_rollouts_names_the_key(tmp_path: Path, capsys) -> None:
    assert main(["rollouts", "--run", str(tmp_path)]) == 2
    assert "log_rollouts.every_n_iterations" in capsys.readouterr().err
