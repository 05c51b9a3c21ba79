"""A reward function by dotted path: where it is added, what it never sees, what it may not return."""

import math
import sys
from pathlib import Path

import pytest

from executor.backends.plugin import load_object
from executor.types import Outcome, Reward, Status
from lightning_modules.generation.sampler import Completion
from lightning_modules.rl.custom_reward import add_custom_reward, load_reward_function
from tests.support.small_data import task_prompt

PROMPT = task_prompt("task 7")
TEXTS = [Completion(text, [1], [0.0], True) for text in "abc"]


def outcome(status: Status, total: float | None) -> Outcome:
    reward = None if total is None else Reward(total=total, parts={"passed": total})
    return Outcome(status=status, num_passed=0, num_tests=1, duration_s=0.5, reward=reward)


def test_it_is_added_to_known_rewards_and_never_sees_a_fault_of_the_sandbox() -> None:
    seen = []

    def half_for_depth(*, prompt, completion, outcome):
        seen.append((prompt.task_id, completion, outcome.status))
        return prompt.depth / 4

    outcomes = [outcome(Status.PASSED, 1.0), outcome(Status.INFRA, None), outcome(Status.WRONG, 0.25)]
    found = add_custom_reward(outcomes, [PROMPT] * 3, TEXTS, half_for_depth)
    assert seen == [("task 7", "a", Status.PASSED), ("task 7", "c", Status.WRONG)]
    assert [item.reward and item.reward.total for item in found] == [1.5, None, 0.75]
    assert found[0].reward is not None
    assert found[0].reward.parts == {"passed": 1.0, "custom": 0.5}
    assert outcomes[0].reward is not None
    assert outcomes[0].reward.total == 1.0  # as it was


@pytest.mark.parametrize("value", [None, True, "1", math.nan, math.inf])
def test_what_is_no_finite_number_is_told_with_the_task(value) -> None:
    with pytest.raises(ValueError, match="must return a finite number; on task task 7 it returned"):
        add_custom_reward([outcome(Status.WRONG, 0.0)], [PROMPT], TEXTS[:1], lambda **_: value)


def test_its_failure_is_one_line() -> None:
    def broken(**_):
        raise KeyError("no\nsuch key")

    with pytest.raises(ValueError, match=r"reward_function failed on task task 7: KeyError: 'no\\nsuch key'"):
        add_custom_reward([outcome(Status.WRONG, 0.0)], [PROMPT], TEXTS[:1], broken)


def test_it_is_found_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rewards_of_mine.py").write_text("def one(**_): return 1\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_reward_function("rewards_of_mine.one")() == 1  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"rewards_of_mine.number is not a function but int"):
        load_reward_function("rewards_of_mine.number")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("nowhere_at_all.reward", "key: there is no module nowhere_at_all here or on PYTHONPATH"),
        ("json.nothing", "key: the module json has no nothing"),
        ("reward", "key must be a dotted path such as my_module.my_name, not 'reward'"),
        ("a-b.c", "key must be a dotted path"),
        ("broken_module.x", "key: broken_module does not import: ZeroDivisionError: division by zero"),
        ("needy_module.x", "key: needy_module needs the module not_installed_here, which is missing"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    path: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    (tmp_path / "needy_module.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=line):
        load_object(path, what="key")
