"""Ten atoms on lists of numbers: rotation, halves, windows, runs, chunks, peaks."""

from __future__ import annotations

from datamodules.atoms.domains import Ints, Lists
from datamodules.atoms.registry import atom


@atom(
    en=(
        "rotate {values} left by {k} places",
        "move the first {k} items of {values} to its end, cyclically",
        "shift {values} cyclically by {k} positions to the left",
        "cut {values} after {k} items, counted modulo its length, and swap the two parts",
    ),
    zh=(
        "把 {values} 向左旋转 {k} 位",
        "将 {values} 循环左移 {k} 个位置",
        "循环地把 {values} 的前 {k} 个元素移到末尾",
        "在 {values} 的前 {k} 项之后切开（按长度取模），交换前后两段",
    ),
    domains={"k": Ints(1, 9)},
)
def rotate_left(values: list[int], k: int) -> list[int]:
    if not values:
        return []
    k %= len(values)
    return values[k:] + values[:k]


@atom(
    en=(
        "compute the prefix sums of {values}",
        "replace each item of {values} by the total of all items up to it",
        "list the running totals of {values}",
        "for each position of {values}, sum what stands there and before",
    ),
    zh=(
        "求 {values} 的前缀和列表",
        "把 {values} 的每一项换成从头到该项的总和",
        "依次累加 {values}，列出每一步的合计",
        "对 {values} 的每个位置，求它与之前所有数之和",
    ),
)
def prefix_sums(values: list[int]) -> list[int]:
    sums = []
    total = 0
    for value in values:
        total += value
        sums.append(total)
    return sums


@atom(
    en=(
        "list the maximum of every {k} consecutive items of {values}",
        "slide a window of width {k} over {values} and keep each maximum",
        "find the largest item in each full window of {k} neighbours in {values}",
        "for all slices of {k} adjacent entries of {values}, left to right, report the greatest",
    ),
    zh=(
        "求 {values} 中每 {k} 个连续元素的最大值",
        "用宽度为 {k} 的窗口滑过 {values}，记下每个最大值",
        "列出 {values} 的所有长度为 {k} 的完整窗口的最大元素",
        "从左到右对 {values} 的每个 {k} 项连续切片取其中最大者",
    ),
    domains={"k": Ints(2, 4)},
)
def sliding_maximum(values: list[int], k: int) -> list[int]:
    k = max(k, 1)
    largest = []
    for start in range(len(values) - k + 1):
        largest.append(max(values[start : start + k]))
    return largest


@atom(
    en=(
        "interleave the two halves of {values}, the first half being longer if odd",
        "shuffle {values} perfectly, beginning with the first half and its extra item",
        "alternate items from the first and the second half of {values}, a middle item last",
        "cut {values} into two packets, the first never smaller, and deal from them in turn",
    ),
    zh=(
        "把 {values} 的前后两半交错合并，奇数个时前半多一个",
        "对 {values} 做完美洗牌，先取前半，前半不短于后半",
        "轮流从 {values} 的前半和后半取元素，正中的一项放最后",
        "将 {values} 平分为两叠，多出的一项归第一叠，从第一叠起交替取项",
    ),
)
def interleave_halves(values: list[int]) -> list[int]:
    half = (len(values) + 1) // 2
    result = []
    for index in range(half):
        result.append(values[index])
        if half + index < len(values):
            result.append(values[half + index])
    return result


@atom(
    en=(
        "reverse every block of {k} items of {values}, the shorter last block too",
        "cut {values} into groups of {k}, reverse each group and join them again",
        "turn around each {k} consecutive items of {values}, including an incomplete rest",
        "flip {values} piecewise, {k} items at a time, with the remainder flipped as well",
    ),
    zh=(
        "把 {values} 每 {k} 个一组分别反转，不足一组的也反转",
        "将 {values} 按 {k} 个一段切开，逐段倒序后再拼接",
        "对 {values} 中每连续 {k} 个元素做倒转，余下的也倒转",
        "从头每次取 {values} 的 {k} 项颠倒次序，最后剩下的几项同样颠倒",
    ),
    domains={"k": Ints(2, 5)},
)
def reverse_blocks(values: list[int], k: int) -> list[int]:
    k = max(k, 1)
    result = []
    for start in range(0, len(values), k):
        block = values[start : start + k]
        result.extend(block[::-1])
    return result


