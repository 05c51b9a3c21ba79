"""CPU threads and precision of a command, and the ranks that Lightning starts from its main process.

Threads and precision are as given, else as the run has recorded, else as measured here, so that a resumed run computes
as before on a machine that may be busier now. Ranks started by the main process inherit its settings and end with it.
Ranks started by others (torchrun, Slurm) are none of these.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from executor.commands.errors import UsageError
from executor.machine import count_cores
from lightning_modules.training.logging.run_record import RunRecord, read_record, write_record

_LAUNCHER = "ATOMFORGE_LAUNCHER"
"""Environment variable with the process id of the main process."""
_SETTINGS = "ATOMFORGE_MACHINE"
"""Environment variable with the main process's `num_threads precision`."""
_PR_SET_PDEATHSIG = 1
GPU_DRIVER = Path("/dev/nvidiactl")


def is_launched_rank() -> bool:
    """Return whether Lightning started this process from a main process of atomforge."""
    return "LOCAL_RANK" in os.environ and os.environ.get(_LAUNCHER, str(os.getpid())) != str(os.getpid())


@contextlib.contextmanager
def rank_process() -> Iterator[None]:
    """Tie a launched rank to its main process; in a main process, mark it as such for the ranks it starts.

    At the end of a main process's command the marks are removed, so that the process can run another one.
    """
    if is_launched_rank():
        set_parent_death_signal(int(os.environ[_LAUNCHER]))
        yield
        return
    os.environ[_LAUNCHER] = str(os.getpid())
    try:
        yield
    finally:
        for name in (_LAUNCHER, _SETTINGS):
            os.environ.pop(name, None)
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            for name in ("LOCAL_RANK", "NODE_RANK"):  # Lightning sets them in the main process and leaves them there
                os.environ.pop(name, None)


def set_parent_death_signal(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends: an orphan would still write to the run."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(128 + signal.SIGKILL)


def resolve_hardware_settings(
    *,
    num_threads: int | None,
    precision: str | None,
    accelerator: str,
    devices: Any,
    num_nodes: int = 1,
    recorded_in: str | Path | None,
    record_in: str | Path,
) -> RunRecord:
    """Choose threads and precision, and record them.

    Args:
        num_threads: CPU threads of torch per rank; None: choose.
        precision: of the Trainer; None: choose.
        accelerator: of the Trainer.
        devices: of the Trainer.
        num_nodes: of the Trainer.
        recorded_in: run directory whose record applies to what is not given; None for a new run.
        record_in: directory of the new record.

    Returns:
        A record with both settings.
    """
    if is_launched_rank():
        return _inherit_settings()
    recorded = (read_record(recorded_in) if recorded_in is not None else None) or RunRecord()
    _note_difference("num_threads", num_threads, recorded.num_threads)
    _note_difference("trainer.precision", precision, recorded.precision)
    record = replace(
        recorded, num_threads=num_threads or recorded.num_threads, precision=precision or recorded.precision
    )
    if record.num_threads is None or record.precision is None:
        record = _choose(record, accelerator, devices, num_nodes)
    if all(os.environ.get(name, "0") == "0" for name in ("RANK", "SLURM_PROCID", "NODE_RANK")):
        write_record(record_in, record if recorded_in == record_in else replace(record, executor=None))
    os.environ[_SETTINGS] = f"{record.num_threads} {record.precision}"
    return record


def note_unused_gpu(accelerator: str) -> None:
    """Print a note where training falls back to the CPU although this machine has a GPU with a driver."""
    from lightning_modules.models.forward.autotune import uses_cuda

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if accelerator != "auto" or hidden or is_launched_rank() or uses_cuda(accelerator) or not GPU_DRIVER.exists():
        return
    print(
        "atomforge: note: this machine has an NVIDIA GPU, but torch finds none, so training runs on the CPU; "
        "`atomforge doctor` prints the fix, `--trainer.accelerator cpu` turns this note off",
        file=sys.stderr,
    )


def count_local_ranks(accelerator: str, devices: Any) -> int:
    """Count the processes that a Trainer with these settings starts on this machine, at least 1."""
    from lightning_modules.models.forward.autotune import uses_cuda

    if isinstance(devices, list):
        return max(1, len(devices))
    if isinstance(devices, str) and "," in devices:
        return max(1, len([part for part in devices.split(",") if part.strip()]))
    if str(devices) in ("auto", "-1"):
        import torch

        return max(1, torch.cuda.device_count()) if uses_cuda(accelerator) else 1
    return max(1, int(devices))


def _inherit_settings() -> RunRecord:
    count, _, precision = os.environ.get(_SETTINGS, "").partition(" ")
    if not count.isdigit() or not precision:
        raise UsageError(f"{_SETTINGS} is {os.environ.get(_SETTINGS)!r}; the main process should have set it")
    return RunRecord(num_threads=int(count), precision=precision)


def _choose(record: RunRecord, accelerator: str, devices: Any, num_nodes: int) -> RunRecord:
    """Fill in what is open. Ranks that others started do not measure: they must agree without communication."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    from lightning_modules.models.forward.autotune import benchmark_cpu, has_fast_bf16, uses_cuda

    num_cores, per_task = count_cores(), os.environ.get("SLURM_CPUS_PER_TASK", "")
    is_bound = per_task.isdigit() and num_cores <= int(per_task)  # these cores are this rank's alone
    max_threads = num_cores if is_bound else max(1, num_cores // count_local_ranks(accelerator, devices))
    if num_nodes == 1 and "LOCAL_RANK" not in os.environ and not SLURMEnvironment.detect():
        found = benchmark_cpu(max_threads)
        threads, bf16 = found.num_threads, found.has_fast_bf16
        if accelerator not in ("auto", "cpu") or uses_cuda(accelerator):
            bf16 = has_fast_bf16(accelerator)
        measured = {
            "step_s_by_threads": {count: round(seconds, 4) for count, seconds in found.step_s.items()},
            "cpu_bf16_gain": round(found.bf16_speedup, 2),
        }
    else:
        threads, bf16, measured = max_threads, uses_cuda(accelerator) and has_fast_bf16(accelerator), {}
    return replace(
        record,
        num_threads=record.num_threads or threads,
        precision=record.precision or ("bf16-mixed" if bf16 else "32-true"),
        measured=measured,
    )


def _note_difference(key: str, given: Any, recorded: Any) -> None:
    if given is not None and recorded is not None and given != recorded:
        print(
            f"atomforge: note: {key} is {given}; the run had {recorded} before: results may differ bitwise",
            file=sys.stderr,
        )
