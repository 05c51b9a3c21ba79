"""The frozen policy that reinforcement learning must not stray from."""

import copy
import hashlib

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lightning_modules.policy import Policy


class Reference:
    """A frozen copy of a causal LM, kept out of the module tree: it has no part in checkpoints or optimizers."""

    def __init__(self, causal_lm: PreTrainedModel) -> None:
        self._policy = Policy(copy.deepcopy(causal_lm)).requires_grad_(False).eval()
        self.sha256 = weights_sha256(causal_lm)

    @torch.no_grad()
    def logits(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, chosen: Tensor) -> Tensor:
        """[B, T] ids, mask (1 = token), positions and chosen (True = wanted) -> [M, V], on the device of the ids."""
        self._policy.to(input_ids.device)
        return self._policy(input_ids, attention_mask, position_ids, chosen)[0]


def weights_sha256(causal_lm: PreTrainedModel) -> str:
    """Hash the names and bytes of all weights."""
    digest = hashlib.sha256()
    for name, weight in sorted(causal_lm.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
