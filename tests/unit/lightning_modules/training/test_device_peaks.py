"""Peaks of speed and memory."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lightning_modules.training import device_peaks
from lightning_modules.training.device_peaks import (
    measured_gemm_flops_per_s,
    peak_flops_per_s,
    peak_memory_mib,
    training_dtype,
)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("bf16-mixed", torch.bfloat16), ("bf16-true", torch.bfloat16), ("16-mixed", torch.float16),
        ("32-true", torch.float32), ("64-true", torch.float64),
    ],
)  # fmt: skip
def test_numbers_of_a_precision(precision, dtype):
    assert training_dtype(precision) is dtype


def test_the_fastest_of_five_products_counts(monkeypatch):
    durations_s, now = iter([4.0, 2.0, 0.5, 1.0, 3.0]), [0.0]
    products = []

    def multiply(left, right):
        products.append((left.shape, left.dtype))
        now[0] += next(durations_s)

    monkeypatch.setattr(device_peaks, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch, "mm", multiply)
    # 2 n^3 operations of n = 1024 in half a second
    assert measured_gemm_flops_per_s(torch.bfloat16) == 2 * 2**30 / 0.5
    assert products == [((1024, 1024), torch.bfloat16)] * 5


def test_a_gpu_s_peak_is_the_maker_s(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    assert peak_flops_per_s(torch.device("cuda", 0), torch.bfloat16) == 312e12  # NVIDIA's data sheet, dense


def test_peak_of_resident_memory_is_what_the_kernel_says():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert peak_memory_mib(torch.device("cpu")) == pytest.approx(int(status["VmHWM"].split()[0]) / 1024, rel=0.05)
