"""Makes this process believe that it has CUDA devices. Import it before torch; `SIMULATED_GPUS` is their number."""

import contextlib
import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.device.simulated.build import DEVICE, HOOKS, LIBRARY_DIR, MODULE

assert "torch" not in sys.modules, "tests.device.simulated.cuda must be imported before torch"
_LIBRARIES = Path(os.environ[LIBRARY_DIR])
ctypes.CDLL(str(_LIBRARIES / HOOKS), mode=ctypes.RTLD_GLOBAL)

import torch  # noqa: E402 - the hooks come first

for _name in ("_cuda_getCurrentRawStream", "_cuda_setStream", "_cuda_exchangeDevice", "_cuda_maybeExchangeDevice"):
    if not hasattr(torch._C, _name):
        setattr(torch._C, _name, lambda *_: 0)
if not hasattr(torch._C, "_cuda_setDevice"):
    torch._C._cuda_setDevice = lambda *_: None  # type: ignore[attr-defined]

_spec = importlib.util.spec_from_file_location(MODULE, _LIBRARIES / DEVICE)
assert _spec is not None
assert _spec.loader is not None
device: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(device)

GIB = 1 << 30


class Properties:
    """Of an H100."""

    name = "NVIDIA H100 80GB HBM3"
    major, minor = 9, 0
    total_memory = 80 * GIB
    multi_processor_count = 132
    warp_size = 32
    regs_per_multiprocessor = 65536
    max_threads_per_multi_processor = 2048
    shared_memory_per_block_optin = 232448
    L2_cache_size = 50 << 20
    gcnArchName = ""
    uuid = "00000000-0000-0000-0000-000000000000"


class Stream:
    """The only stream; work is done when its launch returns."""

    stream_id = cuda_stream = device_index = priority = 0
    device_type = 1

    def __init__(self, *_: Any, **__: Any) -> None:
        self.device = torch.device("cuda", device.current_device())

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None: ...

    def record_event(self, event: "Event | None" = None) -> "Event":
        return event or Event()

    def query(self) -> bool:
        return True

    def synchronize(self) -> None: ...

    wait_stream = wait_event = lambda self, other: None


class Event:
    """An event that has happened."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, _: "Event") -> float:
        return 1.0

    record = wait = synchronize = lambda self, *_: None


class SelectDevice(contextlib.AbstractContextManager):
    """Stands in for `torch.cuda.device`."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = None if wanted is None else to_index(wanted)

    def __enter__(self) -> None:
        self._before = device.current_device()
        if self._wanted is not None and self._wanted >= 0:
            device.set_device(self._wanted)

    def __exit__(self, *_: object) -> None:
        device.set_device(self._before)


def to_index(wanted: Any = None) -> int:
    """Return the index that `torch.cuda` would use."""
    if wanted is None or isinstance(wanted, int):
        return device.current_device() if wanted is None else wanted
    index = torch.device(wanted).index
    return device.current_device() if index is None else index


def set_device(wanted: Any) -> None:
    """Stand in for `torch.cuda.set_device`.

    Raises:
        RuntimeError: there are fewer devices.
    """
    index = to_index(wanted)
    if not 0 <= index < device.num_devices():
        raise RuntimeError(f"CUDA error: invalid device ordinal ({index} of {device.num_devices()})")
    device.set_device(index)


@contextlib.contextmanager
def use_stream(stream: Any) -> Iterator[Any]:
    """Stand in for `torch.cuda.stream`."""
    yield stream


def do_nothing() -> Callable[..., None]:
    """Return a function of its own: dynamo has a rule for each function of `torch.cuda`, and rules must not clash."""
    return lambda *_, **__: None


