"""Ten atoms of number theory: Euclid, sieve, factors, powers, residues, number bases."""

from __future__ import annotations

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "find the greatest common divisor of {n} and {k}",
        "run Euclid's algorithm on {n} and {k} and take the non-negative result",
        "find the largest number dividing both {n} and {k}, or 0 if both are zero",
        "determine the highest common factor of {n} and {k}, never negative and 0 for two zeros",
    ),
    zh=(
        "求 {n} 和 {k} 的最大公约数",
        "对 {n} 与 {k} 做辗转相除，取非负的结果",
        "找出能同时整除 {n} 和 {k} 的最大数，都为 0 时得 0",
        "计算 {n} 与 {k} 共有的最大因子，结果不为负，两数皆 0 时为 0",
    ),
    domains={"k": Ints(2, 60)},
)
def greatest_common_divisor(n: int, k: int) -> int:
    while k != 0:
        n, k = k, n % k
    return abs(n)


@atom(
    en=(
        "list all primes up to {n}, none above 60",
        "sieve the prime numbers not above {n} and not above 60",
        "collect in ascending order the primes that are at most {n} and at most 60",
        "give every prime number no greater than the smaller of {n} and 60, in rising order",
    ),
    zh=(
        "列出不超过 {n} 且不超过 60 的所有素数",
        "用筛法求到 {n} 为止的质数，上限 60",
        "从小到大收集既不大于 {n} 也不大于 60 的质数",
        "升序给出 {n} 与 60 中较小者以内（含）的全部素数",
    ),
)
def primes_up_to(n: int) -> list[int]:
    limit = min(max(n, 0), 60)
    is_prime = [True] * (limit + 1)
    primes = []
    for number in range(2, limit + 1):
        if is_prime[number]:
            primes.append(number)
            for multiple in range(number * number, limit + 1, number):
                is_prime[multiple] = False
    return primes


@atom(
    en=(
        "list the prime factors below 100 of {n} without sign, then any rest above 1",
        "divide {n} without sign by primes below 100, listing them and the rest above 1",
        "factor {n} ignoring its sign by trial division below 100, ending with any rest above 1",
        "break {n}, unsigned, into primes under 100 with repeats, appending what is left above 1",
    ),
    zh=(
        "列出 {n} 的绝对值中 100 以下的质因数，最后附上大于 1 的余因子",
        "用小于 100 的质数试除 {n} 的绝对值，列出因子和大于 1 的剩余",
        "忽略符号，对 {n} 用 100 以内的数试除分解，剩余大于 1 则放在末尾",
        "取 {n} 的绝对值，反复除尽 100 以内的质数并记下每次的除数，余下的数大于 1 时补在后面",
    ),
    domains={"n": Ints(-60, 600)},
)
def prime_factors(n: int) -> list[int]:
    n = max(abs(n), 1)
    factors = []
    for p in range(2, 100):
        while n % p == 0:
            factors.append(p)
            n //= p
    if n > 1:
        factors.append(n)
    return factors


@atom(
    en=(
        "count the Collatz steps from {n} down to 1, with 0 below 2",
        "count how often {n} is halved or tripled plus one before it is at most 1",
        "while {n} exceeds 1, halve it if even, else triple and add one, counting the steps",
        "apply the 3n+1 rule for as long as {n} is above 1 and tally the applications",
    ),
    zh=(
        "求 {n} 按考拉兹规则变到 1 的步数，小于 2 时为 0",
        "{n} 大于 1 时，偶数减半、奇数乘三加一，统计步数",
        "数一数 {n} 经过多少次“偶则折半、奇则乘三加一”才不大于 1",
        "对 {n} 反复施行 3n+1 规则直到不超过 1，记下施行次数",
    ),
)
def collatz_steps(n: int) -> int:
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@atom(
    en=(
        "raise {n} to the power {k} modulo 97",
        "compute the remainder of {n} to the {k} after division by 97",
        "find the modular power of base {n} and exponent {k}, with modulus 97",
        "multiply {k} copies of {n} together, working modulo 97",
    ),
    zh=(
        "求 {n} 的 {k} 次方模 97",
        "计算以 {n} 为底、{k} 为指数的幂除以 97 的余数",
        "用快速幂求 {n} 的 {k} 次幂，模数为 97",
        "把 {k} 个 {n} 连乘，取其对 97 的余数",
    ),
    domains={"k": Ints(2, 12)},
)
def power_modulo(n: int, k: int) -> int:
    result = 1
    while k > 0:
        if k % 2 == 1:
            result = result * n % 97
        n = n * n % 97
        k //= 2
    return result


