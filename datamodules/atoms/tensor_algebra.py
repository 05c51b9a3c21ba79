"""Tensor atoms, second half: normalisations, products, gathering and scattering, attention.

Types and sizes as in `tensor_maps`; an `int64[4]` holds positions, 0 to 3.
"""
# pyright: reportUndefinedVariable=false, reportInvalidTypeForm=false, reportGeneralTypeIssues=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportIndexIssue=false
# ruff: noqa: F821 - types are told in strings

from datamodules.atoms.registry import atom


@atom(
    en=(
        "apply softmax to each row of {m}",
        "turn every row of {m} into probabilities by softmax",
        "exponentiate {m} and divide each row by its sum",
        "normalise the rows of {m} as logits",
    ),
    zh=(
        "对 {m} 的每一行做 softmax",
        "用 softmax 把 {m} 各行变成概率",
        "对 {m} 取指数并让每行除以其和",
        "把 {m} 的各行当作 logits 归一化",
    ),
)
def softmax_rows(m: "float32[4, 4]") -> "float32[4, 4]":
    return m.softmax(dim=1)


@atom(
    en=(
        "normalise {v} to mean 0 and variance 1, with 1e-5 added to the variance",
        "apply layer norm without weights to {v}, epsilon 1e-5",
        "standardise {v}, its biased variance raised by 1e-5",
        "centre {v} and divide by the root of its variance plus 1e-5",
    ),
    zh=(
        "把 {v} 归一化为均值 0、方差 1，方差加 1e-5",
        "对 {v} 做不带权重的层归一化，epsilon 为 1e-5",
        "将 {v} 标准化，有偏方差再加 1e-5",
        "让 {v} 减去均值，再除以方差加 1e-5 的平方根",
    ),
)
def layer_norm(v: "float32[4]") -> "float32[4]":
    return (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt()


@atom(
    en=(
        "divide each row of {m} by its root mean square, with 1e-5 added to the mean square",
        "apply RMS norm without weights to the rows of {m}, epsilon 1e-5",
        "scale every row of {m} to root mean square one, epsilon 1e-5 under the root",
        "normalise {m} row by row by the root of its mean square plus 1e-5",
    ),
    zh=(
        "把 {m} 的每一行除以其均方根，均方加 1e-5",
        "对 {m} 各行做不带权重的 RMS 归一化，epsilon 为 1e-5",
        "将 {m} 每行缩放到均方根为一，根号下加 1e-5",
        "逐行用均方加 1e-5 的平方根归一化 {m}",
    ),
)
def rms_norm_rows(m: "float32[4, 4]") -> "float32[4, 4]":
    return m / (m.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()


@atom(
    en=(
        "multiply the matrices {m} and {n}",
        "take the matrix product of {m} with {n}",
        "compute {m} times {n}, rows by columns",
        "let {m} act on {n} from the left",
    ),
    zh=(
        "求矩阵 {m} 与 {n} 的乘积",
        "计算 {m} 和 {n} 的矩阵积",
        "以行乘列计算 {m} 乘 {n}",
        "让 {m} 从左边作用于 {n}",
    ),
)
def matrix_product(m: "float32[4, 4]", n: "float32[4, 4]") -> "float32[4, 4]":
    return m @ n


@atom(
    en=(
        "compute the inner products of all pairs of rows of {m}",
        "multiply {m} by its own transpose",
        "form the Gram matrix of the rows of {m}",
        "take the dot product of every row of {m} with every row of it",
    ),
    zh=(
        "计算 {m} 所有两行之间的内积",
        "用 {m} 乘以它自己的转置",
        "求 {m} 各行的 Gram 矩阵",
        "让 {m} 的每一行与它的每一行做点积",
    ),
)
def gram_of_rows(m: "float32[4, 4]") -> "float32[4, 4]":
    return m @ m.T


@atom(
    en=(
        "multiply the matrix {m} by the vector {v}",
        "apply {m} to {v}",
        "take the dot product of each row of {m} with {v}",
        "map {v} through the linear layer {m} without bias",
    ),
    zh=(
        "求矩阵 {m} 与向量 {v} 的乘积",
        "把 {m} 作用于 {v}",
        "让 {m} 的每一行与 {v} 做点积",
        "将 {v} 通过无偏置的线性层 {m}",
    ),
)
def matrix_times_vector(m: "float32[4, 4]", v: "float32[4]") -> "float32[4]":
    return m @ v


@atom(
    en=(
        "compute the outer product of {v} and {w}",
        "build the table of all products of an element of {v} with one of {w}, rows going with the former",
        "spread {v} over rows and {w} over columns and multiply",
        "fill a matrix whose element i, j is {v} at i times {w} at j",
    ),
    zh=(
        "计算 {v} 与 {w} 的外积",
        "列出 {v} 的元素与 {w} 的元素的所有乘积，前者对应行",
        "将 {v} 按行、{w} 按列展开并相乘",
        "生成矩阵，其 i 行 j 列为 {v} 的第 i 个乘 {w} 的第 j 个",
    ),
)
def outer_product(v: "float32[4]", w: "float32[4]") -> "float32[4, 4]":
    return v[:, None] * w


@atom(
    en=(
        "swap rows and columns of the matrix {m}",
        "take the matrix transpose of {m}",
        "exchange the two axes of {m}",
        "turn row i of {m} into column i",
    ),
    zh=(
        "交换矩阵 {m} 的行与列",
        "求 {m} 的矩阵转置",
        "对调 {m} 的两个轴",
        "把 {m} 的第 i 行变成第 i 列",
    ),
)
def swap_axes(m: "float32[4, 4]") -> "float32[4, 4]":
    return m.T


@atom(
    en=(
        "gather the elements of {v} at the positions {i}",
        "look {i} up in {v}",
        "read {v} in the order that {i} gives",
        "index {v} with {i}",
    ),
    zh=(
        "按位置 {i} 取出 {v} 的元素",
        "在 {v} 中查找 {i}",
        "依照 {i} 给出的次序读取 {v}",
        "用 {i} 对 {v} 做索引",
    ),
)
def gather_elements(v: "float32[4]", i: "int64[4]") -> "float32[4]":
    return v[i]


@atom(
    en=(
        "gather the rows of {m} at the positions {i}",
        "look up {i} in the embedding table {m}",
        "stack the rows of {m} that {i} names",
        "index the first axis of {m} with {i}",
    ),
    zh=(
        "按位置 {i} 取出 {m} 的行",
        "在嵌入表 {m} 中查找 {i}",
        "把 {i} 指定的 {m} 的各行叠起来",
        "用 {i} 索引 {m} 的第一个轴",
    ),
)
def gather_rows(m: "float32[4, 4]", i: "int64[4]") -> "float32[4, 4]":
    return m[i]


@atom(
    en=(
        "scatter {v} into four zeros by adding each element at its position in {i}",
        "sum the elements of {v} by the bucket, 0 to 3, that {i} puts them in",
        "add every element of {v} to the slot that {i} names, of four",
        "build four totals: slot k holds the sum of {v} where {i} is k",
    ),
    zh=(
        "把 {v} 的每个元素按 {i} 给出的位置加到四个零上",
        "按 {i} 指定的桶（0 到 3）对 {v} 的元素求和",
        "将 {v} 的每个元素累加到 {i} 所指的四个槽之一",
        "求四个总和：第 k 个是 {v} 中 {i} 为 k 处之和",
    ),
)
def scatter_sum(v: "float32[4]", i: "int64[4]") -> "float32[4]":
    return v.new_zeros(4).index_add(0, i, v)


@atom(
    en=(
        "find the positions that sort {v} in ascending order, ties in their order",
        "argsort {v} stably, smallest first",
        "list the indices of {v} from its smallest to its largest element, equal ones as they come",
        "order the positions of {v} by their values, keeping ties in place",
    ),
    zh=(
        "求使 {v} 升序排列的位置，相等者保持次序",
        "对 {v} 做稳定的升序 argsort",
        "按元素从小到大列出 {v} 的下标，相等的依原次序",
        "按值排列 {v} 的各个位置，并列者不换位",
    ),
)
def sorting_positions(v: "float32[4]") -> "int64[4]":
    return v.argsort(stable=True)


@atom(
    en=(
        "find the position of the largest element in each row of {m}",
        "take the argmax of {m} along its rows",
        "say at which column every row of {m} peaks",
        "list for each row of {m} the index of its maximum",
    ),
    zh=(
        "求 {m} 每一行最大元素的位置",
        "沿行对 {m} 取 argmax",
        "指出 {m} 每行在哪一列达到最大",
        "列出 {m} 各行最大值的下标",
    ),
)
def row_peaks(m: "float32[4, 4]") -> "int64[4]":
    return m.argmax(dim=1)


@atom(
    en=(
        "attend with queries {q} to keys {k} and values {v}, scores divided by 2",
        "compute scaled dot-product attention of {q}, {k} and {v}, the scale being one half",
        "weight the rows of {v} by the row softmax of half the products of {q} with the transpose of {k}",
        "for every row of {q} mix the rows of {v} by the softmax of its dot products with {k}, halved",
    ),
    zh=(
        "以 {q} 为查询、{k} 为键、{v} 为值做注意力，得分除以 2",
        "计算 {q}、{k}、{v} 的缩放点积注意力，系数为二分之一",
        "将 {q} 与 {k} 转置之积减半后按行 softmax，用来加权 {v} 的各行",
        "对 {q} 的每一行，用它与 {k} 点积之半的 softmax 混合 {v} 的各行",
    ),
)
def attention(q: "float32[4, 4]", k: "float32[4, 4]", v: "float32[4, 4]") -> "float32[4, 4]":
    return (q @ k.T / 2).softmax(dim=1) @ v
