"""A process group that says `nccl`: it refuses tensors that NCCL refuses, and gloo carries the others.

Import it after `tests.device.simulated.cuda`. There are no NCCL timeouts, no asynchronous errors and no overlap.
"""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import lightning.fabric.utilities.distributed as fabric
import lightning.pytorch.strategies.ddp as ddp
import lightning.pytorch.strategies.model_parallel as model_parallel
import torch
import torch.distributed as dist
import torch.distributed.distributed_c10d as c10d
from torch import Tensor
from torch._C._distributed_c10d import _create_work_from_future

from tests.device.simulated.cuda import device

NAME = "simulated_nccl"
collectives: collections.Counter[str] = collections.Counter()


def as_list(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def to_host(tensors: Tensor | Sequence[Tensor], collective: str) -> list[Tensor]:
    """Return CPU tensors over the same memory.

    Raises:
        RuntimeError: NCCL would not take one of them.
    """
    hosts = []
    for tensor in as_list(tensors):
        if tensor.device.type != "cuda":
            raise RuntimeError(f"No backend type associated with device type {tensor.device.type} (NCCL {collective})")
        if tensor.device.index != device.current_device():
            raise RuntimeError(f"NCCL {collective}: {tensor.device}, but cuda:{device.current_device()} is current")
        if not tensor.is_contiguous():
            raise RuntimeError(f"NCCL {collective}: tensors must be contiguous")
        hosts.append(device.cpu_alias(tensor.detach()))
    return hosts


def finished(result: Any) -> Any:
    """Return the handle of work that is done."""
    future: torch.futures.Future[Any] = torch.futures.Future()
    future.set_result(result)
    return _create_work_from_future(future)


class SimulatedNCCL(dist.ProcessGroup):
    """Every collective that DDP, FSDP2 and Lightning use; each one blocks."""

    def __init__(self, store: Any, rank: int, size: int, timeout: Any) -> None:
        super().__init__(rank, size)
        self._rank, self._size = rank, size
        self._gloo = dist.ProcessGroupGloo(store, rank, size, timeout)

    def allreduce(self, tensors: Any, opts: Any = None) -> Any:
        self._reduce(to_host(tensors, "allreduce"), opts or dist.AllreduceOptions())
        collectives["allreduce"] += 1
        return finished(as_list(tensors))

    def allreduce_coalesced(self, tensors: Any, opts: Any = None) -> Any:
        for tensor in tensors:
            self.allreduce(tensor, opts)
        return finished(list(tensors))

    def broadcast(self, tensors: Any, opts: Any = None) -> Any:
        self._gloo.broadcast(to_host(tensors, "broadcast"), opts or dist.BroadcastOptions()).wait()
        return finished(as_list(tensors))

    def allgather(self, outputs: Any, inputs: Any, opts: Any = None) -> Any:
        hosts = [to_host(output, "allgather") for output in outputs]
        self._gloo.allgather(hosts, to_host(inputs, "allgather")).wait()
        return finished(list(outputs[0]))

    def all_gather_single(self, output: Tensor, source: Tensor, opts: Any = None) -> Any:
        [whole], [part] = to_host(output, "all_gather"), to_host(source, "all_gather")
        if whole.numel() > 0:
            self._gloo.allgather([list(whole.flatten().chunk(self._size))], [part.flatten()]).wait()
        return finished([output])

    def reduce_scatter_single(self, output: Tensor, source: Tensor, opts: Any = None) -> Any:
        [part], [whole] = to_host(output, "reduce_scatter"), to_host(source, "reduce_scatter")
        whole = whole.clone()
        if whole.numel() > 0:
            self._reduce([whole], opts or dist.ReduceScatterOptions())
            part.copy_(whole.flatten().chunk(self._size)[self._rank].view_as(part))
        return finished([output])

    def all_gather_single_coalesced(self, outputs: Any, sources: Any, opts: Any = None) -> Any:
        return self._each(self.all_gather_single, outputs, sources, opts)

    def reduce_scatter_single_coalesced(self, outputs: Any, sources: Any, opts: Any = None) -> Any:
        return self._each(self.reduce_scatter_single, outputs, sources, opts)

    _allgather_base = allgather_into_tensor = all_gather_into_tensor = all_gather_single
    _reduce_scatter_base = reduce_scatter_tensor = reduce_scatter_single
    allgather_into_tensor_coalesced = all_gather_single_coalesced
    reduce_scatter_tensor_coalesced = reduce_scatter_single_coalesced

    def scatter(self, outputs: Any, inputs: Any, opts: Any = None) -> Any:
        hosts = [to_host(tensors, "scatter") for tensors in inputs]
        self._gloo.scatter(to_host(outputs, "scatter"), hosts, opts or dist.ScatterOptions()).wait()
        return finished(list(outputs))

    def gather(self, outputs: Any, inputs: Any, opts: Any = None) -> Any:
        hosts = [to_host(tensors, "gather") for tensors in outputs]
        self._gloo.gather(hosts, to_host(inputs, "gather"), opts or dist.GatherOptions()).wait()
        return finished([])

    def barrier(self, opts: Any = None) -> Any:
        collectives["barrier"] += 1
        self._gloo.barrier(dist.BarrierOptions()).wait()
        return finished([])

    def rank(self) -> int:
        return self._rank

    def size(self) -> int:
        return self._size

    def getBackendName(self) -> str:
        return "nccl"

    @property
    def pg_name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return c10d._world.pg_names[self]

    @property
    def group_name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.pg_name

    def _reduce(self, hosts: list[Tensor], opts: Any) -> None:
        """Reduce in place; gloo has no mean."""
        is_mean = opts.reduceOp == dist.ReduceOp.AVG
        own = dist.AllreduceOptions()
        own.reduceOp = dist.ReduceOp.SUM if is_mean else opts.reduceOp
        self._gloo.allreduce(hosts, own).wait()
        for host in hosts if is_mean else ():
            host.div_(self._size)

    def _each(self, collective: Callable[..., Any], outputs: Any, sources: Any, opts: Any) -> Any:
        for output, source in zip(outputs, sources, strict=True):
            collective(output, source, opts)
        return finished(list(outputs))


def install() -> None:
    """Register the group, have Lightning choose it for CUDA, and have torch call it nccl."""
    dist.Backend.register_backend(NAME, SimulatedNCCL, devices=["cuda"])
    get_backend, get_object_device, init = c10d.get_backend, c10d._get_object_coll_device, c10d.init_process_group

    def named_backend(group: Any = None) -> Any:
        found = get_backend(group)
        return "nccl" if found == NAME else found

    def object_device(group: Any = None) -> str:
        is_nccl = named_backend(group) == "nccl"
        return f"cuda:{device.current_device()}" if is_nccl else get_object_device(group)

    def init_without_device(*arguments: Any, **options: Any) -> Any:
        if NAME in (*arguments[:1], options.get("backend")):
            options.pop("device_id", None)
        return init(*arguments, **options)

    c10d.get_backend = dist.get_backend = named_backend
    c10d._get_object_coll_device = object_device
    c10d.init_process_group = dist.init_process_group = init_without_device
    dist.Logger.set_runtime_stats_and_log = lambda self: None
    for module in (fabric, ddp, model_parallel):
        module._get_default_process_group_backend_for_device = (  # type: ignore[attr-defined]
            lambda where: NAME if where.type == "cuda" else "gloo"
        )


install()
