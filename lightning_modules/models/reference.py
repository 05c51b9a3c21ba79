"""The frozen reference policy of the KL penalty."""

import copy
import hashlib

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from lightning_modules.models.forward.chunked_logits import LogitsFn
from lightning_modules.models.lora import adapters_off, has_lora
from lightning_modules.models.policy import Policy


class ReferencePolicy:
    """The causal LM of a policy at construction: a frozen copy, or the policy without its adapters if it has some.

    It is not part of the module tree, so that checkpoints and optimizers do not include it.

    Args:
        policy: not sharded yet.
    """

    def __init__(self, policy: Policy) -> None:
        self._has_adapters = has_lora(policy.causal_lm)
        self._policy = policy if self._has_adapters else _freeze_copy(policy.causal_lm)

    def shard(self, mesh: DeviceMesh) -> None:
        """Shard the copy over the ranks of `mesh`; without a copy there is nothing to shard."""
        if not self._has_adapters:
            self._policy.shard(mesh)

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        position_mask: Tensor,
        logits_fn: LogitsFn,
    ) -> tuple[Tensor, ...]:
        """Run `Policy.forward` without gradients, on the device of the ids; return the tensors of `logits_fn`."""
        if self._has_adapters:
            with adapters_off(self._policy.causal_lm):
                return self._policy(input_ids, attention_mask, position_ids, position_mask, logits_fn)[0]
        self._policy.to(input_ids.device)
        return self._policy(input_ids, attention_mask, position_ids, position_mask, logits_fn)[0]


def _freeze_copy(causal_lm: PreTrainedModel) -> Policy:
    return Policy(copy.deepcopy(causal_lm)).requires_grad_(False).eval()


def weights_sha256(causal_lm: PreTrainedModel) -> str:
    """Hash the names and bytes of all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(causal_lm.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
