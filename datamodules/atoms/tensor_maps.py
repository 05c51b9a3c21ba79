"""Tensor atoms, first half: elementwise maps, reductions and scans over vectors of 4 and matrices of 4 by 4.

Types are strings, `float32[4, 4]`, so that programs need no import; sizes are fixed, so that any two fit together.
"""
# pyright: reportUndefinedVariable=false, reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# ruff: noqa: F821 - types are told in strings

from datamodules.atoms.registry import atom


@atom(
    en=(
        "set the negative elements of {m} to zero",
        "apply the rectifier to every element of {m}",
        "clip {m} from below at 0",
        "keep what is positive in {m} and put 0 everywhere else",
    ),
    zh=(
        "把 {m} 的负元素置为零",
        "对 {m} 逐元素应用线性整流",
        "将 {m} 以 0 为下限截断",
        "保留 {m} 中的正数，其余全部写 0",
    ),
)
def rectify(m: "float32[4, 4]") -> "float32[4, 4]":
    return m.clamp(min=0.0)


@atom(
    en=(
        "divide each element of {v} by one plus its absolute value",
        "squash {v} into the open interval from -1 to 1 by x / (1 + |x|)",
        "apply softsign to {v}",
        "shrink every x of {v} to x over 1 + |x|",
    ),
    zh=(
        "把 {v} 的每个元素除以一加其绝对值",
        "用 x / (1 + |x|) 把 {v} 压缩到 -1 与 1 之间",
        "对 {v} 应用 softsign",
        "将 {v} 中的每个 x 换成 x 比 1 + |x|",
    ),
)
def squash(v: "float32[4]") -> "float32[4]":
    return v / (1 + v.abs())


@atom(
    en=(
        "multiply row i of {m} by element i of {v}",
        "scale the rows of {m} by {v}",
        "take every row of {m} times the number of {v} at its place",
        "weight each row of {m} with the matching entry of {v}",
    ),
    zh=(
        "将 {m} 的第 i 行乘以 {v} 的第 i 个元素",
        "按 {v} 缩放 {m} 的各行",
        "把 {m} 每一行乘上 {v} 中同一位置的数",
        "用 {v} 中对应的值给 {m} 的每一行加权",
    ),
)
def scale_rows(m: "float32[4, 4]", v: "float32[4]") -> "float32[4, 4]":
    return m * v[:, None]


@atom(
    en=(
        "add {v} to every row of {m}",
        "give {m} the bias {v}, column by column",
        "raise column j of {m} by element j of {v}",
        "put the row {v} on top of each row of {m} and add",
    ),
    zh=(
        "把 {v} 加到 {m} 的每一行",
        "逐列给 {m} 加上偏置 {v}",
        "将 {m} 的第 j 列加上 {v} 的第 j 个元素",
        "让 {v} 与 {m} 的每一行相加",
    ),
)
def add_bias(m: "float32[4, 4]", v: "float32[4]") -> "float32[4, 4]":
    return m + v


@atom(
    en=(
        "take the larger of {v} and {w} at every position",
        "compute the elementwise maximum of {v} and {w}",
        "compare {v} with {w} place by place and keep the greater number",
        "merge {v} and {w} by always choosing the bigger element",
    ),
    zh=(
        "在每个位置取 {v} 与 {w} 中较大的数",
        "求 {v} 和 {w} 的逐元素最大值",
        "逐位比较 {v} 与 {w}，保留更大者",
        "合并 {v} 和 {w}，总是选较大的元素",
    ),
)
def larger_of(v: "float32[4]", w: "float32[4]") -> "float32[4]":
    return v.maximum(w)


@atom(
    en=(
        "sum each row of {m}",
        "add up the rows of {m}",
        "total {m} along its second axis",
        "find what the numbers in every row of {m} come to",
    ),
    zh=(
        "求 {m} 每一行的和",
        "把 {m} 各行加总",
        "沿第二个轴对 {m} 求和",
        "算出 {m} 每行所有数之和",
    ),
)
def row_totals(m: "float32[4, 4]") -> "float32[4]":
    return m.sum(dim=1)


