"""Ten atoms on whole numbers and averages: digits, rounding, roots, reflection, coins, polynomials."""

from __future__ import annotations

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "add up the decimal digits of {n}, ignoring its sign",
        "compute the digit sum of {n} in base ten, without the sign",
        "take the absolute value of {n} and sum its digits",
        "total the base-ten digits of {n}, leaving a minus sign out",
    ),
    zh=(
        "求 {n} 的十进制各位数字之和，忽略符号",
        "把 {n} 的绝对值的每一位数字相加",
        "计算 {n} 的数位和（不计正负号）",
        "将 {n} 去掉负号后，逐位累加其十进制数字",
    ),
    domains={"n": Ints(-99, 9999)},
)
def digit_sum(n: int) -> int:
    n = abs(n)
    total = 0
    while n > 0:
        total += n % 10
        n //= 10
    return total


@atom(
    en=(
        "reverse the decimal digits of {n}, keeping its sign",
        "write the digits of {n} backwards, with the sign unchanged",
        "turn {n} into the number with its digits in reverse order and the same sign",
        "mirror the decimal notation of {n} behind its sign, dropping leading zeros",
    ),
    zh=(
        "把 {n} 的十进制数字倒过来，保留符号",
        "将 {n} 的各位数字反转，正负号不变",
        "求 {n} 的数字逆序后得到的整数，符号照旧",
        "从右往左重读 {n} 的各位数字成一个新数，负数仍为负",
    ),
    domains={"n": Ints(-999, 9999)},
)
def reverse_digits(n: int) -> int:
    sign = -1 if n < 0 else 1
    n = abs(n)
    result = 0
    while n > 0:
        result = result * 10 + n % 10
        n //= 10
    return sign * result


