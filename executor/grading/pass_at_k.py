"""The unbiased pass@k estimator of Chen et al. 2021 (arXiv 2107.03374, equation 1). Counting is the caller's."""

from math import comb


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k samples, drawn without replacement from those taken, is correct.

    Args:
        num_samples: samples taken of the task (n).
        num_correct: how many of them passed (c).
        k: how many one may draw.

    Raises:
        ValueError: k is not within 1 and num_samples, or num_correct not within 0 and num_samples.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} needs k of at least 1 and at least k samples of a task; there are {num_samples}")
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} correct samples of {num_samples} cannot be")
    return 1.0 - comb(num_samples - num_correct, k) / comb(num_samples, k)
