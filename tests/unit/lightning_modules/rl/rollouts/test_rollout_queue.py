import threading

import pytest
import torch
from torch import nn

from lightning_modules.rl.rollouts.rollout_queue import PolicySnapshot, RolloutQueue, SamplingCancelledError


class Run:
    """A policy whose weight is the number of iterations it was trained for, and what was sampled with it."""

    def __init__(self, staleness: int, end: int | None = None) -> None:
        self.sampled: dict[int, tuple[int, float]] = {}
        self.queue = RolloutQueue(staleness, self.sample)
        self.end = end

    def sample(self, snapshot: PolicySnapshot, iteration: int) -> int:
        self.sampled[iteration] = snapshot.version, float(snapshot.causal_lm.weight.detach())
        return iteration

    def train(self, iteration: int) -> int:
        self.queue.advance(iteration, lambda: PolicySnapshot(iteration, model_of(iteration)), self.end)
        return self.queue.take(iteration)


def model_of(version: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, version)
    return model


@pytest.mark.parametrize("staleness", [1, 3])
def test_the_policy_that_samples_is_a_function_of_the_iteration(staleness: int) -> None:
    run = Run(staleness, end=6)
    assert [run.train(iteration) for iteration in range(6)] == list(range(6))
    run.queue.close()
    assert run.sampled == {number: (max(0, number - staleness),) * 2 for number in range(6)}  # none after the last one


@pytest.mark.parametrize("staleness", [1, 3])
@pytest.mark.parametrize("stop", [1, 2, 5])
def test_a_restored_queue_samples_the_same_rollouts(staleness: int, stop: int) -> None:
    first = Run(staleness, end=stop)  # a shorter run, which is resumed with more iterations
    for iteration in range(stop):
        first.train(iteration)
    first.queue.close()
    state = first.queue.state_dict()
    resumed = Run(staleness)
    resumed.queue.load_state_dict(state, model_of(-1.0))
    for iteration in range(stop, 6):
        resumed.train(iteration)
    resumed.queue.close()
    assert {number: resumed.sampled[number] for number in range(stop, 6)} == {
        number: (max(0, number - staleness),) * 2 for number in range(stop, 6)
    }


def test_the_state_is_data_and_has_equal_policies_once(tmp_path) -> None:
    run = Run(2)
    run.train(0)
    run.queue.close()
    torch.save(run.queue.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["versions"] == {1: 0, 2: 0}
    assert list(state["weights"]) == [0]


def test_an_error_of_sampling_is_raised_where_its_rollouts_are_needed() -> None:
    run = Run(1)
    run.sample = lambda snapshot, iteration: 1 // (1 - iteration)  # type: ignore[assignment]
    run.queue = RolloutQueue(1, run.sample)
    assert run.train(0) == 1
    with pytest.raises(ZeroDivisionError):
        run.train(1)
    run.queue.close()


def test_closing_ends_what_is_sampled() -> None:
    started, seen = threading.Event(), []

    def sample(snapshot: PolicySnapshot, iteration: int) -> None:
        try:
            while True:
                started.set()
                queue.check_open()
        except SamplingCancelledError:
            seen.append(iteration)
            raise

    queue = RolloutQueue(2, sample)
    queue.advance(0, lambda: PolicySnapshot(0, model_of(0)), None)
    assert started.wait(30)
    queue.close()
    assert seen == [0]  # the others were never started