@atom(
    en=(
        "find the integer square root of {n}, or 0 if it is negative",
        "take the square root of {n} rounded down, giving 0 for negatives",
        "find the largest integer whose square is at most {n}, using 0 below zero",
        "compute the floor of the square root of {n}, with 0 for anything negative",
    ),
    zh=(
        "求 {n} 的整数平方根，负数得 0",
        "对 {n} 开平方并向下取整，负数记为 0",
        "找出平方不超过 {n} 的最大整数，负数时取 0",
        "计算 {n} 的算术平方根的整数部分，小于 0 时结果为 0",
    ),
    domains={"n": Ints(-10, 1000)},
)
def integer_sqrt(n: int) -> int:
    if n < 1:
        return 0
    guess = n
    while guess * guess > n:
        guess = (guess + n // guess) // 2
    return guess


@atom(
    en=(
        "round {n} to the nearest multiple of {step}, ties upwards",
        "replace {n} by the multiple of {step} closest to it, the larger one on a tie",
        "snap {n} to a grid of width {step}, rounding halves up",
        "move {n} to whichever multiple of {step} is nearest, going up from halfway",
    ),
    zh=(
        "把 {n} 舍入到最近的 {step} 的倍数，居中时取大",
        "将 {n} 对齐到以 {step} 为间隔的最近刻度，居中向上",
        "取离 {n} 最近的 {step} 的倍数，距离相等取较大者",
        "将 {n} 就近取整为 {step} 的整数倍，正好在中间时往大取",
    ),
    domains={"step": Ints(2, 12)},
)
def round_to_multiple(n: int, step: int) -> int:
    step = max(abs(step), 1)
    rest = n % step
    if rest * 2 < step:
        return n - rest
    return n - rest + step


@atom(
    en=(
        "bounce {n} back and forth between 0 and {k}",
        "fold {n} into the range 0 to {k} by reflecting it at both ends",
        "place a ball after {n} unit steps from 0 between walls at 0 and {k}",
        "evaluate at {n} the zigzag climbing from 0 to {k} and back, one unit a step",
    ),
    zh=(
        "让 {n} 在 0 与 {k} 之间来回反弹，求落点",
        "通过两端反射把 {n} 折回 0 到 {k} 的范围",
        "小球从 0 出发在 0 和 {k} 两墙间往返，求走 {n} 步后的位置",
        "求在 0 到 {k} 间逐格上升再下降的三角波在 {n} 处的值",
    ),
    domains={"k": Ints(3, 12)},
)
def bounce(n: int, k: int) -> int:
    k = max(k, 1)
    position = n % (2 * k)
    if position > k:
        return 2 * k - position
    return position


@atom(
    en=(
        "pay {amount} modulo 100 greedily with coins of 50, 20, 10, 5, 2 and 1",
        "list the coins 50, 20, 10, 5, 2, 1, largest first, that make {amount} modulo 100",
        "make {amount} modulo 100 from the fewest coins of 50, 20, 10, 5, 2, 1, descending",
        "settle {amount} mod 100 in coins of 50, 20, 10, 5, 2, 1, the largest first",
    ),
    zh=(
        "用 50、20、10、5、2、1 的硬币贪心凑出 {amount} 除以 100 的余数",
        "把 {amount} 模 100 换成面值 50、20、10、5、2、1 的硬币，从大到小列出",
        "{amount} 模 100 后用最少的 50、20、10、5、2、1 硬币找零，降序",
        "对 {amount} 取模 100，每次拿 50、20、10、5、2、1 中放得下的最大硬币，依次列出",
    ),
    domains={"amount": Ints(-20, 250)},
)
def make_change(amount: int) -> list[int]:
    rest = amount % 100
    coins = []
    for coin in (50, 20, 10, 5, 2, 1):
        while rest >= coin:
            coins.append(coin)
            rest -= coin
    return coins


@atom(
    en=(
        "carry tens from left to right through {values}, dropping the last carry",
        "normalise {values} to decimal digits, lowest first, without a final carry",
        "keep {values} modulo 10 each, passing tens on to the next item, losing the last",
        "turn {values} into decimal places from lowest to highest, each handing its tens on, overflow discarded",
    ),
    zh=(
        "在 {values} 中从左到右逢十进位，舍去最后的进位",
        "把 {values} 看作低位在前的数位并规范进位，末位进位丢弃",
        "让 {values} 每项只留个位，满十向后一项进位，最后的进位不要",
        "从首项起把 {values} 每项换成除以 10 的余数，商加到后一项，末项的商舍弃",
    ),
)
def propagate_carries(values: list[int]) -> list[int]:
    digits = []
    carry = 0
    for value in values:
        carry += value
        digits.append(carry % 10)
        carry //= 10
    return digits


@atom(
    en=(
        "evaluate the polynomial with coefficients {values}, highest power first, at {x} modulo 1000",
        "apply Horner's rule modulo 1000 to {values} at the point {x}",
        "starting at 0, for each of {values} multiply by {x}, add it and reduce modulo 1000",
        "substitute {x} into the polynomial whose coefficients from the leading one down are {values}, mod 1000",
    ),
    zh=(
        "以 {values} 为系数（高次在前），求多项式在 {x} 处的值模 1000",
        "对 {values} 用霍纳法则在点 {x} 处求值，结果模 1000",
        "从 0 开始，对 {values} 逐项先乘 {x} 再加该项，并模 1000",
        "把 {x} 代入系数从最高次起依次为 {values} 的多项式，取除以 1000 的余数",
    ),
    domains={"x": Ints(-5, 12)},
)
def polynomial_value(values: list[int], x: int) -> int:
    result = 0
    for value in values:
        result = (result * x + value) % 1000
    return result


@atom(
    en=(
        "list the running averages of {values}, rounded to 2 decimals",
        "replace each item of {values} by the mean of all items so far, to 2 decimals",
        "compute the mean of every non-empty prefix of {values}, rounded to 2 places",
        "for every position in {values}, average everything up to and including it, with 2 decimal places",
    ),
    zh=(
        "求 {values} 的累计平均值列表，保留两位小数",
        "把 {values} 的每一项换成到该项为止的平均数（两位小数）",
        "计算 {values} 每个非空前缀的均值，四舍五入到两位",
        "对 {values} 的每个位置，取开头到此处各数的算术平均，精确到 0.01",
    ),
)
def running_means(values: list[int]) -> list[float]:
    means = []
    total = 0
    for count, value in enumerate(values, start=1):
        total += value
        means.append(round(total / count, 2))
    return means


@atom(
    en=(
        "rescale {values} linearly to 0 through 1, to 3 decimals, all zeros if they are equal",
        "min-max normalise {values}, rounded to 3 decimals, giving zeros for a constant list",
        "map {values} linearly so that they span 0 to 1, in 3 decimals, zeros if equal",
        "shift and scale {values} onto the interval [0, 1], in 3 decimals, 0 each if alike",
    ),
    zh=(
        "把 {values} 线性缩放到 0 到 1，保留三位小数，全相等则全为 0",
        "对 {values} 做最小最大归一化（三位小数），常数列表得全 0",
        "将 {values} 的最小值映到 0、最大值映到 1，三位小数，相等时都取 0",
        "平移并缩放 {values} 使其恰好占满区间 [0, 1]，取三位小数，若无差别则每项为 0",
    ),
)
def rescale_to_unit(values: list[float]) -> list[float]:
    if not values:
        return []
    low, high = min(values), max(values)
    if low == high:
        return [0.0] * len(values)
    return [round((value - low) / (high - low), 3) for value in values]
