"""Peak rates of NVIDIA GPUs, from their data sheets.

Lightning's table lacks H200 and Blackwell, takes an L40S for an L4, and lists numbers without tensor cores for some
models. Nothing is measured here.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import re

import torch

_TERA = 1e12
_DENSE = {
    # name: (bfloat16 and float16 with accumulation in float32, float32 without tensor cores), TFLOP/s without sparsity
    "A10": (125.0, 31.2),
    "A10G": (70.0, 35.0),
    "A30": (165.0, 10.3),
    "A40": (149.7, 37.4),
    "A100": (312.0, 19.5),
    "A800": (312.0, 19.5),
    "B200": (2250.0, 75.0),
    "GB200": (2500.0, 80.0),
    "GH200": (989.4, 66.9),
    "H20": (148.0, 44.0),
    "H100": (989.4, 66.9),
    "H100 NVL": (835.0, 60.0),
    "H100 PCIE": (756.0, 51.0),
    "H200": (989.4, 66.9),
    "H200 NVL": (835.0, 60.0),
    "H800": (989.4, 66.9),
    "H800 PCIE": (756.0, 51.0),
    "L4": (121.0, 30.3),
    "L40": (181.0, 90.5),
    "L40S": (362.0, 91.6),
    "RTX 3090": (71.0, 35.6),
    "RTX 4090": (165.2, 82.6),
    "RTX 5090": (209.5, 104.8),
    "RTX 6000 ADA": (364.2, 91.1),
    "RTX A6000": (154.8, 38.7),
}


def gpu_peak_flops_per_s(name: str, dtype: torch.dtype) -> float | None:
    """Return the dense peak rate of a GPU in floating point operations per second.

    Args:
        name: as `torch.cuda.get_device_name` returns it.
        dtype: of the factors of matrix products; float32 means without TF32, torch's default.

    Returns:
        None for a GPU that the table lacks, a laptop's GPU of the same name, a MIG slice, or another type.
    """
    words = name.upper()
    if re.search(r"\b(MIG|LAPTOP|MAX-Q)\b", words):
        return None
    matches = [key for key in _DENSE if re.search(rf"\b{re.escape(key)}\b", words)]
    if not matches:
        return None
    half, single = _DENSE[max(matches, key=len)]
    if dtype in (torch.bfloat16, torch.float16):
        return half * _TERA
    return single * _TERA if dtype == torch.float32 else None
