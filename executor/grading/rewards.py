"""Computes the reward of an outcome and its parts. An infra fault has no reward at all, never a zero."""

from dataclasses import dataclass, fields

from executor.types import Outcome, Reward, Status

MAX_COEF = 1e9
"""So that every product and sum of weights is finite."""
_NEVER_LOADED = (Status.LOAD_ERROR, Status.SOURCE_TOO_LONG)


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the parts of a reward; the parts are added."""

    passed_coef: float = 1.0
    """For passing every test."""
    fraction_coef: float = 0.0
    """Times the fraction of tests passed."""
    loads_coef: float = 0.0
    """For source that loads and defines the entry point."""
    time_coef: float = 0.0
    """Taken off per second that a passing program ran. Wall time is noisy: leave it at 0 unless speed is the aim."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= MAX_COEF:
                raise ValueError(
                    f"rewards: {field.name} must be finite and within 0 and {MAX_COEF:g}, not {value!r:.40}"
                )


def compute_reward(outcome: Outcome, config: RewardConfig) -> Reward | None:
    """Return the reward of an outcome, or None for an infra fault, which the loss must leave out."""
    if outcome.status is Status.INFRA:
        return None
    fraction = outcome.num_passed / outcome.num_tests if outcome.num_tests else 0.0
    parts = {
        "passed": config.passed_coef * outcome.passed,
        "fraction": config.fraction_coef * fraction,
        "loads": config.loads_coef * (outcome.status not in _NEVER_LOADED),
        "time": 0.0 - config.time_coef * outcome.duration_s if outcome.passed else 0.0,  # never -0.0
    }
    return Reward(total=sum(parts.values()), parts=parts)