def install() -> None:
    """Replace what the CPU build lacks."""
    device.allow_cpu_scalars(list_unchecked_operators())

    def cpu_state(*_: Any) -> torch.Tensor:
        return torch.zeros(16, dtype=torch.uint8, device="cpu")

    stand_ins = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: device.num_devices(),
        "current_device": lambda: device.current_device(),
        "set_device": set_device,
        "device": SelectDevice,
        "get_device_name": lambda *_: Properties.name,
        "get_device_properties": lambda *_: Properties,
        "get_device_capability": lambda *_: (Properties.major, Properties.minor),
        "get_arch_list": lambda: ["sm_90"],
        "is_bf16_supported": lambda **_: True,
        "mem_get_info": lambda *_: (70 * GIB, Properties.total_memory),
        "memory_allocated": lambda *_: device.allocated(),
        "max_memory_allocated": lambda *_: device.peak(),
        "max_memory_reserved": lambda *_: device.peak(),
        "memory_reserved": lambda *_: device.peak(),
        "memory_stats": lambda *_: {"allocated_bytes.all.current": device.allocated()},
        "reset_peak_memory_stats": lambda *_: device.reset_peak(),
        "get_rng_state": cpu_state,
        "get_rng_state_all": lambda: [cpu_state() for _ in range(device.num_devices())],
        "initial_seed": lambda: 0,
        "Stream": Stream,
        "Event": Event,
        "stream": use_stream,
        "current_stream": lambda *_: Stream(),
        "default_stream": lambda *_: Stream(),
        "is_current_stream_capturing": lambda: False,
    }
    without_effect = "init _lazy_init _lazy_call synchronize empty_cache ipc_collect manual_seed manual_seed_all"
    without_effect += " set_rng_state set_rng_state_all set_stream"
    for name in without_effect.split():
        stand_ins[name] = do_nothing()
    for name, value in stand_ins.items():
        setattr(torch.cuda, name, value)
    torch.cuda.nvtx.range_push, torch.cuda.nvtx.range_pop = do_nothing(), do_nothing()
    torch.cuda.nccl.version = lambda: (2, 27, 3)
    torch.version.cuda = "13.0"
    torch.backends.cuda.is_built = lambda: True
    torch._C._cuda_getDeviceCount = lambda: device.num_devices()  # type: ignore[attr-defined]
    torch._C._cuda_isCurrentStreamCapturing = lambda: False  # type: ignore[attr-defined]
    torch._C._cuda_clearCublasWorkspaces = do_nothing()  # type: ignore[attr-defined]
    _patch_storages()


def list_unchecked_operators() -> list[str]:
    """List the operators without a device check, which take scalars of the CPU on a GPU as well.

    torchgen ships their declarations; an in-place or `out=` variant and a delegate follow the same rule.
    """
    import torchgen
    import yaml

    cache = _LIBRARIES / "unchecked.txt"
    if cache.exists():
        return cache.read_text().split()
    path = Path(torchgen.__path__[0], "packaged/ATen/native/native_functions.yaml")
    entries = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    declared = {f"aten::{entry['func'].partition('(')[0]}": entry for entry in entries}
    unchecked = {name for name, entry in declared.items() if entry.get("device_check") == "NoCheck"}
    delegated = {name for name, entry in declared.items() if f"aten::{entry.get('structured_delegate')}" in unchecked}
    variants = set()
    for name in unchecked:
        base, _, overload = name.partition(".")
        variants |= {f"{base}.out", f"{base}_.{overload}" if overload else f"{base}_"}
    names = sorted(unchecked | delegated | variants)
    cache.write_text("\n".join(names))
    return names


def _patch_storages() -> None:
    """Give storages what FSDP and `torch.save` call on them."""
    storage = torch.UntypedStorage
    resize, move, clone = storage.resize_, storage.to, storage.clone

    def bytes_of(one: torch.UntypedStorage) -> torch.Tensor:
        return torch.empty(0, dtype=torch.uint8, device=one.device).set_(one)

    def resize_any(self: torch.UntypedStorage, size: int) -> Any:
        if self.device.type != "cuda":
            return resize(self, size)
        device.resize_storage(bytes_of(self), size)
        return self

    def move_any(self: torch.UntypedStorage, *, device: Any, non_blocking: bool = False) -> Any:
        target = torch.device(device)
        if target.type == "cuda" and self.device.type == "cpu":
            return bytes_of(self).to(target).untyped_storage()
        return move(self, device=target, non_blocking=non_blocking)

    def clone_any(self: torch.UntypedStorage) -> Any:
        return bytes_of(self).clone().untyped_storage() if self.device.type == "cuda" else clone(self)

    storage.resize_, storage.to, storage.clone = resize_any, move_any, clone_any  # type: ignore[method-assign]


install()
