"""Atoms of the topic recursion: recursive definitions, recurrences and dynamic programming."""
# ruff: noqa: B905 - an atom is shown to models as it stands: no docstring, plain `zip`

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "compute the edit distance between {first} and {second}",
        "count the fewest insertions, deletions and substitutions that turn {first} into {second}",
        "find the Levenshtein distance from {first} to {second}",
        "find the least number of single-character edits (insert, delete, replace) leading from {first} to {second}",
    ),
    zh=(
        "计算 {first} 与 {second} 的编辑距离",
        "求把 {first} 变成 {second} 最少需要的增、删、改次数",
        "求从 {first} 到 {second} 的莱文斯坦距离",
        "用插入、删除、替换单个字符的办法，求由 {first} 得到 {second} 的最少步数",
    ),
)
def edit_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]


@atom(
    en=(
        "recursively put the even-index characters of {text} before the odd-index ones",
        "unshuffle {text} into even and odd positions, and each part again, down to two characters",
        "reorder {text} as its even-index half followed by its odd-index half, both treated likewise",
        "bring characters 0, 2, 4 and onwards of {text} to the front, likewise within both parts",
    ),
    zh=(
        "递归地把 {text} 的偶数下标字符排到奇数下标字符之前",
        "将 {text} 按偶、奇下标拆成两段再拼接，对每段递归同样处理",
        "把 {text} 重排为偶数下标部分接奇数下标部分，两部分都照此递归",
        "把 {text} 中下标 0、2、4 等处的字符提到前面，前后两部分再分别如此处理",
    ),
)
def unshuffle(text: str) -> str:
    if len(text) < 3:
        return text
    return unshuffle(text[::2]) + unshuffle(text[1::2])


@atom(
    en=(
        "find the largest sum of a contiguous run of {values}, at least 0",
        "compute the maximum subarray sum of {values}, the empty run counting as 0",
        "run Kadane's algorithm on {values}, never going below 0",
        "choose neighbouring items of {values}, possibly none, for the greatest total and give that total",
    ),
    zh=(
        "求 {values} 中连续一段的最大和，至少为 0",
        "计算 {values} 的最大子段和，空段记作 0",
        "对 {values} 运行 Kadane 算法，和不低于 0",
        "从 {values} 中选相邻的若干项（可以不选），使其总和最大，给出这个总和",
    ),
)
def max_subarray_sum(values: list[int]) -> int:
    best = current = 0
    for value in values:
        current = max(0, current + value)
        best = max(best, current)
    return best


@atom(
    en=(
        "for each item of {values}, find the longest strictly increasing subsequence length ending there",
        "list how long a strictly rising subsequence of {values} ending at each position can be",
        "replace every number in {values} by the maximal length of an increasing subsequence it closes",
        "give for each position of {values} how long a strict climb with gaps can finish there",
    ),
    zh=(
        "对 {values} 的每一项，求以它结尾的最长严格递增子序列长度",
        "列出 {values} 各位置作为末项的严格上升子序列的最大长度",
        "把 {values} 中每个数换成以它收尾的最长递增子序列的长度",
        "对 {values} 每个位置，求以该处为终点、可以跳项的严格上升序列最多有几项",
    ),
)
def increasing_lengths(values: list[int]) -> list[int]:
    lengths: list[int] = []
    for i, value in enumerate(values):
        shorter = [lengths[j] for j in range(i) if values[j] < value]
        lengths.append(1 + max(shorter, default=0))
    return lengths


@atom(
    en=(
        "count the ways to pay {amount} modulo 100 with coins of 1, 2 and 5",
        "find how many multisets of coins 1, 2 and 5 sum to {amount} mod 100",
        "reduce {amount} modulo 100 and count its change combinations from coins 1, 2 and 5",
        "say how many unordered sums of ones, twos and fives give {amount} modulo 100",
    ),
    zh=(
        "求用面值 1、2、5 的硬币凑出 {amount} 模 100 的方法数",
        "统计硬币 1、2、5 凑成 {amount} % 100 的组合数",
        "将 {amount} 对 100 取模，数出用 1、2、5 元找零的组合数",
        "不计次序，求 1、2、5 三种面额相加等于 {amount} 除以 100 的余数有几种方式",
    ),
)
def coin_ways(amount: int) -> int:
    amount %= 100
    ways = [1] + [0] * amount
    for coin in (1, 2, 5):
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    return ways[amount]


