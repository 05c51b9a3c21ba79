"""A key/value cache in preallocated buffers, for decoding token by token.

The growing cache of transformers copies everything at each token; this one copies only when its buffer is full. Layers
with sliding windows keep the layer class of transformers. Models with other state are not supported.
"""

import inspect

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer

_KNOWN_LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer")  # transformers has the last from 5.20


class BufferedLayer(DynamicLayer):
    """Keys and values of one layer in buffers of at least `capacity` positions."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self._key_buffer: Tensor | None = None
        self._value_buffer: Tensor | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append `[B, H, n, D]` keys and values and return all of them, `[B, H, T, D]`."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        length = self.get_seq_length()
        total = length + key_states.shape[-2]
        if self._key_buffer is None or self._key_buffer.shape[-2] < total:
            self._reallocate(self.keys, self.values, capacity=max(self.capacity, total))
        assert self._key_buffer is not None
        assert self._value_buffer is not None
        self._key_buffer[:, :, length:total] = key_states
        self._value_buffer[:, :, length:total] = value_states
        self.keys = self._key_buffer[:, :, :total]
        self.values = self._value_buffer[:, :, :total]
        return self.keys, self.values

    def select(self, rows: Tensor, targets: Tensor, sources: Tensor) -> None:
        """Keep `rows`, in that order; rows may repeat. Rows that stay in place are not copied.

        Args:
            rows: [B'] on the device of the keys.
            targets: Places in which another row than before has to be, likewise.
            sources: The rows for them.
        """
        assert self._key_buffer is not None
        assert self._value_buffer is not None
        assert self.keys is not None
        assert self.values is not None
        if len(rows) > len(self.keys):
            self._reallocate(self.keys[rows], self.values[rows], capacity=self._key_buffer.shape[-2])
            return
        self._key_buffer, self._value_buffer = self._key_buffer[: len(rows)], self._value_buffer[: len(rows)]
        keys, values = self.keys[: len(rows)], self.values[: len(rows)]
        if len(targets):
            keys[targets], values[targets] = self.keys[sources], self.values[sources]
        self.keys, self.values = keys, values

    def _reallocate(self, keys: Tensor | None, values: Tensor | None, *, capacity: int) -> None:
        """Copy `[B, H, T, D]` keys and values into new buffers with `capacity` positions."""
        assert keys is not None
        assert values is not None
        batch, heads, length, _ = keys.shape
        self._key_buffer = keys.new_empty((batch, heads, capacity, keys.shape[3]))
        self._value_buffer = values.new_empty((batch, heads, capacity, values.shape[3]))
        self._key_buffer[:, :, :length] = keys
        self._value_buffer[:, :, :length] = values
        self.keys = self._key_buffer[:, :, :length]
        self.values = self._value_buffer[:, :, :length]


class BufferedCache(DynamicCache):
    """An empty cache for a model, with buffers for prompts and completions.

    Args:
        config: Of the model.
        prompt_length: Maximum tokens of a prompt.
        max_new_tokens: Maximum tokens of a completion.
    """

    def __init__(self, config: PreTrainedConfig, prompt_length: int, max_new_tokens: int) -> None:
        super().__init__(config=config)
        capacity = prompt_length + max_new_tokens
        self.layers = [BufferedLayer(capacity) if type(layer) is DynamicLayer else layer for layer in self.layers]

    def share(self, prompts: Tensor, mask: Tensor) -> None:
        """Copy the keys and values of each prompt to all its completions."""
        self.select(prompts)

    def select(self, rows: Tensor) -> None:
        """Keep `rows` (on the CPU) of every layer, in that order; rows may repeat."""
        keys = next(layer.keys for layer in self.layers if getattr(layer, "keys", None) is not None)  # pyright: ignore
        moved = find_moved(rows)
        chosen, targets, sources = (indices.to(keys.device) for indices in (rows.long(), moved, rows[moved]))
        for layer in self.layers:
            if isinstance(layer, BufferedLayer):
                layer.select(chosen, targets, sources)
            else:
                layer.reorder_cache(chosen)  # pyright: ignore[reportArgumentType]


def find_moved(rows: Tensor) -> Tensor:
    """Return the places that get another row, given the row of each place; on the CPU, where this waits for nothing."""
    return (rows != torch.arange(len(rows))).nonzero()[:, 0]


def supports_buffered_cache(causal_lm: PreTrainedModel) -> bool:
    """Whether a model keeps all its state in such a cache, and takes positions and a padding mask with it."""
    required = {"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
    if causal_lm._is_stateful or not required <= set(inspect.signature(causal_lm.forward).parameters):
        return False
    return all(type(layer).__name__ in _KNOWN_LAYERS for layer in DynamicCache(config=causal_lm.config).layers)