@atom(
    en=(
        "check whether {n}, sign ignored, is a happy number",
        "say whether repeatedly summing the squared digits of {n} reaches 1",
        "test if {n} without its sign ends at 1 under the sum of squared digits",
        "decide if endlessly adding up squared digits, starting at {n} without sign, leads to 1",
    ),
    zh=(
        "判断 {n} 的绝对值是否为快乐数",
        "检查反复求 {n} 各位数字的平方和能否到达 1",
        "看 {n} 忽略符号后不断换成数位平方和，最终是否为 1",
        "把 {n} 的绝对值一再替换为其各位平方之和，判断会不会变成 1",
    ),
    domains={"n": Ints(-50, 200)},
)
def is_happy(n: int) -> bool:
    n = abs(n)
    while n not in (0, 1, 4):
        n = sum(int(digit) ** 2 for digit in str(n))
    return n == 1


@atom(
    en=(
        "find the Bezout coefficients of {n} and {k} by the extended Euclidean algorithm",
        "compute the pair x, y of the extended Euclidean algorithm for {n} and {k}",
        "run extended Euclid on {n} and {k} and return both factors of the combination",
        "pair up the final multipliers of {n} and {k} in the extended Euclidean algorithm",
    ),
    zh=(
        "用扩展欧几里得算法求 {n} 和 {k} 的贝祖系数",
        "对 {n} 与 {k} 做扩展辗转相除，得到系数对 x、y",
        "用扩展欧几里得把 {n} 和 {k} 的最大公约数写成线性组合，返回两个系数",
        "给出扩展欧几里得算法结束时 {n} 和 {k} 的两个乘数组成的二元组",
    ),
    domains={"k": Ints(2, 40)},
)
def bezout_coefficients(n: int, k: int) -> tuple[int, int]:
    x, next_x = 1, 0
    y, next_y = 0, 1
    while k != 0:
        q = n // k
        n, k = k, n - q * k
        x, next_x = next_x, x - q * next_x
        y, next_y = next_y, y - q * next_y
    return (x, y)


@atom(
    en=(
        "list the digits of {n} in base {base}, highest first, without sign",
        "convert the absolute value of {n} to base {base} as a list of digits",
        "expand {n}, sign ignored, into its base {base} digits from the most significant",
        "give the positional notation of {n} in radix {base}, unsigned, as numbers, leading one first",
    ),
    zh=(
        "列出 {n} 的绝对值在 {base} 进制下的各位数字，高位在前",
        "忽略符号，把 {n} 转成 {base} 进制的数字列表",
        "将 {n} 的绝对值按 {base} 进制展开，从最高位起列出",
        "以 {base} 为基数写出 {n} 去掉符号后的值，数位由高到低成列表",
    ),
    domains={"n": Ints(-99, 999), "base": Ints(2, 12)},
)
def base_digits(n: int, base: int) -> list[int]:
    n, base = abs(n), max(base, 2)
    digits = [n % base]
    while n >= base:
        n //= base
        digits.append(n % base)
    return digits[::-1]


@atom(
    en=(
        "count how many of {values} leave each remainder when divided by {k}",
        "make a histogram of {values} by residue modulo {k}, starting at residue 0",
        "for each remainder from 0 up modulo {k}, count the items of {values} that have it",
        "sort {values} into residue classes modulo {k} and list the class sizes, class 0 first",
    ),
    zh=(
        "统计 {values} 中除以 {k} 得到各个余数的个数",
        "按模 {k} 的余数给 {values} 计数，从余数 0 开始列出",
        "对 {values} 做模 {k} 的余数直方图，余数从小到大",
        "将 {values} 划入模 {k} 的剩余类，从 0 类起依次给出各类的项数",
    ),
    domains={"k": Ints(2, 6)},
)
def residue_counts(values: list[int], k: int) -> list[int]:
    k = min(max(k, 1), 9)
    counts = [0] * k
    for value in values:
        counts[value % k] += 1
    return counts


@atom(
    en=(
        "keep only the items of {values} that are coprime to {k}",
        "drop from {values} every number sharing a factor above 1 with {k}",
        "filter {values} to those whose greatest common divisor with {k} is 1",
        "select from {values} whatever is relatively prime to {k}",
    ),
    zh=(
        "只保留 {values} 中与 {k} 互质的数",
        "从 {values} 中去掉与 {k} 有大于 1 的公因数的项",
        "筛选 {values} 中与 {k} 的最大公约数为 1 的元素",
        "选出 {values} 里和 {k} 的公因数只有 1 的数",
    ),
    domains={"k": Ints(2, 30)},
)
def coprime_to(values: list[int], k: int) -> list[int]:
    kept = []
    for value in values:
        a, b = value, k
        while b != 0:
            a, b = b, a % b
        if abs(a) == 1:
            kept.append(value)
    return kept