@atom(
    en=(
        "average each column of {m}",
        "take the mean of {m} over its rows",
        "compute the column means of {m}",
        "work out the average number of every column of {m}",
    ),
    zh=(
        "求 {m} 每一列的平均值",
        "沿行方向对 {m} 取均值",
        "计算 {m} 的列均值",
        "算出 {m} 各列的平均数",
    ),
)
def column_averages(m: "float32[4, 4]") -> "float32[4]":
    return m.mean(dim=0)


@atom(
    en=(
        "find the largest element of each row of {m}",
        "take the row maxima of {m}",
        "reduce {m} by the maximum along its second axis",
        "pick the greatest number from every row of {m}",
    ),
    zh=(
        "求 {m} 每一行的最大元素",
        "取 {m} 的行最大值",
        "沿第二个轴对 {m} 取最大",
        "从 {m} 每行挑出最大的数",
    ),
)
def row_maxima(m: "float32[4, 4]") -> "float32[4]":
    return m.amax(dim=1)


@atom(
    en=(
        "subtract the smallest from the largest element in each column of {m}",
        "compute the range of every column of {m}",
        "measure how far each column of {m} spreads, from minimum to maximum",
        "find the distance between the extremes of the columns of {m}",
    ),
    zh=(
        "对 {m} 每一列用最大元素减最小元素",
        "计算 {m} 各列的极差",
        "量出 {m} 每列从最小到最大的跨度",
        "求 {m} 各列两个极值之间的距离",
    ),
)
def column_spreads(m: "float32[4, 4]") -> "float32[4]":
    return m.amax(dim=0) - m.amin(dim=0)


@atom(
    en=(
        "take the running sum of {v}",
        "accumulate {v} from the first element to the last",
        "replace each element of {v} by the sum of all up to it",
        "compute the prefix sums of {v}",
    ),
    zh=(
        "求 {v} 的累计和",
        "从头到尾累加 {v}",
        "把 {v} 的每个元素换成到它为止的总和",
        "计算 {v} 的前缀和",
    ),
)
def running_sum(v: "float32[4]") -> "float32[4]":
    return v.cumsum(dim=0)


@atom(
    en=(
        "take the running maximum along each row of {m}",
        "replace every element of {m} by the largest to its left in the row, itself included",
        "scan the rows of {m} and keep the greatest number so far",
        "let the maximum of each row of {m} grow from left to right",
    ),
    zh=(
        "沿 {m} 的每一行求累计最大值",
        "把 {m} 的每个元素换成该行从左到它为止的最大数",
        "扫描 {m} 各行，始终保留目前最大的数",
        "让 {m} 每行的最大值从左到右增长",
    ),
)
def running_row_maxima(m: "float32[4, 4]") -> "float32[4, 4]":
    return m.cummax(dim=1).values


@atom(
    en=(
        "subtract from each element of {v} the one before it, the last one from the first",
        "compute the circular differences of {v}",
        "find by how much each element of {v} exceeds its left neighbour, going round at the start",
        "turn {v} into its steps from neighbour to neighbour, wrapping around",
    ),
    zh=(
        "用 {v} 的每个元素减去前一个，首元素减去末元素",
        "计算 {v} 的循环差分",
        "求 {v} 每个元素比左邻大多少，开头处绕回末尾",
        "把 {v} 变成相邻元素之间的步长，首尾相接",
    ),
)
def circular_steps(v: "float32[4]") -> "float32[4]":
    return v - v.roll(1)


@atom(
    en=(
        "keep {m} on and below its diagonal and put zeros above",
        "cut {m} to its lower triangle",
        "blank what lies above the main diagonal of {m}",
        "let position i of {m} see only the columns up to i, the others being 0",
    ),
    zh=(
        "保留 {m} 对角线及以下的元素，上方置零",
        "取 {m} 的下三角",
        "清空 {m} 主对角线以上的部分",
        "让 {m} 的第 i 行只留到第 i 列，其余为 0",
    ),
)
def lower_triangle(m: "float32[4, 4]") -> "float32[4, 4]":
    return m.tril()
