"""A key/value cache that is written in place while it grows, for decoding token by token.

transformers' own growing cache copies everything at each token; this one copies only when its buffer is full. Layers
with sliding windows keep the transformers layer made for them; models with other state are not driven with it.
"""

import inspect

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer


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
            self._move(self.keys, self.values, room=max(self.capacity, total))
        assert self._key_buffer is not None
        assert self._value_buffer is not None
        self._key_buffer[:, :, length:total] = key_states
        self._value_buffer[:, :, length:total] = value_states
        self.keys = self._key_buffer[:, :, :total]
        self.values = self._value_buffer[:, :, :total]
        return self.keys, self.values

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order; rows may repeat. Rows that stay where they are cost nothing."""
        assert self._key_buffer is not None
        assert self._value_buffer is not None
        assert self.keys is not None
        assert self.values is not None
        if len(rows) > len(self.keys):
            self._move(self.keys[rows], self.values[rows], room=self._key_buffer.shape[-2])
            return
        self._key_buffer, self._value_buffer = self._key_buffer[: len(rows)], self._value_buffer[: len(rows)]
        keys, values = self.keys[: len(rows)], self.values[: len(rows)]
        moved = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
        if len(moved):
            keys[moved], values[moved] = self.keys[rows[moved]], self.values[rows[moved]]
        self.keys, self.values = keys, values

    def _move(self, keys: Tensor | None, values: Tensor | None, *, room: int) -> None:
        """Put `[B, H, T, D]` keys and values into new buffers with `room` positions."""
        assert keys is not None
        assert values is not None
        batch, heads, length, _ = keys.shape
        self._key_buffer = keys.new_empty((batch, heads, room, keys.shape[3]))
        self._value_buffer = values.new_empty((batch, heads, room, values.shape[3]))
        self._key_buffer[:, :, :length] = keys
        self._value_buffer[:, :, :length] = values
        self.keys = self._key_buffer[:, :, :length]
        self.values = self._value_buffer[:, :, :length]


def is_drivable(causal_lm: PreTrainedModel) -> bool:
    """Say whether a model keeps its state in such a cache alone, and takes positions and padding with it."""
    asked = {"input_ids", "attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
    if causal_lm._is_stateful or not asked <= set(inspect.signature(causal_lm.forward).parameters):
        return False
    known = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)
    return all(type(layer) in known for layer in DynamicCache(config=causal_lm.config).layers)


def new_cache(config: PreTrainedConfig, capacity: int) -> DynamicCache:
    """Make an empty cache for a model of this config, with room for `capacity` positions."""
    cache = DynamicCache(config=config)
    cache.layers = [BufferedLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def select_rows(cache: DynamicCache, rows: Tensor) -> None:
    """Keep `rows` of every layer, in that order; rows may repeat."""
    for layer in cache.layers:
        if isinstance(layer, BufferedLayer):
            layer.select(rows)
        else:
            layer.reorder_cache(rows.long())  # pyright: ignore[reportArgumentType]
