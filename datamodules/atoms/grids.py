"""Atoms of the topic grids: matrices and grids as lists of rows, ragged ones included."""
# ruff: noqa: B905 - an atom is shown to models as it stands: no docstring, plain `zip`

from datamodules.atoms.domains import Grids, Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "transpose {grid}, cut to its shortest row",
        "turn the columns of {grid} into rows, as far as the shortest row goes",
        "mirror {grid} at its main diagonal, dropping what exceeds the shortest row",
        "make row j from column j of {grid}, for as many columns as every row has",
    ),
    zh=(
        "把 {grid} 的行与列互换，以最短行为限",
        "求 {grid} 的转置，超出最短行的部分舍去",
        "将 {grid} 沿主对角线翻转，列数取最短行",
        "只取 {grid} 每一行都有的列，从左到右把每列改写成一行",
    ),
)
def transpose(grid: list[list[int]]) -> list[list[int]]:
    width = min((len(row) for row in grid), default=0)
    return [[row[j] for row in grid] for j in range(width)]


@atom(
    en=(
        "rotate {grid} clockwise by 90 degrees, cut to its shortest row",
        "give {grid} a quarter turn to the right, ignoring what exceeds the shortest row",
        "read the columns of {grid} from bottom to top as new rows, up to the shortest row",
        "swing {grid} round so its left edge comes out on top, keeping only full columns",
    ),
    zh=(
        "将 {grid} 顺时针旋转 90 度，以最短行为限",
        "把 {grid} 向右转四分之一圈，舍去超出最短行的部分",
        "自下而上读 {grid} 的各列作为新的行，列数取最短行",
        "把 {grid} 转一个直角，使首列成为首行、首列下端在左，只用各行都有的列",
    ),
)
def rotate_clockwise(grid: list[list[int]]) -> list[list[int]]:
    return [list(column) for column in zip(*grid[::-1])]


@atom(
    en=(
        "read {grid} in clockwise spiral order from the top-left corner",
        "unwind {grid} along a spiral going right, down, left and up",
        "list {grid} by peeling its top row and turning the rest anticlockwise, again and again",
        "walk around {grid} inwards from its first row, always turning right, and list the numbers met",
    ),
    zh=(
        "从左上角起按顺时针螺旋顺序读出 {grid}",
        "沿右、下、左、上的螺旋路线展开 {grid}",
        "反复取出 {grid} 的首行并把剩余部分逆时针旋转，列出所有数",
        "从 {grid} 首行起始终右转、一圈圈向内走，列出经过的数",
    ),
)
def spiral_order(grid: list[list[int]]) -> list[int]:
    order: list[int] = []
    while grid:
        order += grid[0]
        grid = [list(column) for column in zip(*grid[1:])][::-1]
    return order


@atom(
    en=(
        "add up each column of {grid}",
        "total {grid} column by column, counting missing cells as 0",
        "list the column sums of {grid}, shorter rows simply adding nothing",
        "sum cells of {grid} that share a column, for every column of the longest row",
    ),
    zh=(
        "求 {grid} 每一列的和",
        "对 {grid} 逐列求和，缺少的格记作 0",
        "列出 {grid} 的各列之和，短行缺位不计",
        "把 {grid} 中处于同一列的数加起来，列数以最长行为准",
    ),
)
def column_sums(grid: list[list[int]]) -> list[int]:
    sums = [0] * max((len(row) for row in grid), default=0)
    for row in grid:
        for j, cell in enumerate(row):
            sums[j] += cell
    return sums


@atom(
    en=(
        "count the islands of positive cells in {grid}, joined up, down, left and right",
        "find how many side-connected groups the positive numbers of {grid} form",
        "flood fill the positive cells of {grid} and count the regions, diagonals not joining",
        "count the connected patches of cells above 0 in {grid}, where only a shared edge connects",
    ),
    zh=(
        "统计 {grid} 中由正数格上下左右相连而成的岛屿数",
        "求 {grid} 的正数按四邻接形成多少个连通块",
        "从 {grid} 的正数格开始四方向填充，数出彼此分离的区域",
        "数一数 {grid} 里大于 0 的格以边相邻（对角不算）能连成几片",
    ),
    domains={"grid": Grids(Ints(-9, 6), max_rows=5, max_columns=5)},
)
def count_islands(grid: list[list[int]]) -> int:
    land = {(i, j) for i, row in enumerate(grid) for j, cell in enumerate(row) if cell > 0}
    islands = 0
    while land:
        islands += 1
        stack = [land.pop()]
        while stack:
            i, j = stack.pop()
            for near in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if near in land:
                    land.remove(near)
                    stack.append(near)
    return islands


