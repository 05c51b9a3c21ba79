"""Strategies of several ranks, sharding a policy for FSDP2, and gathering its weights for sampling.

Sampling takes a different number of steps on each rank, so it must not communicate: each rank gathers the weights once
and samples from a plain copy. All ranks call these functions together.
"""

import copy
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, StrategyRegistry
from lightning.pytorch.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel


class DirectReduce(Strategy):
    """Reduces metrics and counts without a barrier before each: on GPUs a barrier waits for all queued work."""

    def reduce(self, tensor: Any, group: Any = None, reduce_op: Any = "mean") -> Any:
        """Return the sum or the mean of a tensor over all ranks; anything else is returned as it is.

        Args:
            tensor: of each rank, of the same shape; it is not changed.
            group: of ranks; None = all.
            reduce_op: `mean` (also None and `avg`) or `sum`.

        Raises:
            ValueError: another operation is requested.
        """
        if not isinstance(tensor, Tensor):
            return tensor
        name = "mean" if reduce_op is None else str(reduce_op).lower().removeprefix("redoptype.")
        if name not in ("mean", "avg", "sum"):
            raise ValueError(f"reduce_op {reduce_op} is not supported; use mean or sum")
        total = tensor.clone()
        dist.all_reduce(total, op=dist.ReduceOp.SUM, group=group)
        return total if name == "sum" else total / dist.get_world_size(group)


class BucketedDDPStrategy(DirectReduce, DDPStrategy):
    """`trainer.strategy: ddp`: gradients are views of the buckets that ranks exchange, not copies of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"gradient_as_bucket_view": True, **options})


class FSDP2Strategy(DirectReduce, ModelParallelStrategy):
    """`trainer.strategy: fsdp2`: shards over all ranks, on GPUs or CPUs, with sharded checkpoints.

    Lightning's default shards over nodes only and applies tensor parallelism within a node.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


StrategyRegistry.register("ddp", BucketedDDPStrategy, description="the whole model on every rank", override=True)
StrategyRegistry.register("fsdp2", FSDP2Strategy, description="fully sharded over all ranks", override=True)


def get_mesh(strategy: Strategy) -> DeviceMesh | None:
    """Return the mesh of ranks that a strategy shards over, or None for other strategies."""
    return strategy.device_mesh["data_parallel"] if isinstance(strategy, ModelParallelStrategy) else None


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Shard the parameters of a module in place; each transformer block is gathered and freed separately.

    Args:
        module: accessed through its `forward` only, such as `Policy`.
        mesh: ranks, one-dimensional.
    """
    for block in _find_blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


def copy_structure(causal_lm: PreTrainedModel) -> PreTrainedModel:
    """Copy a causal LM without its weights (`meta` parameters); call it before the model is sharded."""
    empty = {id(p): nn.Parameter(p.to("meta"), requires_grad=False) for p in causal_lm.parameters()}
    return copy.deepcopy(causal_lm, memo=empty)


def share_weights(causal_lm: PreTrainedModel) -> PreTrainedModel:
    """Return another module with the same parameters, whose settings can differ; it takes no memory of its own."""
    shared: dict[int, nn.Parameter] = {id(parameter): parameter for parameter in causal_lm.parameters()}
    return copy.deepcopy(causal_lm, memo=shared)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def gather_full_model(
    structure: PreTrainedModel, causal_lm: PreTrainedModel, dtype: torch.dtype | None
) -> PreTrainedModel:
    """Build a plain copy of a causal LM; if it is sharded, all ranks must call this together.

    Args:
        structure: result of `copy_structure`.
        causal_lm: the model with its current weights.
        dtype: of the copy's weights; None = unchanged.
    """
    full: dict[int, nn.Parameter] = {}
    sharded = dict(causal_lm.named_parameters())
    for name, empty in structure.named_parameters():
        weights = full_tensor(sharded[name].detach()).to(dtype, copy=True)
        full[id(empty)] = nn.Parameter(weights, requires_grad=False)
    return copy.deepcopy(structure, memo=full).to(causal_lm.device)  # pyright: ignore[reportArgumentType]


def full_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor as a whole, gathered if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def touch(parameters: Iterable[nn.Parameter]) -> Tensor | float:
    """Return a zero whose gradient with respect to these parameters is zero, so that none lacks a gradient."""
    return 0.0 * sum(parameter.sum() for parameter in parameters if parameter.requires_grad)


def _find_blocks(module: nn.Module) -> list[nn.Module]:
    models = [part for part in module.modules() if isinstance(part, PreTrainedModel)]
    names = {name for model in models for name in (model._no_split_modules or ())}
    return [part for part in module.modules() if type(part).__name__ in names]
