"""Forward pass of Llama-style models with few operations per token: small models are bound by overhead.

Computes the function of `LlamaForCausalLM` and `Qwen2ForCausalLM` from their weights. Projections with the same input
are stacked to one matrix. With weights in bfloat16 everything else stays in float32, as under autocast: on CPUs
attention of a single query is five times as slow in bfloat16 as in float32. On GPUs attention and its cache have the
type of the weights. There is no backward pass.

Shapes: `B` rows, `n` new tokens, `H` query heads, `K` key heads, `D` their size.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedModel, Qwen2ForCausalLM

from lightning_modules.generation.shared_prefix import SharedPrefixCache
from lightning_modules.models.policy import output_layer


class Projection(NamedTuple):
    """Stacked weights of linear layers with the same input."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, values: Tensor) -> Tensor:
        """[.., in] -> [.., out], in the type of `values`."""
        return functional.linear(values.to(self.weight.dtype), self.weight, self.bias).to(values.dtype)


class Block(NamedTuple):
    """One transformer block."""

    norm: Tensor
    qkv: Projection
    output: Projection
    mlp_norm: Tensor
    gate_up: Projection
    down: Projection


class Logits(NamedTuple):
    """The output of a causal LM of transformers, without the fields that decoding does not use."""

    logits: Tensor


class LlamaDecoder:
    """Returns the logits after the last of some tokens; a snapshot of the model's current weights.

    Args:
        causal_lm: Model for which `can_decode` holds.
        dtype: Of the projections; None = that of the model.
    """

    def __init__(self, causal_lm: PreTrainedModel, dtype: torch.dtype | None) -> None:
        self.config = causal_lm.config
        self.device = causal_lm.device
        trunk: Any = causal_lm.base_model
        attention = trunk.layers[0].self_attn
        self._head_dim = attention.head_dim
        self._num_heads = self.config.num_attention_heads
        self._num_kv_heads = self.config.num_key_value_heads
        self._scale = attention.scaling
        self._eps = self.config.rms_norm_eps
        self._activation = trunk.layers[0].mlp.act_fn
        self._rotary = trunk.rotary_emb
        self._attention_dtype = torch.float32 if self.device.type == "cpu" else dtype or causal_lm.dtype
        self._embedding = trunk.embed_tokens.weight.detach()
        self._norm = trunk.norm.weight.detach().float()
        self._head = _stack([output_layer(causal_lm)], dtype)
        self._blocks = [_stack_block(layer, dtype) for layer in trunk.layers]

    def __call__(
        self, *, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past_key_values: SharedPrefixCache
    ) -> Logits:
        """Run prompts, or the next token of completions, through the model.

        Args:
            input_ids: [B, n].
            attention_mask: [B, n] of prompts, 0 = padding on the left; not used for completions.
            position_ids: [B, n].
            past_key_values: Prompts are added to an empty cache; completions need one that is shared.

        Returns:
            Logits [B, 1, V] after the last token.
        """
        hidden = functional.embedding(input_ids, self._embedding).float()
        cos, sin = self._rotary(hidden, position_ids)
        sin = torch.cat([-sin[..., : self._head_dim // 2], sin[..., self._head_dim // 2 :]], dim=-1)
        mask = None if past_key_values.is_shared else _build_mask(attention_mask)
        for number, block in enumerate(self._blocks):
            attended = self._attend(block, number, hidden, cos[:, None], sin[:, None], mask, past_key_values)
            hidden = hidden + block.output(attended)
            gate, up = block.gate_up(self._rms_norm(hidden, block.mlp_norm)).chunk(2, dim=-1)
            hidden = hidden + block.down(self._activation(gate) * up)
        return Logits(self._head(self._rms_norm(hidden[:, -1:], self._norm)))

    def _attend(
        self,
        block: Block,
        number: int,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        cache: SharedPrefixCache,
    ) -> Tensor:
        """[B, n, hidden] -> [B, n, H * D]."""
        num_rows, length, _ = hidden.shape
        heads, kv_heads = self._num_heads, self._num_kv_heads
        qkv = block.qkv(self._rms_norm(hidden, block.norm))
        qkv = qkv.view(num_rows, length, heads + 2 * kv_heads, self._head_dim).transpose(1, 2)
        rotated = qkv[:, : heads + kv_heads]
        rotated = rotated * cos + rotated.roll(self._head_dim // 2, dims=-1) * sin
        rotated, values = rotated.to(self._attention_dtype), qkv[:, heads + kv_heads :].to(self._attention_dtype)
        queries, keys = rotated[:, :heads], rotated[:, heads:]
        if cache.is_shared:
            queries = queries.reshape(num_rows, kv_heads, heads // kv_heads, self._head_dim)
            attended = cache.attend(number, queries, keys, values, self._scale)
            return attended.to(hidden.dtype).reshape(num_rows, 1, heads * self._head_dim)
        cache.add_prefix(keys, values)
        enable_gqa = heads != kv_heads
        if enable_gqa and queries.device.type != "cpu":
            # with a mask and unequal numbers of heads, CUDA has only the math kernel, which stores all scores
            keys, values = (part.repeat_interleave(heads // kv_heads, dim=1) for part in (keys, values))
            enable_gqa = False
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, scale=self._scale, enable_gqa=enable_gqa
        )
        return attended.to(hidden.dtype).transpose(1, 2).reshape(num_rows, length, heads * self._head_dim)

    def new_cache(self, prompt_length: int, max_new_tokens: int) -> SharedPrefixCache:
        """Create an empty cache for completions of at most `max_new_tokens` tokens."""
        return SharedPrefixCache(max_new_tokens)

    def _rms_norm(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(hidden, weight.shape, weight, self._eps)


def can_decode(causal_lm: PreTrainedModel) -> bool:
    """Whether `LlamaDecoder` supports a model."""
    return type(causal_lm) in (LlamaForCausalLM, Qwen2ForCausalLM) and not getattr(
        causal_lm.config, "use_sliding_window", False
    )


def _stack_block(layer: Any, dtype: torch.dtype | None) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    return Block(
        norm=layer.input_layernorm.weight.detach().float(),
        qkv=_stack([attention.q_proj, attention.k_proj, attention.v_proj], dtype),
        output=_stack([attention.o_proj], dtype),
        mlp_norm=layer.post_attention_layernorm.weight.detach().float(),
        gate_up=_stack([mlp.gate_proj, mlp.up_proj], dtype),
        down=_stack([mlp.down_proj], dtype),
    )


def _stack(layers: list[Any], dtype: torch.dtype | None) -> Projection:
    weight = torch.cat([layer.weight.detach() for layer in layers]).to(dtype)
    biases = [layer.bias for layer in layers]
    if all(bias is None for bias in biases):
        return Projection(weight, None)
    filled = [
        layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach() for layer in layers
    ]
    return Projection(weight, torch.cat(filled).to(weight))


def _build_mask(attention_mask: Tensor) -> Tensor:
    """[B, n] with 0 = padding -> [B, 1, n, n] bool, True = may attend."""
    length = attention_mask.shape[1]
    causal = torch.ones((length, length), dtype=torch.bool, device=attention_mask.device).tril()
    mask = causal & attention_mask.bool()[:, None, None]
    return mask | ~mask.any(-1, keepdim=True)  # a padding query would otherwise attend to nothing
