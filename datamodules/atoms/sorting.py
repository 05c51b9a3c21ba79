"""Atoms of the topic sorting: orderings, partial orderings and searches."""

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "sort {values} in ascending order",
        "arrange {values} from smallest to largest",
        "quicksort {values} so that they never decrease",
        "put {values} into non-decreasing order",
    ),
    zh=(
        "将 {values} 按升序排序",
        "把 {values} 从小到大排列",
        "用快速排序把 {values} 排成非递减顺序",
        "整理 {values}，使每个数都不大于它后面的数",
    ),
)
def quicksort(values: list[int]) -> list[int]:
    if len(values) < 2:
        return values[:]
    pivot = values[len(values) // 2]
    smaller = [v for v in values if v < pivot]
    equal = [v for v in values if v == pivot]
    larger = [v for v in values if v > pivot]
    return quicksort(smaller) + equal + quicksort(larger)


@atom(
    en=(
        "halve {values}, the front never longer, and merge both parts, smaller head first",
        "merge the two halves of {values} as merge sort would, without sorting them first",
        "split {values} in the middle and repeatedly take the smaller head of both parts",
        "cut {values} after half its length rounded down and merge the parts unsorted, lower front first",
    ),
    zh=(
        "把 {values} 从中间分成两半并归并，每次取较小的队首",
        "不预先排序，直接归并 {values} 的前后两半",
        "将 {values} 对半切开，反复取两段开头中较小的数",
        "在 {values} 的一半长度（向下取整）处切开，两段不排序，每次取走两个首项中较小的",
    ),
)
def merge_halves(values: list[int]) -> list[int]:
    middle = len(values) // 2
    left, right = values[:middle], values[middle:]
    merged = []
    while left and right:
        source = left if left[0] <= right[0] else right
        merged.append(source.pop(0))
    return merged + left + right


@atom(
    en=(
        "do a single left-to-right bubble sort pass over {values}",
        "walk once through {values}, swapping neighbours that are out of order",
        "bubble the largest number of {values} to the end in one pass",
        "compare each adjacent pair of {values} once from the left, exchanging them where the left exceeds",
    ),
    zh=(
        "对 {values} 做一趟从左到右的冒泡",
        "从头到尾扫描一遍 {values}，交换逆序的相邻数",
        "用一趟冒泡把 {values} 的最大数移到末尾",
        "从左起依次比较 {values} 的每对相邻项各一次，左大于右则对调",
    ),
)
def bubble_pass(values: list[int]) -> list[int]:
    result = values[:]
    for i in range(len(result) - 1):
        if result[i] > result[i + 1]:
            result[i], result[i + 1] = result[i + 1], result[i]
    return result


@atom(
    en=(
        "sort {values} by digit sum, ignoring signs and keeping ties in order",
        "order {values} stably by the sum of their decimal digits, lowest first",
        "arrange {values} so that their digit sums never decrease, equal sums staying in order",
        "rank {values} by the total of their unsigned digits, small totals first, otherwise unmoved",
    ),
    zh=(
        "将 {values} 按各位数字之和稳定升序排序（忽略负号）",
        "把 {values} 按数位和从小到大排列，相同者保持原序",
        "以数位和为关键字对 {values} 做稳定排序",
        "依各数去掉符号后的数字总和由小到大重排 {values}，总和相同的不换位",
    ),
)
def sort_by_digit_sum(values: list[int]) -> list[int]:
    def digit_sum(n: int) -> int:
        return sum(int(digit) for digit in str(abs(n)))

    return sorted(values, key=digit_sum)


@atom(
    en=(
        "partition {values} into those below, equal to and above {pivot}, in that order",
        "bring the items of {values} less than {pivot} to the front, greater ones to the back, stably",
        "three-way partition {values} around {pivot} without reordering within the groups",
        "list what of {values} is smaller than {pivot}, what equals it, what is larger, each unmoved",
    ),
    zh=(
        "把 {values} 按小于、等于、大于 {pivot} 依次分组",
        "将 {values} 中小于 {pivot} 的数移到前、大于它的移到后，保持原序",
        "对 {values} 以 {pivot} 为基准做稳定的三路划分",
        "依次列出 {values} 里比 {pivot} 小的、与它相等的和比它大的数，各组内次序不变",
    ),
)
def partition_around(values: list[int], pivot: int) -> list[int]:
    smaller, equal, larger = [], [], []
    for value in values:
        if value < pivot:
            smaller.append(value)
        elif value > pivot:
            larger.append(value)
        else:
            equal.append(value)
    return smaller + equal + larger


@atom(
    en=(
        "count the inversions of {values}",
        "count the pairs in {values} where an earlier number exceeds a later one",
        "find how many adjacent swaps insertion sort needs for {values}",
        "say how many pairs of {values} stand strictly the wrong way round for ascending order",
    ),
    zh=(
        "统计 {values} 的逆序对个数",
        "数出 {values} 中前面的数大于后面的数的对数",
        "求对 {values} 做插入排序所需的相邻交换次数",
        "求 {values} 中有多少对数的先后与升序相反，相等的不算",
    ),
)
def count_inversions(values: list[int]) -> int:
    count = 0
    for i, earlier in enumerate(values):
        for later in values[i + 1 :]:
            if earlier > later:
                count += 1
    return count


@atom(
    en=(
        "binary search sorted {values} for the leftmost index at which {target} can be inserted",
        "find the lowest position that keeps {values}, once sorted, in order when {target} is inserted",
        "in ascending order of {values}, locate the first index not below {target} by bisection",
        "sort {values} ascending and bisect for the number of items strictly below {target}",
    ),
    zh=(
        "将 {values} 排序后，二分查找 {target} 最靠左的插入位置",
        "求在升序的 {values} 中插入 {target} 而仍有序的最小下标",
        "把 {values} 升序排列，用二分法找首个不小于 {target} 的下标",
        "对升序排好的 {values} 折半查找，求严格小于 {target} 的数有多少个",
    ),
)
def insertion_point(values: list[int], target: int) -> int:
    ordered = sorted(values)
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < target:
            low = middle + 1
        else:
            high = middle
    return low


@atom(
    en=(
        "select from {values} the number of rank {k} from 0, wrapping around, 0 if empty",
        "quickselect the item of sorted {values} at index {k} modulo the length, 0 if empty",
        "pick what index {k}, taken modulo the length, of sorted {values} would hold, or 0 if empty",
        "put {values} in ascending order and index it cyclically with {k}, giving 0 if empty",
    ),
    zh=(
        "从 {values} 中选出升序下标 {k} 处的数（循环计数，空则为 0）",
        "用快速选择求 {values} 排序后下标 {k} 对长度取模处的数，空表得 0",
        "取 {values} 中从小到大第 {k} 名，从 0 起按长度循环，空时得 0",
        "求 {values} 升序后的第 {k} 个元素，从 0 计数，超出长度则绕回，无元素时为 0",
    ),
    domains={"k": Ints(0, 7)},
)
def kth_smallest(values: list[int], k: int) -> int:
    if not values:
        return 0
    k %= len(values)
    pivot = values[k]
    smaller = [v for v in values if v < pivot]
    larger = [v for v in values if v > pivot]
    if k < len(smaller):
        return kth_smallest(smaller, k)
    if k >= len(values) - len(larger):
        return kth_smallest(larger, k - len(values) + len(larger))
    return pivot


@atom(
    en=(
        "sort {words} from shortest to longest, keeping ties in order",
        "order {words} stably by length",
        "arrange {words} so that their lengths never decrease, equal lengths staying in order",
        "list {words} by growing number of characters, those of one size as they come",
    ),
    zh=(
        "将 {words} 按长度从短到长稳定排序",
        "把 {words} 由短到长排列，等长者保持原序",
        "按长度分桶，依次收集 {words}，短的在前",
        "依字符个数递增列出 {words}，字数一样的保留先后次序",
    ),
)
def sort_by_length(words: list[str]) -> list[str]:
    buckets: dict[int, list[str]] = {}
    for word in words:
        buckets.setdefault(len(word), []).append(word)
    return [word for length in sorted(buckets) for word in buckets[length]]


@atom(
    en=(
        "merge the overlapping or touching intervals of {pairs}, in ascending order",
        "treat {pairs} as closed intervals with ends in any order and return their union, sorted",
        "join intervals among {pairs} that share a point and list the results by lower end",
        "read {pairs} as closed intervals, either end first, and fuse touching or overlapping ones, rising",
    ),
    zh=(
        "合并 {pairs} 中重叠或相接的区间并升序列出",
        "把 {pairs} 看作端点不分先后的闭区间，求其有序并集",
        "将 {pairs} 里有公共点的区间连成一个，按下端点排列",
        "视 {pairs} 为两端次序任意的闭区间，相交或相碰的并成一个，按起点由小到大给出",
    ),
)
def merge_intervals(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted((min(pair), max(pair)) for pair in pairs):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged
