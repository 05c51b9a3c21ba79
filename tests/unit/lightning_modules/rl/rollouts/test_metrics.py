"""What two ranks log of their halves of an iteration is what one rank logs of the whole."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import torch

from datamodules.batches import PromptBatch
from executor.grading.rewards import RewardConfig
from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig, RLConfig
from lightning_modules.rl.objectives.numerics import variance
from lightning_modules.rl.rollout import compute_advantages
from lightning_modules.rl.rollouts.metrics import measure_rollouts
from lightning_modules.rl.rollouts.records import Rollout, SampledRollouts, TokenLogprobs
from lightning_modules.rl.rollouts.reward_probe import ProbeCounts
from tests.support.rollouts import make_rollout

PASS, FAIL, FAULT = Status.PASSED, Status.WRONG, Status.INFRA


class Ranks:
    """Runs a function on two ranks at once, each with a `sum_over_ranks` that waits for the other."""

    def __init__(self) -> None:
        self.barrier = Barrier(2, timeout=30)
        self.tensors: list = [None, None]

    def run(self, function, *halves):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda rank: function(halves[rank], self.sum_of(rank)), range(2)))

    def sum_of(self, rank: int):
        def sum_over_ranks(tensor):
            self.tensors[rank] = tensor
            self.barrier.wait()
            total = self.tensors[0] + self.tensors[1]
            self.barrier.wait()
            return total

        return sum_over_ranks


CONFIG = RLConfig(
    algorithm=AlgorithmConfig(filter_zero_variance_groups=True),
    critic=CriticConfig(gae_lambda=0.9),
    kl=KLConfig(),
    sampling=SamplingParams(max_new_tokens=8),
    reward=RewardConfig(),
)


def rollout(number: int, status: Status) -> Rollout:
    """Rollouts 0 and 1 belong to group 0, 2 and 3 to group 1, ..."""
    reward = {PASS: 1.3, FAIL: 0.1, FAULT: None}[status]
    options = {"prompt_ids": [1] * (2 + number), "length": 1 + number % 3, "finished": number % 2 == 0}
    made = make_rollout(reward, group=number // 2, parts={"loads": 0.1}, **options)
    return made._replace(outcome=replace(made.outcome, status=status))


def measure(rollouts, sum_over_ranks):
    lengths = torch.tensor([len(one.completion.token_ids) for one in rollouts])
    mask = torch.arange(3) < lengths[:, None]
    numbers = torch.tensor([[len(one.prompt.prompt_ids) / 10 + 0.01 * t for t in range(3)] for one in rollouts])
    arrays = (-1 - numbers, -1 - numbers**2, numbers)
    logprobs = TokenLogprobs(*(torch.where(mask, number, 0.0) for number in arrays), mask)
    targets = compute_advantages(rollouts, logprobs, CONFIG, kl_coef=0.1, sum_over_ranks=sum_over_ranks)
    sampled = SampledRollouts(rollouts, [], rollouts, 1, PromptBatch(0, [], [], 2))
    probe = ProbeCounts(len(rollouts), 1)
    return measure_rollouts(sampled, logprobs, targets, probe, CONFIG, {"generate": 1.0}, sum_over_ranks)


ONE_RANK = {"throughput/rollout_tokens_per_s", "reward/num_probed", "reward/probe_fail_rate"}


@pytest.mark.parametrize(
    "statuses",
    [
        [PASS, PASS, PASS, PASS, FAIL, FAIL, FAIL, FAIL],  # no rank sees the rewards differ
        [PASS, FAULT, PASS, FAIL, FAIL, FAULT, FAULT, FAIL],  # unequal numbers of rewards
        [PASS, FAIL, FAIL, PASS, FAULT, FAULT, FAULT, FAULT],  # one rank without any
    ],
)
def test_two_ranks_measure_what_one_does(statuses) -> None:
    rows = [rollout(number, status) for number, status in enumerate(statuses)]
    whole = measure(rows, lambda tensor: tensor)
    halves = Ranks().run(measure, rows[:4], [row._replace(group=row.group - 2) for row in rows[4:]])
    shared = {tag: value for tag, value in whole.metrics.items() if tag not in ONE_RANK}
    for half in halves:
        assert {tag: half.metrics[tag] for tag in shared} == pytest.approx(shared, nan_ok=True)
        assert (half.metrics["reward/num_probed"], half.metrics["reward/probe_fail_rate"]) == (8, 0.25)
    known = [1.3 if status is PASS else 0.1 for status in statuses if status is not FAULT]
    mean = sum(known) / len(known)
    assert whole.metrics["reward/mean"] == pytest.approx(mean)
    assert whole.metrics["reward/std"] == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in known) / len(known)))
    assert whole.metrics["rollout/num_infra"] == statuses.count(FAULT)
    assert halves[0][1:3] == halves[1][1:3] == (pytest.approx(whole.kl), len(known))
    assert halves[0].counts_by_depth == halves[1].counts_by_depth == whole.counts_by_depth


def test_nothing_known_on_any_rank_is_no_number() -> None:
    rows = [rollout(number, FAULT) for number in range(4)]
    for half in Ranks().run(measure, rows[:2], rows[:2]):
        assert math.isnan(half.metrics["reward/mean"])
        assert math.isnan(half.metrics["reward/std"])
        assert math.isnan(half.metrics["kl/k1"])
        assert half.metrics["rollout/num_infra"] == 4
        assert half.metrics["value/explained_variance"] == 0.0


def test_a_small_variance_beside_a_large_mean_is_not_lost() -> None:
    # 1e8 and 1e8 + 2: 1 about their mean; sums of squares near 1e16 would round it away
    found = Ranks().run(variance, *torch.tensor([[1e8], [1e8 + 2]], dtype=torch.float64))
    assert [float(value) for value in found] == [1.0, 1.0]
