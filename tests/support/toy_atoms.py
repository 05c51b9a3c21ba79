"""Small atoms for tests, and two whose results depend on the hash seed: always, and beyond their own domain only."""

from collections.abc import Mapping

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import Atom, atom

HASH_SEED = 0  # the in-process executor sets it for the programs it runs


@atom(
    en=(
        "rotate {values} left by {k}",
        "turn {values} {k} places left",
        "shift {values} left {k} times",
        "wind {values} back by {k}",
    ),
    zh=("将 {values} 左移 {k} 位", "把 {values} 循环左移 {k}", "左转 {values} 共 {k} 位", "回绕 {values} 达 {k} 次"),
    domains={"k": Ints(1, 5)},
)
def rotate(values: list[int], k: int) -> list[int]:
    k %= max(1, len(values))
    return values[k:] + values[:k]


@atom(
    en=(
        "take the largest of {values}",
        "find the maximum of {values}",
        "return the top of {values}",
        "pick the greatest of {values}",
    ),
    zh=("取 {values} 的最大值", "求 {values} 中最大者", "返回 {values} 的最大项", "挑出 {values} 中最大的数"),
)
def largest(values: list[int]) -> int:
    return max(values, default=0)


@atom(
    en=("sort {values}", "put {values} in order", "arrange {values}", "rank {values}"),
    zh=("将 {values} 排序", "排列 {values}", "整理 {values}", "给 {values} 排好次序"),
)
def ordered(values: list[int]) -> list[int]:
    return sorted(values)


@atom(
    en=(
        "subtract {right} from {left}",
        "take {right} away from {left}",
        "lower {left} by {right}",
        "deduct {right} from {left}",
    ),
    zh=("求 {left} 减 {right}", "从 {left} 减去 {right}", "把 {left} 减少 {right}", "由 {left} 扣除 {right}"),
)
def minus(left: int, right: int) -> int:
    return left - right


@atom(
    en=("double each of {values}", "multiply {values} by 2", "add {values} to itself", "make {values} twice as large"),
    zh=("将 {values} 各项加倍", "把 {values} 乘以 2", "让 {values} 与自身相加", "使 {values} 变成两倍"),
)
def doubled(values: list[int]) -> list[int]:
    return [2 * value for value in values]


@atom(
    en=("mix {values}", "stir {values}", "blend {values}", "whisk {values}"),
    zh=("混合 {values}", "搅拌 {values}", "调和 {values}", "拌匀 {values}"),
)
def unstable(values: list[int]) -> list[int]:
    return [value * 3 + HASH_SEED for value in values]


@atom(
    en=("triple {values}", "multiply {values} by 3", "scale {values} threefold", "make {values} three times as large"),
    zh=("将 {values} 各项乘三", "把 {values} 乘以 3", "让 {values} 变为三倍", "使 {values} 扩大两倍"),
)
def touchy(values: list[int]) -> list[int]:
    return [value * 3 + (HASH_SEED if value > 60 else 0) for value in values]


TOYS: Mapping[str, Atom] = {toy.name: toy for toy in (rotate, largest, ordered, minus, doubled)}
