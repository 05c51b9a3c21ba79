"""A process that holds some GPU memory, to prove that the driver reports the memory of processes by their PIDs.

It does not where this process lives in a PID namespace of its own, as in most containers. A memory limit would then
find no process to kill, or another one with the same number.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

TIMEOUT_S = 5.0
_POLL_S = 0.05
PROGRAM = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context, block = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
for name, arguments in (
    ("cuInit", (0,)),
    ("cuDeviceGet", (ctypes.byref(device), 0)),
    ("cuDevicePrimaryCtxRetain", (ctypes.byref(context), device)),
    ("cuCtxSetCurrent", (context,)),
    ("cuMemAlloc_v2", (ctypes.byref(block), ctypes.c_size_t(1 << 20))),
):
    if code := getattr(cuda, name)(*arguments):
        sys.exit(f"{name} fails with CUDA error {code}")
print("ready", flush=True)
sys.stdin.read()
"""


def check_pids(uuid: str, query: Callable[[], Mapping[int, int]], *, program: str = PROGRAM) -> None:
    """Check that `query` reports a process that uses a GPU.

    Args:
        uuid: of the GPU or MIG slice, for CUDA_VISIBLE_DEVICES.
        query: returns the bytes of GPU memory of processes, by PID.
        program: Python source that uses the GPU, prints a line, and waits for the end of its standard input.

    Raises:
        OSError: the process cannot use the GPU, or is not reported under its PID.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        if not process.stdout.readline():
            raise OSError(f"GPU {uuid} cannot be used: {process.stderr.read().strip()[-200:]}")
        deadline = time.monotonic() + TIMEOUT_S
        while process.pid not in query():
            if time.monotonic() > deadline:
                raise OSError(
                    "the driver reports processes by other PIDs than this process sees, as in a container with a PID "
                    "namespace of its own, so GPU memory cannot be limited: share the host's (docker run --pid=host)"
                )
            time.sleep(_POLL_S)
    finally:
        process.kill()
        process.communicate()
