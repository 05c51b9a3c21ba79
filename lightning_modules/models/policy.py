"""The model that is trained: a causal LM, and a critic if the algorithm has one. It does not sample.

Shapes: `B` rows, `T` tokens of a row, `M` selected positions, `D` hidden size, `V` vocabulary.
"""

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from lightning_modules.models.forward.chunked_logits import LogitsFn, apply_to_chunked_logits
from lightning_modules.models.forward.compute import use_attention, uses_flex_attention
from lightning_modules.models.lora import has_lora, merge_lora
from lightning_modules.models.return_normalization import mean_and_std, update_moments
from lightning_modules.models.sharding import copy_structure, gather_full_model, shard, share_weights

Trunk = Literal["shared", "separate"]
Heads = Literal["both", "policy", "critic"]


class Policy(nn.Module):
    """A causal LM that computes logits, and values if it has a critic, at selected positions only.

    The value head predicts returns in units of their running mean and standard deviation, which are part of the state.
    It is initialized to zero. A separate critic starts as a copy of the causal LM without its output layer, and its
    gradients do not reach the causal LM.

    Args:
        causal_lm: model to train.
        critic: input of the value head: hidden states of the causal LM (`shared`) or of a second one (`separate`);
            None = no critic.
        compiled: run transformer blocks through `torch.compile`; sampling never does.
    """

    def __init__(self, causal_lm: PreTrainedModel, *, critic: Trunk | None = None, compiled: bool = False) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self._run_trunk = torch.compile(last_hidden_states, dynamic=True) if compiled else last_hidden_states
        self.critic_trunk: nn.Module | None = copy.deepcopy(causal_lm.base_model) if critic == "separate" else None
        self._full_structure: tuple[PreTrainedModel] | None = None  # a tuple, so that it is no submodule
        self.value_head: nn.Linear | None = None
        self.return_moments: Tensor
        if critic is not None:
            self.register_buffer("return_moments", torch.zeros(3))
            self.value_head = nn.Linear(causal_lm.config.get_text_config().hidden_size, 1)
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        position_mask: Tensor,
        logits_fn: LogitsFn | None = None,
        heads: Heads = "both",
    ) -> tuple[Any, Tensor | None]:
        """Run the heads at `M` selected positions: logits of a whole prompt would cost more than everything else.

        Args:
            input_ids: [B, T] long.
            attention_mask: [B, T] with 1 = token, or [B, 1, T, T] bool with True = may attend (or a `BlockMask`).
            position_ids: [B, T] long.
            position_mask: [B, T] bool, True = selected.
            logits_fn: computes tensors from logits, chunk by chunk; None = return the logits.
            heads: `policy` computes no values, `critic` values only, whose gradients do not reach the causal LM.

        Returns:
            Logits [M, V], or the tensors of `logits_fn` (None for `critic`), and values [M] (None without a critic and
            for `policy`), row by row; the value at t is that of the state after token t.
        """
        inputs = (input_ids, attention_mask, position_ids)
        outputs: Any = None
        hidden: Tensor | None = None
        if heads != "critic" or self.critic_trunk is None:
            with torch.set_grad_enabled(heads != "critic" and torch.is_grad_enabled()):
                hidden = self._run_trunk(self.causal_lm.base_model, *inputs)[position_mask]
        if heads != "critic":
            assert hidden is not None
            head = output_layer(self.causal_lm)
            if logits_fn is None:
                outputs = head(hidden)
            else:
                vocab_size = self.causal_lm.config.get_text_config().vocab_size
                outputs = apply_to_chunked_logits(head, hidden, logits_fn, vocab_size=vocab_size)
        if heads == "policy" or self.value_head is None:
            return outputs, None
        if self.critic_trunk is not None:
            hidden = self._run_trunk(self.critic_trunk, *inputs)[position_mask]
        mean, std = mean_and_std(self.return_moments)
        return outputs, self.value_head(hidden).squeeze(-1) * std + mean

    @property
    def return_std(self) -> Tensor:
        """Running standard deviation of returns, a scalar."""
        return mean_and_std(self.return_moments)[1]

    def update_return_moments(self, sums: Tensor) -> None:
        """Average the returns of an iteration into their running mean and standard deviation.

        Args:
            sums: [3] count, sum and sum of squares of the returns, over all ranks.
        """
        self.return_moments.copy_(update_moments(self.return_moments, sums))

    def shard(self, mesh: DeviceMesh) -> None:
        """Shard the parameters over the ranks of `mesh`, in place."""
        self._full_structure = (copy_structure(self.causal_lm),)
        shard(self, mesh)

    def sampling_model(self, dtype: torch.dtype | None) -> PreTrainedModel:
        """Return a causal LM to sample from: the policy's own if it is a plain model, else a plain copy of its weights.

        With flex attention it is another module with the same weights.

        If the weights are sharded, all ranks must call this together.

        Args:
            dtype: of the weights of a copy; None = unchanged. Models with adapters keep their type: adapters are merged
                before anything is rounded.
        """
        causal_lm = self.causal_lm
        flex, adapted = uses_flex_attention(causal_lm), has_lora(causal_lm)
        if not (self._full_structure or flex or adapted):
            return causal_lm
        if not (self._full_structure or adapted):
            plain = share_weights(causal_lm)
            use_attention(plain, "sdpa")
            return plain
        (structure,) = self._full_structure or (copy_structure(causal_lm),)
        plain = gather_full_model(structure, causal_lm, None if adapted else dtype)
        if adapted:
            merge_lora(plain)
        if flex:
            use_attention(plain, "sdpa")
        return plain

    def critic_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that only the critic has."""
        parts = [part for part in (self.critic_trunk, self.value_head) if part is not None]
        return [parameter for part in parts for parameter in part.parameters()]


def last_hidden_states(trunk: nn.Module, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
    """Return the inputs [B, T, D] of a causal LM's output layer; models that rescale logits are not supported."""
    outputs = trunk(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False)
    return outputs.last_hidden_state


def output_layer(causal_lm: PreTrainedModel) -> nn.Module:
    """Return the layer that turns [..., D] hidden states into [..., V] logits."""
    layer = causal_lm.get_output_embeddings()
    assert isinstance(layer, nn.Module)
    return layer


def get_context_length(causal_lm: PreTrainedModel) -> int:
    """Return the maximum number of tokens of prompt and completion; a very large number if the config states none."""
    return getattr(causal_lm.config, "max_position_embeddings", None) or 1 << 30
