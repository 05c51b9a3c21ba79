"""A key/value cache that holds each distinct prompt once, however many completions of it are decoded.

The queries of all completions of a prompt attend to it in one matrix product, so its keys are read once per token and
not once per completion (Hydragen, arXiv 2402.05099). The softmax is over prompt and completion together, so the result
is that of ordinary attention. `LlamaDecoder` uses it; models of transformers use `kv_cache.BufferedCache`.

Shapes: `G` distinct prompts of `P` tokens, padded on the left; `B` completions with `T` tokens; `K` key heads, each
shared by `R` query heads; `D` the size of a head.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.generation.kv_cache import find_moved


class Groups(NamedTuple):
    """Where the rows of a batch are in a padded arrangement by prompt, `[G * S]` places with `S` rows per prompt."""

    places: Tensor
    """[B] place of each row."""
    num_groups: int
    size: int
    """`S`."""

    @classmethod
    def from_prompts(cls, prompts: Tensor, num_groups: int) -> "Groups":
        """Arrange rows by their prompts `[B]`, numbers below `num_groups`, on the CPU."""
        counts = torch.bincount(prompts, minlength=num_groups)
        order = torch.argsort(prompts, stable=True)
        starts = (counts.cumsum(0) - counts)[prompts[order]]
        ranks = torch.empty_like(order)
        ranks[order] = torch.arange(len(order)) - starts
        size = int(counts.max())
        return cls(prompts * size + ranks, num_groups, size)

    def to(self, device: torch.device) -> "Groups":
        """Move to the device of the rows."""
        return self._replace(places=self.places.to(device))

    def gather(self, rows: Tensor) -> Tensor:
        """[B, K, R, X] -> [G, K, S * R, X], zero in empty places."""
        _, kv_heads, group, width = rows.shape
        padded = rows.new_zeros((self.num_groups * self.size, kv_heads, group, width))
        padded[self.places] = rows
        padded = padded.view(self.num_groups, self.size, kv_heads, group, width)
        return padded.transpose(1, 2).reshape(self.num_groups, kv_heads, self.size * group, width)

    def scatter(self, grouped: Tensor) -> Tensor:
        """[G, K, S * R, X] -> [B, K, R, X], the inverse of `gather`."""
        num_groups, kv_heads, length, width = grouped.shape
        split = grouped.view(num_groups, kv_heads, self.size, length // self.size, width).transpose(1, 2)
        return split.reshape(num_groups * self.size, kv_heads, -1, width)[self.places]


def attend(
    queries: Tensor,
    prefix: tuple[Tensor, Tensor],
    prefix_mask: Tensor,
    groups: Groups,
    suffix: tuple[Tensor, Tensor],
    scale: float,
) -> Tensor:
    """Attend from the newest token of each completion to its prompt and to its own tokens.

    Args:
        queries: [B, K, R, D].
        prefix: Keys and values of the prompts, [G, K, P, D] each.
        prefix_mask: [G, P] bool, False = padding.
        groups: The prompt of each row.
        suffix: Keys and values of the completions, [B, K, T, D] each, including the newest token.
        scale: Multiplies the products of queries and keys.

    Returns:
        [B, K, R, D].
    """
    keys, values = prefix
    own_keys, own_values = suffix
    shared = groups.gather(queries * scale) @ keys.transpose(2, 3)
    shared = shared.masked_fill(~prefix_mask[:, None, None], -torch.inf)
    own = (queries * scale) @ own_keys.transpose(2, 3)
    scores = torch.cat([groups.scatter(shared), own], dim=-1)
    weights = functional.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype)
    num_shared = keys.shape[2]
    attended = groups.scatter(groups.gather(weights[..., :num_shared]) @ values)
    return attended + weights[..., num_shared:] @ own_values


class SharedPrefixCache:
    """Keys and values of all layers: first of `G` prompts, and after `share` also of `B` completions.

    Args:
        capacity: Maximum tokens of a completion.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._length = 0
        self._prefix: list[tuple[Tensor, Tensor]] = []
        self._suffix: list[tuple[Tensor, Tensor]] = []

    @property
    def is_shared(self) -> bool:
        """Whether completions have begun."""
        return bool(self._suffix)

    def add_prefix(self, keys: Tensor, values: Tensor) -> None:
        """Add the keys and values [G, K, P, D] of the next layer."""
        self._prefix.append((keys, values))

    def share(self, prompts: Tensor, mask: Tensor) -> None:
        """Begin `B` completions.

        Args:
            prompts: [B] index of the prompt of each, on the CPU.
            mask: [G, P], 0 = padding.
        """
        self._prompts, self._prefix_mask = prompts, mask.bool()
        self._groups = Groups.from_prompts(prompts, len(mask)).to(mask.device)
        keys = self._prefix[0][0]
        shape = (len(prompts), keys.shape[1], self._capacity, keys.shape[3])
        self._suffix = [(keys.new_empty(shape), keys.new_empty(shape)) for _ in self._prefix]

    def select(self, rows: Tensor) -> None:
        """Keep the completions `rows`, at most as many as there are, in that order, and the prompts they need.

        Args:
            rows: On the CPU: what follows from them would otherwise wait for the device.
        """
        device, moved = self._prefix_mask.device, find_moved(rows)
        targets, sources = moved.to(device), rows[moved].to(device)
        for number, buffers in enumerate(self._suffix):
            for buffer in buffers if len(moved) else ():
                buffer[targets, :, : self._length] = buffer[sources, :, : self._length]
            self._suffix[number] = (buffers[0][: len(rows)], buffers[1][: len(rows)])
        used, self._prompts = torch.unique(self._prompts[rows], return_inverse=True)
        num_used = len(used)
        if num_used < len(self._prefix_mask):
            used = used.to(device)
            self._prefix = [(keys[used], values[used]) for keys, values in self._prefix]
            self._prefix_mask = self._prefix_mask[used]
        self._groups = Groups.from_prompts(self._prompts, num_used).to(device)

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """Append the keys and values [B, K, 1, D] of a token, and attend from queries [B, K, R, D] to all before it."""
        if layer == 0:
            self._length += 1
        key_buffer, value_buffer = self._suffix[layer]
        key_buffer[:, :, self._length - 1 : self._length] = keys
        value_buffer[:, :, self._length - 1 : self._length] = values
        own = key_buffer[:, :, : self._length], value_buffer[:, :, : self._length]
        return attend(queries, self._prefix[layer], self._prefix_mask, self._groups, own, scale)
