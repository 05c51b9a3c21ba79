"""What two ranks log of their halves of an iteration is what one rank logs of the whole."""

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from executor.types import Outcome, Reward, Status
from lightning_modules.generation.generate import Generated
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl.metrics import REWARD_PARTS
from lightning_modules.rl.numerics import variance
from lightning_modules.rl.responses import Response, TokenScores
from lightning_modules.rl.rollout import Collection, build_samples

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


def response(number: int, status: Status) -> Response:
    total = 1.3 if status is PASS else 0.1
    reward = None if status is FAULT else Reward(total=total, parts={**dict.fromkeys(REWARD_PARTS, 0.0), "loads": 0.1})
    outcome = Outcome(status=status, num_passed=0, num_tests=1, duration_s=0.0, reward=reward)
    length = 1 + number % 3
    return Response([1] * (2 + number), number // 2, Generated([5] * length, [-1.0] * length, number % 2 == 0), outcome)


def collect(responses, sum_over_ranks) -> Collection:
    lengths = torch.tensor([len(one.generated.token_ids) for one in responses])
    mask = torch.arange(3) < lengths[:, None]
    numbers = torch.tensor([[len(one.prompt_ids) / 10 + 0.01 * t for t in range(3)] for one in responses])
    scores = TokenScores(*[torch.where(mask, number, 0.0) for number in (-1 - numbers, -1 - numbers**2, numbers)], mask)
    critic, algorithm = CriticConfig(gae_lambda=0.9), AlgorithmConfig(filter_zero_variance_groups=True)
    options = {"algorithm": algorithm, "critic": critic, "kl": KLConfig(), "kl_coef": 0.1}
    return build_samples(responses, scores, **options, sum_over_ranks=sum_over_ranks)


@pytest.mark.parametrize(
    "statuses",
    [
        [PASS, PASS, PASS, PASS, FAIL, FAIL, FAIL, FAIL],  # no rank sees the rewards differ
        [PASS, FAULT, PASS, FAIL, FAIL, FAULT, FAULT, FAIL],  # unequal numbers of rewards
        [PASS, FAIL, FAIL, PASS, FAULT, FAULT, FAULT, FAULT],  # one rank without any
    ],
)
def test_two_ranks_measure_what_one_does(statuses) -> None:
    rows = [response(number, status) for number, status in enumerate(statuses)]
    whole = collect(rows, lambda tensor: tensor)
    halves = Ranks().run(collect, rows[:4], [replace_group(row) for row in rows[4:]])
    for half in halves:
        assert half.metrics == pytest.approx(whole.metrics)
    known = [1.3 if status is PASS else 0.1 for status in statuses if status is not FAULT]
    mean = sum(known) / len(known)
    assert whole.metrics["reward/mean"] == pytest.approx(mean)
    assert whole.metrics["reward/std"] == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in known) / len(known)))
    assert whole.metrics["rollout/num_infra"] == statuses.count(FAULT)
    kls = Ranks().run(lambda half, sum_over_ranks: half.kl_over_ranks(sum_over_ranks), *halves)
    assert kls[0] == kls[1] == (pytest.approx(whole.kl_per_response), len(known))


def replace_group(row: Response) -> Response:
    return row._replace(group=row.group - 2)  # each rank counts its prompts from 0


def test_nothing_known_on_any_rank_is_no_number() -> None:
    rows = [response(number, FAULT) for number in range(4)]
    for half in Ranks().run(collect, rows[:2], rows[:2]):
        assert math.isnan(half.metrics["reward/mean"])
        assert math.isnan(half.metrics["reward/std"])
        assert math.isnan(half.metrics["kl/k1"])
        assert half.metrics["rollout/num_infra"] == 4
        assert half.metrics["value/explained_variance"] == 0.0


def test_a_small_variance_beside_a_large_mean_is_not_lost() -> None:
    # 1e8 and 1e8 + 2: 1 about their mean; sums of squares near 1e16 would round it away
    found = Ranks().run(variance, *torch.tensor([[1e8], [1e8 + 2]], dtype=torch.float64))
    assert [float(value) for value in found] == [1.0, 1.0]
