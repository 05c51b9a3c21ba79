"""The comparison of two settings of `rollout`, on scores worked by hand."""

from argparse import Namespace

import pytest

from benchmarks import rollout_equivalence
from benchmarks.rollout_equivalence import describe_difference

METRIC = "pass@1 sampled"


@pytest.mark.parametrize(
    ("second", "line"),
    [
        (0.5, "+0.000 (95% interval -0.168 to +0.168): not shown to be non-inferior (0.05)"),
        (0.0, "-0.500 (95% interval "),
    ],
)
def test_difference_is_paired_and_has_a_margin(second: float, line: str) -> None:
    # 20 tasks with equal differences: up to 1 - 0.025**(1/20) = 0.168 of all tasks could differ, by up to 1 either way
    args = Namespace(settings=["engine=native", "engine=vllm"], margin=0.05)
    scores = {
        setting: [{METRIC: {f"t{task}": score for task in range(20)}}] * 2
        for setting, score in zip(args.settings, (0.5, second), strict=True)
    }
    found = describe_difference(args, METRIC, scores)
    assert found.startswith(f"\n{METRIC}, engine=vllm - engine=native: ")
    assert line in found
    assert "not shown to be non-inferior" in found


def test_small_difference_of_many_tasks_is_non_inferior() -> None:
    args = Namespace(settings=["staleness=0", "staleness=1"], margin=0.05)
    scores = {setting: [{METRIC: {f"t{task}": 0.5 for task in range(400)}}] * 3 for setting in args.settings}
    assert describe_difference(args, METRIC, scores).endswith("to +0.009): non-inferior (0.05)")


@pytest.mark.parametrize("wrong", ["engine", "engine=", "=vllm"])
def test_setting_without_a_key_or_a_value_is_rejected(wrong, monkeypatch, capsys):
    words = ["--checkpoint", "sft", "--data", "data", "--output", "out", "--settings", wrong, "engine=vllm"]
    monkeypatch.setattr("sys.argv", ["rollout_equivalence.py", *words])
    with pytest.raises(SystemExit) as stopped:
        rollout_equivalence.main()
    assert stopped.value.code == 2
    assert f"--settings: {wrong!r} is not KEY=VALUE" in capsys.readouterr().err
