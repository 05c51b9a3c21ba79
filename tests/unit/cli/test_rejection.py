import json
from pathlib import Path

import pytest

from cli.evaluation.rejection import KEPT, RejectionConfig, sample_passing, select_passing
from cli.study.plan import Stage
from executor.commands.errors import UsageError
from executor.types import Status
from lightning_modules.evaluation.records import GradedCompletion, TaskResult
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import write_policy


def completion(text: str, *, passed: bool = True, finished: bool = True) -> GradedCompletion:
    status = Status.PASSED if passed else Status.WRONG
    return GradedCompletion(
        completion=text, num_tokens=3, finished=finished, status=status.value, num_passed=int(passed), num_tests=1
    )


def task(task_id: str, *samples: GradedCompletion) -> TaskResult:
    return TaskResult(
        task_id=task_id, prompt=f"do {task_id}", language="en", depth=3, greedy=None, samples=samples, atoms=("f",)
    )


def test_keeps_the_first_different_finished_programs_that_pass() -> None:
    tasks = [
        task("a", completion("x", passed=False), completion("y"), completion("y"), completion("z"), completion("w")),
        task("b", completion("x", finished=False), completion("x", passed=False)),
        task("c", completion("v")),
    ]
    rows = select_passing(tasks, max_kept=2)
    assert [(row["task_id"], row["solution"]) for row in rows] == [("a", "y"), ("a", "z"), ("c", "v")]
    assert rows[0]["prompt"] == "do a"
    assert rows[0]["depth"] == 3
    assert [row["solution"] for row in select_passing(tasks, max_kept=1)] == ["y", "v"]


def test_a_program_is_the_target_not_its_completion() -> None:
    rows = select_passing([task("a", completion("[x]"))], max_kept=1, to_program=lambda text: text.strip("[]"))
    assert rows[0]["solution"] == "x"


def test_invalid_settings_name_key_and_value() -> None:
    for name in ("num_samples", "max_kept", "max_new_tokens", "batch_size", "num_tasks"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            RejectionConfig(**{name: 0})
    with pytest.raises(ValueError, match="kind rft needs sampling"):
        Stage(name="a", kind="rft", parent="b")
    with pytest.raises(ValueError, match="kind rft needs sampling"):
        Stage(name="a", kind="sft", sampling=RejectionConfig())
    with pytest.raises(ValueError, match="kind rft starts from a model"):
        Stage(name="a", kind="rft", sampling=RejectionConfig())


def test_an_interrupted_sampling_continues_to_the_same_result(tmp_path: Path) -> None:
    data_dir = write_small_data(tmp_path / "data")
    policy = write_policy(tmp_path / "policy", data_dir)
    config = RejectionConfig(num_tasks=2, num_samples=3, max_new_tokens=4, dtype="float32", num_sampled_reward_tests=0)

    def sample(name: str):
        return sample_passing(policy, str(data_dir), config, tmp_path / name, seed=1, backend="process")

    whole = sample("whole")
    assert (whole.num_tasks, whole.num_completions, whole.num_kept) == (2, 6, 0)
    assert whole.completion_tokens <= 6 * 4 < whole.total_tokens
    rows = (tmp_path / "whole" / "samples.jsonl").read_text().splitlines()
    assert len(rows) == 6
    (tmp_path / "cut").mkdir()
    settings = (tmp_path / "whole" / "settings.json").read_text()
    (tmp_path / "cut" / "settings.json").write_text(settings)
    (tmp_path / "cut" / "samples.jsonl").write_text("\n".join(rows[:2]) + "\n")
    assert sample("cut") == whole
    assert sorted((tmp_path / "cut" / "samples.jsonl").read_text().splitlines()) == sorted(rows)
    assert (tmp_path / "cut" / KEPT).read_text() == ""

    (tmp_path / "cut" / "samples.jsonl").unlink()  # a complete output is not sampled again
    assert sample("cut") == whole
    (tmp_path / "cut" / "settings.json").write_text(json.dumps({**json.loads(settings), "num_samples": 4}))
    (tmp_path / "cut" / "samples.jsonl").write_text(rows[0] + "\n")
    with pytest.raises(UsageError, match="started with num_samples 4, not 3"):
        sample("cut")