@atom(
    en=(
        "write row {n} modulo 12 of Pascal's triangle, row 0 being [1]",
        "list the binomial coefficients of order {n} mod 12",
        "build Pascal's triangle from [1] down to row {n} % 12 and return that row",
        "give the coefficients of (1 + x) raised to the remainder of {n} by 12",
    ),
    zh=(
        "写出杨辉三角的第 {n} 模 12 行，第 0 行为 [1]",
        "列出 {n} 除以 12 的余数阶的全部二项式系数",
        "从 [1] 逐行构造杨辉三角，返回第 {n} % 12 行",
        "以 {n} 除以 12 的余数为指数展开 (1 + x) 的幂，给出各项系数",
    ),
    domains={"n": Ints(0, 11)},
)
def pascal_row(n: int) -> list[int]:
    row = [1]
    for _ in range(n % 12):
        row = [a + b for a, b in zip([0] + row, row + [0])]
    return row


@atom(
    en=(
        "find for each last-row cell of {grid} the cheapest path sum falling from the top",
        "fall through {grid} straight or diagonally and list the minimal sum for every final column",
        "accumulate down {grid} the least of the adjacent costs above and return the last row",
        "walk down {grid}, shifting at most one column a row, and list bottom cells' least totals",
    ),
    zh=(
        "对 {grid} 末行每格求从首行直下或斜下到达的最小路径和",
        "在 {grid} 中每步直下或斜下一格，列出落到末行各列的最小总和",
        "自上而下累加 {grid}，每格加上方三邻中的最小代价，取末行",
        "从 {grid} 首行任一格出发，每次下移一行且列变动不超过一，列出终于末行各格的最小总和",
    ),
)
def cheapest_falls(grid: list[list[int]]) -> list[int]:
    costs: list[int] = []
    for row in grid:
        costs = [cell + min(costs[max(0, j - 1) : j + 2], default=0) for j, cell in enumerate(row)]
    return costs


@atom(
    en=(
        "list {values} in Josephus order, removing every {k}-th around the circle",
        "seat {values} in a circle and give the order in which counting to {k} eliminates them",
        "repeatedly count {k} places around {values}, starting at the first, and take that number out",
        "count to {k} around the ring of {values} repeatedly, striking out and listing each item hit",
    ),
    zh=(
        "让 {values} 围成一圈，每数到第 {k} 个就出列，给出出列顺序",
        "求 {values} 在报数为 {k} 的约瑟夫问题中的淘汰次序",
        "从头开始绕 {values} 循环报数，依次取出每第 {k} 个数",
        "把 {values} 排成环，从首项起每数 {k} 个剩余的数就剔除末了那个，依剔除先后列出",
    ),
    domains={"k": Ints(1, 9)},
)
def josephus_order(values: list[int], k: int) -> list[int]:
    circle, order, position = values[:], [], 0
    while circle:
        position = (position + k - 1) % len(circle)
        order.append(circle.pop(position))
    return order


@atom(
    en=(
        "find the largest subset sum of positive {sizes} that is at most {capacity} modulo 100",
        "fill a knapsack of room {capacity} mod 100 from the positive {sizes} and return the best load",
        "pick positive {sizes}, each once, and give the greatest total not above {capacity} % 100",
        "add up positive members of {sizes}, none twice, for the highest total within {capacity} mod 100",
    ),
    zh=(
        "求 {sizes} 中正数的子集和里不超过 {capacity} 模 100 的最大值",
        "用 {sizes} 中的正数装容量为 {capacity} 模 100 的背包，求最大装载量",
        "从 {sizes} 中选正数各至多一次，求不超过 {capacity} % 100 的最大和",
        "在总和不超出 {capacity} 除以 100 的余数时，取 {sizes} 里的正数（每个限用一次），求最大总和",
    ),
    domains={"capacity": Ints(5, 99)},
)
def fill_knapsack(sizes: list[int], capacity: int) -> int:
    room = capacity % 100
    reachable = {0}
    for size in sizes:
        if size > 0:
            reachable |= {load + size for load in reachable if load + size <= room}
    return max(reachable)


@atom(
    en=(
        "count the distinct subsequences of {text}, the empty one included, modulo 1000",
        "find how many different strings arise by deleting characters from {text}, mod 1000",
        "count the different subsequences of {text} with the empty string among them, reduced modulo 1000",
        "say how many distinct strings, even empty, can be read in {text} with gaps, mod 1000",
    ),
    zh=(
        "统计 {text} 的不同子序列个数（含空串），对 1000 取模",
        "求从 {text} 中删去若干字符能得到多少种不同的串，模 1000",
        "数出 {text} 互不相同的子序列（空串也算），模 1000",
        "从左到右在 {text} 中跳读，求能读出多少种不同的字符串（空串在内），取模 1000",
    ),
)
def distinct_subsequences(text: str) -> int:
    total = 1
    before: dict[str, int] = {}
    for letter in text:
        total, before[letter] = 2 * total - before.get(letter, 0), total
    return total % 1000
