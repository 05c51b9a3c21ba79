"""Two atoms from outside: named in a synthesis config, they are composed with the hundred."""

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "swap every two neighbours of {values}, leaving an odd last one",
        "exchange the elements of {values} in pairs; a last one without a partner stays",
        "walk over {values} in steps of two and turn each pair round",
        "put each second element of {values} before the one it follows, an odd last one staying where it is",
    ),
    zh=(
        "交换 {values} 中每两个相邻元素，奇数个时末尾不动",
        "两两对调 {values} 的元素，落单的最后一个留在原处",
        "每两步走过 {values}，把每一对颠倒",
        "把 {values} 的每个第二元素移到其前一个之前，落单的末元素不动",
    ),
)
def swap_neighbours(values: list[int]) -> list[int]:
    result = list(values)
    for i in range(0, len(result) - 1, 2):
        result[i], result[i + 1] = result[i + 1], result[i]
    return result


@atom(
    en=(
        "count how many of {values} lie within {distance} of their mean",
        "find how many elements of {values} are at most {distance} away from the average",
        "tell how many numbers of {values} differ from the mean by no more than {distance}",
        "number the members of {values} whose distance to the mean is {distance} or less",
    ),
    zh=(
        "数出 {values} 中与平均数相差不超过 {distance} 的元素个数",
        "求 {values} 里离均值至多 {distance} 的数有几个",
        "统计 {values} 中到平均值距离不大于 {distance} 的数",
        "算出 {values} 中与均值之差在 {distance} 以内的成员数",
    ),
    domains={"distance": Ints(0, 12)},
)
def count_near_mean(values: list[int], distance: int) -> int:
    if not values:
        return 0
    return sum(abs(value * len(values) - sum(values)) <= distance * len(values) for value in values)