@atom(
    en=(
        "add up the border of {grid}: first and last rows, and both ends of the others",
        "sum the outermost cells of {grid}, each once",
        "total the frame of {grid}, leaving out the inner cells",
        "sum {grid} over top row, bottom row and both end cells of rows between, none twice",
    ),
    zh=(
        "求 {grid} 边框之和：首末两行及其余各行的两端",
        "把 {grid} 最外圈的数相加，每格只算一次",
        "对 {grid} 的外框求和，不计内部的格",
        "求 {grid} 顶行、底行以及中间各行首尾格的总和，同一格不重复计",
    ),
)
def border_sum(grid: list[list[int]]) -> int:
    total = 0
    for i, row in enumerate(grid):
        if i in (0, len(grid) - 1):
            total += sum(row)
        else:
            total += sum(row[:1]) + sum(row[1:][-1:])
    return total


@atom(
    en=(
        "list the (row, column) positions in {grid} larger than all their side neighbours",
        "find the peaks of {grid}: cells above every neighbour on four sides, as (row, column)",
        "list (row, column) wherever {grid} exceeds what is up, down, left and right",
        "give as (row, column) each cell of {grid} exceeding all cells that share its edges",
    ),
    zh=(
        "列出 {grid} 中大于所有上下左右邻格的位置（行，列）",
        "找出 {grid} 的峰：比四周邻格都大的格，以（行，列）表示",
        "逐行给出 {grid} 里严格大于上下左右各数的格的行列下标",
        "在 {grid} 中寻找比每个共边的格都大的格，给出其（行，列）坐标",
    ),
)
def peak_cells(grid: list[list[int]]) -> list[tuple[int, int]]:
    cells = {(i, j): cell for i, row in enumerate(grid) for j, cell in enumerate(row)}
    peaks = []
    for (i, j), cell in cells.items():
        sides = ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
        if all(cell > cells[side] for side in sides if side in cells):
            peaks.append((i, j))
    return peaks


@atom(
    en=(
        "multiply {grid} by its own transpose",
        "compute the dot products of all pairs of rows of {grid} as a matrix",
        "build the Gram matrix of the rows of {grid}",
        "tabulate the inner product of row i and row j of {grid} at place (i, j)",
    ),
    zh=(
        "将 {grid} 乘以它自己的转置",
        "计算 {grid} 各行两两点积构成的矩阵",
        "求 {grid} 行向量的格拉姆矩阵",
        "构造一个矩阵，其第 i 行第 j 列是 {grid} 的第 i 行与第 j 行的内积",
    ),
)
def gram_matrix(grid: list[list[int]]) -> list[list[int]]:
    return [[sum(a * b for a, b in zip(left, right)) for right in grid] for left in grid]


@atom(
    en=(
        "lay {values} out row by row in the smallest square that holds them, padded with 0",
        "fold {values} into a square grid no larger than needed, zeros filling the rest",
        "write {values} into the least n by n matrix with room for all, then zeros",
        "arrange {values} by rows in the tightest grid of equal sides, ending in zeros",
    ),
    zh=(
        "把 {values} 逐行排成能容纳它们的最小方阵，不足补 0",
        "将 {values} 折成大小刚够的方形网格，空格填零",
        "按行把 {values} 写入边长最小的够用方阵，余下为 0",
        "用 {values} 从左上起按行填入尽可能小的 n 行 n 列网格，剩余的格放 0",
    ),
)
def square_grid(values: list[int]) -> list[list[int]]:
    size = 0
    while size * size < len(values):
        size += 1
    padded = values + [0] * (size * size - len(values))
    return [padded[i * size : (i + 1) * size] for i in range(size)]


@atom(
    en=(
        "rotate row i of {grid} left by i times {k} places",
        "shear {grid} cyclically, turning every row {k} places further left than the one above",
        "leave the first row of {grid} and shift each next one left by another {k}, wrapping around",
        "turn each row of {grid} cyclically leftwards by {k} times its index from 0",
    ),
    zh=(
        "将 {grid} 的第 i 行循环左移 i 乘 {k} 位",
        "循环错切 {grid}，每一行比上一行多左移 {k} 位",
        "保持 {grid} 首行不动，以下每行依次多循环左移 {k} 格",
        "把 {grid} 每一行循环左移，移动位数为行号（从 0 起）乘以 {k}",
    ),
    domains={"k": Ints(1, 3)},
)
def shear_rows(grid: list[list[int]], k: int) -> list[list[int]]:
    sheared = []
    for i, row in enumerate(grid):
        cut = i * k % max(1, len(row))
        sheared.append(row[cut:] + row[:cut])
    return sheared
