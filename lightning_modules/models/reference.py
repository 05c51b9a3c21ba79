"""The frozen policy that reinforcement learning must not stray from."""

import copy
import hashlib

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from lightning_modules.models.chunked_logits import LogitsFn
from lightning_modules.models.lora import adapters_off, has_lora
from lightning_modules.models.policy import Policy


class ReferencePolicy:
    """The causal LM of a policy as it is now: a frozen copy, or, where adapters are trained, the policy without them.

    It is kept out of the module tree: it has no part in checkpoints or optimizers.

    Args:
        policy: not sharded yet.
    """

    def __init__(self, policy: Policy) -> None:
        self._is_adapted = has_lora(policy.causal_lm)
        self._policy = policy if self._is_adapted else _frozen(policy.causal_lm)

    def shard(self, mesh: DeviceMesh) -> None:
        """Cut the copy over the ranks of `mesh`; without one there is nothing to cut."""
        if not self._is_adapted:
            self._policy.shard(mesh)

    @torch.no_grad()
    def of_logits(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, chosen: Tensor, of_logits: LogitsFn
    ) -> tuple[Tensor, ...]:
        """Read as `Policy.forward` does, on the device of the ids, and return what is made of the logits."""
        if self._is_adapted:
            with adapters_off(self._policy.causal_lm):
                return self._policy(input_ids, attention_mask, position_ids, chosen, of_logits)[0]
        self._policy.to(input_ids.device)
        return self._policy(input_ids, attention_mask, position_ids, chosen, of_logits)[0]


def _frozen(causal_lm: PreTrainedModel) -> Policy:
    return Policy(copy.deepcopy(causal_lm)).requires_grad_(False).eval()


def weights_sha256(causal_lm: PreTrainedModel) -> str:
    """Hash the names and bytes of all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(causal_lm.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
