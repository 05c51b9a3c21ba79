"""A client of NVML, the library of the NVIDIA driver that nvidia-smi uses: device nodes, and GPU memory by process.

It needs no package; nvidia-smi would be a process every 50 ms that takes the driver's lock. Functions and structures
are those of nvml.h (https://docs.nvidia.com/deploy/nvml-api). Nothing here changes a GPU.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
_INSUFFICIENT_SIZE = 7
_NOT_AVAILABLE = (1 << 64) - 1
_SPARE_PROCESSES = 16
_UUID_CHARS = 96
"""NVML_DEVICE_UUID_V2_BUFFER_SIZE."""


class _ProcessInfo(ctypes.Structure):
    """nvmlProcessInfo_t of nvmlDeviceGetComputeRunningProcesses_v3."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_bytes", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


@dataclass(frozen=True, kw_only=True)
class GpuNode:
    """Where the kernel shows a GPU or a MIG slice."""

    uuid: str
    minor: int
    """`/dev/nvidia<minor>`."""
    mig: tuple[int, int] | None = None
    """GPU instance and compute instance of a MIG slice."""


class Nvml:
    """An open connection to the driver.

    Raises:
        OSError: there is no driver, or it does not answer.
    """

    def __init__(self, library: Any = None):
        self._library = ctypes.CDLL(LIBRARY) if library is None else library
        self._library.nvmlErrorString.restype = ctypes.c_char_p
        self._call("nvmlInit_v2")

    def find(self, gpu: str) -> GpuNode:
        """Find a GPU.

        Args:
            gpu: its index as nvidia-smi counts (by PCI address), its UUID, or the UUID of a MIG slice.

        Raises:
            OSError: there is none.
        """
        handle = self._open(gpu)
        mig = None
        if self._get_uint("nvmlDeviceIsMigDeviceHandle", handle):
            instances = ("nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId")
            mig = (self._get_uint(instances[0], handle), self._get_uint(instances[1], handle))
        parent = handle
        if mig is not None:
            parent = ctypes.c_void_p()
            self._call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle, ctypes.byref(parent))
        uuid = ctypes.create_string_buffer(_UUID_CHARS)
        self._call("nvmlDeviceGetUUID", handle, uuid, ctypes.c_uint(_UUID_CHARS))
        minor = self._get_uint("nvmlDeviceGetMinorNumber", parent)
        return GpuNode(uuid=uuid.value.decode(), minor=minor, mig=mig)

    def read_memory(self, gpu: str) -> dict[int, int]:
        """Return the bytes of GPU memory that each process with a CUDA context holds, by its PID on the host.

        Args:
            gpu: as for `find`.

        Raises:
            OSError: the driver does not answer, or does not know how much memory a process holds.
        """
        handle = self._open(gpu)
        num_processes = ctypes.c_uint(0)
        while True:
            size = num_processes.value + _SPARE_PROCESSES
            infos, num_processes = (_ProcessInfo * size)(), ctypes.c_uint(size)
            name = "nvmlDeviceGetComputeRunningProcesses_v3"
            code = self._function(name)(handle, ctypes.byref(num_processes), infos)
            if code != _INSUFFICIENT_SIZE:
                self._check(name, code)
                break
        found = {info.pid: int(info.used_bytes) for info in infos[: num_processes.value]}
        if _NOT_AVAILABLE in found.values():
            raise OSError("the driver does not report the GPU memory of processes")
        return found

    def _open(self, gpu: str) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        if gpu.isdigit():
            self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(gpu)), ctypes.byref(handle))
        else:
            self._call("nvmlDeviceGetHandleByUUID", gpu.encode(), ctypes.byref(handle))
        return handle

    def _get_uint(self, name: str, handle: ctypes.c_void_p) -> int:
        value = ctypes.c_uint()
        self._call(name, handle, ctypes.byref(value))
        return value.value

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._library, name)
        except AttributeError:
            raise OSError(f"the driver is too old: its {LIBRARY} has no {name}") from None

    def _call(self, name: str, *arguments: Any) -> None:
        self._check(name, self._function(name)(*arguments))

    def _check(self, name: str, code: int) -> None:
        if code != 0:
            raise OSError(f"{name}: {self._library.nvmlErrorString(code).decode()}")
