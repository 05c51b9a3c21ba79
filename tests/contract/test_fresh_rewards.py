"""Rewards on drawn inputs, with programs that are really run: knowing the stored tests by heart earns nothing."""

import json

import pytest

from datamodules.batches import TaskPrompt
from datamodules.rl.reward_tests import build_reward_tasks, choose_reward_tests
from executor.api import open_executor
from executor.grading.rewards import RewardConfig
from executor.types import Outcome, Status, Submission
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig, RLConfig
from lightning_modules.rl.rollouts.reward_probe import probe_rewards
from lightning_modules.rl.rollouts.sampling import group_rollouts
from tests.support.small_data import task_prompt

SOLUTION = "def solve(xs, k):\n    return [x * k for x in xs]\n"
STORED = [{"args": [[x, x + 1], 3], "expected": [3 * x, 3 * x + 3]} for x in range(8)]
DOMAINS = [
    {"kind": "Lists", "item": {"kind": "Ints", "low": -20, "high": 50}, "max_length": 5, "min_length": 0},
    {"kind": "Ints", "low": -20, "high": 50},
]
LOOKUP = f"""TESTS = {[(test["args"], test["expected"]) for test in STORED]!r}


def solve(*args):
    for known, expected in TESTS:
        if known == list(args):
            return expected
"""
WRONG_ON_SOME = "def solve(xs, k):\n    return [x * k for x in xs] if k > 0 else []\n"
BROKEN = "def solve(xs:\n"
PROGRAMS = {"right": SOLUTION, "by heart": LOOKUP, "wrong on some": WRONG_ON_SOME, "broken": BROKEN}


def prompt_of(*, num_sampled: int, solution: str = SOLUTION) -> TaskPrompt:
    bare = task_prompt("t", "multiply")
    row = {
        "solution": solution,
        "tests": json.dumps(STORED[:4]),
        "reward_tests": json.dumps(STORED[4:]),
        "domains": json.dumps(DOMAINS),
    }
    [task] = build_reward_tasks([row], [bare])
    return choose_reward_tests(task, num_sampled=num_sampled, seed=0, iteration=0)


@pytest.fixture(scope="module")
def executor():
    with open_executor("process", num_workers=1) as opened:
        yield opened


def outcomes_of(executor, prompt: TaskPrompt) -> dict[str, Outcome]:
    with executor.grading(rewards=RewardConfig(passed_coef=1.0, fraction_coef=0.5)) as grading:
        for source in PROGRAMS.values():
            grading.add(Submission(task=prompt.task, completion=source))
        return dict(zip(PROGRAMS, grading.outcomes(), strict=True))


def test_stored_tests_are_fooled_and_draws_are_not(executor):
    stored = outcomes_of(executor, prompt_of(num_sampled=0))
    assert [stored[name].passed for name in PROGRAMS] == [True, True, True, False]
    fresh = outcomes_of(executor, prompt_of(num_sampled=16))
    assert [fresh[name].passed for name in PROGRAMS] == [True, False, False, False]
    rewards = {name: outcome.reward.total for name, outcome in fresh.items() if outcome.reward is not None}
    assert rewards["right"] == 1.5
    assert rewards["by heart"] == rewards["broken"] == 0.0
    assert 0.0 < rewards["wrong on some"] < 0.5


@pytest.mark.parametrize("num_sampled", [0, 16])
def test_the_meter_tells_who_passes_on_other_inputs(executor, num_sampled):
    prompt = prompt_of(num_sampled=num_sampled)
    outcomes = list(outcomes_of(executor, prompt).values())
    texts = list(PROGRAMS.values())

    def measure(fraction: float):
        config = RLConfig(
            algorithm=AlgorithmConfig(),
            critic=CriticConfig(),
            kl=KLConfig(),
            sampling=SamplingParams(max_new_tokens=8),
            reward=RewardConfig(),
            reward_probe_fraction=fraction,
        )
        rollouts = group_rollouts([prompt] * 4, [Completion(text, [1], [0.0], True) for text in texts], outcomes)
        return probe_rewards(executor, rollouts, [11, 12, 13, 14], config, iteration=0)

    assert measure(1.0) == ((3, 2) if num_sampled == 0 else (1, 0))
    assert measure(0.0) is None


def test_a_reference_that_fails_gives_no_reward_to_anyone(executor):
    outcomes = outcomes_of(executor, prompt_of(num_sampled=16, solution="def solve(xs, k):\n    return xs[7]\n"))
    assert {outcome.status for outcome in outcomes.values()} == {Status.INFRA}
    assert all(outcome.reward is None for outcome in outcomes.values())
