"""The model that is trained: a causal LM, and a critic where the algorithm has one.

Shapes: `B` rows, `T` tokens of a row, `M` chosen positions, `D` hidden size, `V` vocabulary. Nothing here samples.
"""

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from lightning_modules.models.chunked_logits import LogitsFn, apply_to_chunked_logits
from lightning_modules.models.compute import use_attention, uses_flex_attention
from lightning_modules.models.lora import has_lora, merge_lora
from lightning_modules.models.sharding import Unsharded, shard

Trunk = Literal["shared", "separate"]


class Policy(nn.Module):
    """A causal LM with the logits of chosen positions and, where there is a critic, their values.

    The value head starts at zero, so first values are 0. A critic of its own (`separate`) starts as a copy of the
    causal LM without its output layer, and its gradients do not reach the causal LM.

    Args:
        causal_lm: is trained.
        critic: what the value head reads: the hidden states of the causal LM, or those of a second one; None for none.
        compiled: whether transformer blocks run through `torch.compile`; sampling from the causal LM never does.
    """

    def __init__(self, causal_lm: PreTrainedModel, *, critic: Trunk | None = None, compiled: bool = False) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self._read = torch.compile(last_hidden_states, dynamic=True) if compiled else last_hidden_states
        self.critic_trunk: nn.Module | None = copy.deepcopy(causal_lm.base_model) if critic == "separate" else None
        self._unsharded: Unsharded | None = None
        self.value_head: nn.Linear | None = None
        if critic is not None:
            self.value_head = nn.Linear(causal_lm.config.get_text_config().hidden_size, 1)
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        chosen: Tensor,
        of_logits: LogitsFn | None = None,
    ) -> tuple[Any, Tensor | None]:
        """Run the heads at the `M` chosen positions alone: logits of a whole prompt cost more than all the rest.

        Args:
            input_ids: [B, T] long.
            attention_mask: [B, T] with 1 = token, or [B, 1, T, T] bool with True = may attend (or a `BlockMask`).
            position_ids: [B, T] long.
            chosen: [B, T] bool, True = wanted.
            of_logits: what is made of the logits, part by part; None = nothing.

        Returns:
            Logits [M, V], or the tensors that `of_logits` makes of them, and values [M] (None without a critic), row by
            row; the value at t is that of the state after token t.
        """
        hidden = self._read(self.causal_lm.base_model, input_ids, attention_mask, position_ids)[chosen]
        head = output_layer(self.causal_lm)
        if of_logits is None:
            wanted: Any = head(hidden)
        else:
            vocab_size = self.causal_lm.config.get_text_config().vocab_size
            wanted = apply_to_chunked_logits(head, hidden, of_logits, vocab_size=vocab_size)
        if self.value_head is None:
            return wanted, None
        if self.critic_trunk is not None:
            hidden = self._read(self.critic_trunk, input_ids, attention_mask, position_ids)[chosen]
        return wanted, self.value_head(hidden).squeeze(-1)

    def shard(self, mesh: DeviceMesh) -> None:
        """Cut the parameters over the ranks of `mesh`, in place."""
        self._unsharded = Unsharded(self.causal_lm)
        shard(self, mesh)

    def sampling_model(self, dtype: torch.dtype | None) -> PreTrainedModel:
        """Return a causal LM to sample from: its own where that is plain, or else a plain copy of the present weights.

        Args:
            dtype: of the weights of a copy; None = as they are, which they stay where adapters are added to them. Where
                they are sharded all ranks call this together.
        """
        causal_lm = self.causal_lm
        flex, adapted = uses_flex_attention(causal_lm), has_lora(causal_lm)
        if not (self._unsharded or flex or adapted):
            return causal_lm
        # adapters are added before anything is rounded; decoding rounds what it reads
        plain = (self._unsharded or Unsharded(causal_lm)).copy_of(causal_lm, None if adapted else dtype)
        if adapted:
            merge_lora(plain)
        if flex:
            use_attention(plain, "sdpa")
        return plain

    def critic_parameters(self) -> list[nn.Parameter]:
        """List what only the critic has."""
        parts = [part for part in (self.critic_trunk, self.value_head) if part is not None]
        return [parameter for part in parts for parameter in part.parameters()]


def last_hidden_states(trunk: nn.Module, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
    """[B, T, D] what the output layer of a causal LM is applied to (models that rescale logits after it do not fit)."""
    outputs = trunk(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False)
    return outputs.last_hidden_state


def output_layer(causal_lm: PreTrainedModel) -> nn.Module:
    """Return the layer that turns [..., D] hidden states into [..., V] logits."""
    layer = causal_lm.get_output_embeddings()
    assert isinstance(layer, nn.Module)
    return layer


def get_context_length(causal_lm: PreTrainedModel) -> int:
    """Tokens a model can read, prompt and completion together; a very large number where it states none."""
    return getattr(causal_lm.config, "max_position_embeddings", None) or 1 << 30
