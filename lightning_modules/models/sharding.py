"""Fully sharded training (FSDP2): how a policy is cut, and how it is put together again for sampling.

Sampling runs for different numbers of steps on different ranks, so it must not communicate: each rank gathers the
weights once and samples from a plain copy. Everything here is called by all ranks together.
"""

import copy

import torch
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from lightning.pytorch.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel


class FSDP2Strategy(ModelParallelStrategy):
    """`trainer.strategy: fsdp2`: shards over all ranks, on GPUs or CPUs, with sharded checkpoints.

    Lightning's own default shards over nodes alone and splits tensors within one.
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


StrategyRegistry.register("fsdp2", FSDP2Strategy, description="fully sharded over all ranks", override=True)


def get_mesh(strategy: Strategy) -> DeviceMesh | None:
    """Return the ranks that a strategy shards over, None for a strategy that does not."""
    return strategy.device_mesh["data_parallel"] if isinstance(strategy, ModelParallelStrategy) else None


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Cut the parameters of a module in place: each transformer block is gathered and let go on its own.

    Args:
        module: whose `forward` is the only way in, such as `Policy`.
        mesh: the ranks, one dimension.
    """
    for block in _blocks_of(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


class Unsharded:
    """Makes plain copies of a causal LM that is sharded after this was made.

    Args:
        causal_lm: not sharded yet; its structure is remembered, its weights are not kept.
    """

    def __init__(self, causal_lm: PreTrainedModel) -> None:
        empty = {id(p): nn.Parameter(p.to("meta"), requires_grad=False) for p in causal_lm.parameters()}
        self._structure = copy.deepcopy(causal_lm, memo=empty)

    @torch.no_grad()
    def copy_of(self, causal_lm: PreTrainedModel, dtype: torch.dtype | None) -> PreTrainedModel:
        """Gather the weights of the sharded model, in `dtype` (None = as they are); all ranks call this together."""
        whole: dict[int, nn.Parameter] = {}
        sharded = dict(causal_lm.named_parameters())
        for name, empty in self._structure.named_parameters():
            whole[id(empty)] = nn.Parameter(
                full_tensor(sharded[name].detach()).to(dtype, copy=True), requires_grad=False
            )
        return copy.deepcopy(self._structure, memo=whole).to(causal_lm.device)  # pyright: ignore[reportArgumentType]


def full_tensor(tensor: Tensor) -> Tensor:
    """Gather a tensor that may be sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _blocks_of(module: nn.Module) -> list[nn.Module]:
    models = [part for part in module.modules() if isinstance(part, PreTrainedModel)]
    names = {name for model in models for name in (model._no_split_modules or ())}
    return [part for part in module.modules() if type(part).__name__ in names]
