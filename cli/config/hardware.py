"""Threads and precision of a command: as given, else as the run recorded, else as measured here.

The order makes a resumed run compute as it began, on a machine that may be busier now.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from cli.config.ranks import hand_down, handed_down, is_launched_rank
from lightning_modules.models.autotune import has_fast_bf16, measure, num_cores, uses_cuda
from lightning_modules.training.run_record import RunRecord, read_record, write_record


def settle(
    *,
    num_threads: int | None,
    precision: str | None,
    accelerator: str,
    devices: Any,
    num_nodes: int = 1,
    recorded_in: str | Path | None,
    record_in: str | Path,
) -> RunRecord:
    """Decide what to compute with, and write it down.

    Args:
        num_threads: as given; None = to be chosen.
        precision: as given; None = to be chosen.
        accelerator: of the Trainer.
        devices: of the Trainer.
        num_nodes: of the Trainer.
        recorded_in: run directory whose record holds where nothing is given; None for a run that starts anew.
        record_in: directory to write the record into.

    Returns:
        A record with both settings.
    """
    if is_launched_rank():
        count, main_precision = handed_down()
        return RunRecord(num_threads=count, precision=main_precision)
    recorded = (read_record(recorded_in) if recorded_in is not None else None) or RunRecord()
    _note("num_threads", num_threads, recorded.num_threads)
    _note("trainer.precision", precision, recorded.precision)
    record = replace(
        recorded, num_threads=num_threads or recorded.num_threads, precision=precision or recorded.precision
    )
    if record.num_threads is None or record.precision is None:
        starts_all_ranks = num_nodes == 1 and "LOCAL_RANK" not in os.environ and not SLURMEnvironment.detect()
        max_threads = max(1, num_cores() // num_local_ranks(accelerator, devices))
        record = _chosen(record, accelerator, max_threads, may_measure=starts_all_ranks)
    assert record.num_threads is not None
    assert record.precision is not None
    if all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID", "NODE_RANK")):
        write_record(record_in, record if recorded_in == record_in else replace(record, executor=None))
    hand_down(record.num_threads, record.precision)
    return record


def num_local_ranks(accelerator: str, devices: Any) -> int:
    """Count the processes of this machine that a Trainer with these settings makes, at least 1."""
    if isinstance(devices, list):
        return max(1, len(devices))
    if isinstance(devices, str) and "," in devices:
        return max(1, len([part for part in devices.split(",") if part.strip()]))
    if str(devices) in ("auto", "-1"):
        import torch

        return max(1, torch.cuda.device_count()) if uses_cuda(accelerator) else 1
    return max(1, int(devices))


def _chosen(record: RunRecord, accelerator: str, max_threads: int, *, may_measure: bool) -> RunRecord:
    """Fill what is open. Ranks that others started must agree without a word, so they do not measure."""
    if not may_measure:
        threads, bf16, measured = max_threads, uses_cuda(accelerator) and has_fast_bf16(accelerator), {}
    else:
        found = measure(max_threads)
        threads, bf16 = found.num_threads, found.has_fast_bf16
        if accelerator not in ("auto", "cpu") or uses_cuda(accelerator):
            bf16 = has_fast_bf16(accelerator)
        measured = {
            "step_s_by_threads": {count: round(seconds, 4) for count, seconds in found.step_s.items()},
            "cpu_bf16_gain": round(found.bf16_gain, 2),
        }
    return replace(
        record,
        num_threads=record.num_threads or threads,
        precision=record.precision or ("bf16-mixed" if bf16 else "32-true"),
        measured=measured,
    )


def _note(key: str, given: Any, recorded: Any) -> None:
    if given is not None and recorded is not None and given != recorded:
        print(
            f"atomforge: note: {key} is {given}; the run so far had {recorded}: results may differ in their bits",
            file=sys.stderr,
        )
