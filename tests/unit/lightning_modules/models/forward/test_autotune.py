import pytest
import torch

from lightning_modules.models.forward import autotune
from lightning_modules.models.forward.autotune import (
    benchmark_cpu,
    choose_num_threads,
    has_fast_bf16,
    list_thread_counts,
)


@pytest.mark.parametrize(
    ("step_s", "count"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.5, 4: 0.3}, 4),
        ({1: 1.09, 2: 1.0}, 1),  # 9 % slower: a tie
        ({1: 1.11, 2: 1.0}, 2),  # 11 % slower: none
        ({1: 0.9, 2: 0.5, 4: 0.54, 8: 0.7}, 2),
    ],
)
def test_the_lowest_count_within_ten_percent_of_the_fastest(step_s: dict[int, float], count: int) -> None:
    assert choose_num_threads(step_s) == count


@pytest.mark.parametrize(("most", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (12, [1, 2, 4, 8, 12])])
def test_counts_tried_are_powers_of_two_and_the_most(most: int, counts: list[int]) -> None:
    assert list_thread_counts(most) == counts


def test_measuring_leaves_the_threads_as_they_were_and_tries_each_count() -> None:
    before = torch.get_num_threads()
    found = benchmark_cpu(2)
    assert torch.get_num_threads() == before
    assert set(found.step_s) == {1, 2}
    assert found.num_threads in found.step_s
    assert all(seconds > 0 for seconds in found.step_s.values())
    assert found.has_fast_bf16 == (found.bf16_speedup >= 1.3)


@pytest.mark.parametrize(("gain", "wanted"), [(1.31, True), (1.29, False)])
def test_bf16_on_a_cpu_must_be_worth_it(gain: float, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_measure_bf16_speedup", lambda: gain)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert has_fast_bf16() == has_fast_bf16("cpu") == wanted
    assert not has_fast_bf16("mps")


@pytest.mark.parametrize("native", [True, False])
def test_bf16_on_a_gpu_is_what_the_gpu_says(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_measure_bf16_speedup", lambda: 1.0 if native else 2.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert has_fast_bf16("gpu") == has_fast_bf16("auto") == native
    assert has_fast_bf16("cpu") == (not native)