@atom(
    en=(
        "split {values} into chunks of {k} items, the last one possibly shorter",
        "cut {values} into consecutive groups of size {k}, keeping a short rest",
        "group {values} by {k} in order, with what is left over as the last group",
        "slice {values} from the front into lists of length {k}, whatever remains forming one more",
    ),
    zh=(
        "把 {values} 按每 {k} 个一组切块，最后一组可能较短",
        "将 {values} 依次分成大小为 {k} 的小组，余下的自成一组",
        "从头起把 {values} 每 {k} 个分一段，末段可不足",
        "按顺序把 {values} 切片为长度 {k} 的若干列表，剩余部分单独成表",
    ),
    domains={"k": Ints(1, 4)},
)
def chunk_list(values: list[int], k: int) -> list[list[int]]:
    k = max(k, 1)
    chunks = []
    for start in range(0, len(values), k):
        chunks.append(values[start : start + k])
    return chunks


@atom(
    en=(
        "run-length encode {values} as pairs of value and count",
        "compress each run of equal neighbours in {values} to a (value, length) pair",
        "group equal adjacent items of {values}, listing each item with its repeat count",
        "list for each maximal block of identical neighbours in {values} the pair (item, length)",
    ),
    zh=(
        "对 {values} 做游程编码，得到（值，次数）对",
        "把 {values} 中每段相邻的相等元素压缩成值与长度",
        "合并 {values} 里连续相同的项，列出每项及其重复次数",
        "逐段扫描 {values}，为每个由同一个数组成的连续块给出（数，块长）",
    ),
    domains={"values": Lists(Ints(0, 3), max_length=10)},
)
def value_runs(values: list[int]) -> list[tuple[int, int]]:
    runs = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return runs


@atom(
    en=(
        "find the length of the longest strictly increasing run in {values}",
        "measure the longest stretch of {values} in which each item exceeds the previous one",
        "count the items in the longest contiguous increasing part of {values}, 0 if empty",
        "find how many adjacent items of {values} at most go strictly up, 0 if empty",
    ),
    zh=(
        "求 {values} 中最长严格递增连续段的长度",
        "找出 {values} 里一直上升的最长相邻片段有几项",
        "计算 {values} 最长的连续递增部分的元素个数，空列表为 0",
        "求 {values} 里相邻各项一个比一个大的片段最多含几项，无元素时为 0",
    ),
)
def longest_rising_run(values: list[int]) -> int:
    best = 0
    length = 0
    for index, value in enumerate(values):
        if index > 0 and value > values[index - 1]:
            length += 1
        else:
            length = 1
        best = max(best, length)
    return best


@atom(
    en=(
        "list the indexes of the peaks of {values}, excluding both ends",
        "find where {values} has an inner item greater than both neighbours",
        "collect every inner position of {values} that is strictly above its two neighbours",
        "give the positions of the strict local maxima of {values}, ends never counting",
    ),
    zh=(
        "列出 {values} 的峰值下标，不含两端",
        "找出 {values} 中比左右两邻都大的内部元素的位置",
        "收集 {values} 里严格高于两侧相邻项的下标，首尾除外",
        "求 {values} 的严格局部极大值所在位置，第一项和最后一项不算",
    ),
)
def peak_positions(values: list[float]) -> list[int]:
    peaks = []
    for index in range(1, len(values) - 1):
        if values[index - 1] < values[index] > values[index + 1]:
            peaks.append(index)
    return peaks


@atom(
    en=(
        "count the negative, zero and positive items of {values} under these names",
        "tally {values} by sign into the keys negative, zero and positive",
        "map negative, zero and positive to how many of {values} are so",
        "record as negative, zero, positive how many of {values} lie below, at and above 0",
    ),
    zh=(
        "统计 {values} 中各符号的个数，键为 negative、zero、positive",
        "数出 {values} 的负数、零、正数，分别记在 negative、zero、positive 下",
        "把 {values} 按 negative、zero、positive 三类计数",
        "以 negative、zero、positive 为键，分别记录 {values} 中小于、等于、大于 0 的项数",
    ),
)
def count_signs(values: list[int]) -> dict[str, int]:
    counts = {"negative": 0, "zero": 0, "positive": 0}
    for value in values:
        if value < 0:
            counts["negative"] += 1
        elif value == 0:
            counts["zero"] += 1
        else:
            counts["positive"] += 1
    return counts
