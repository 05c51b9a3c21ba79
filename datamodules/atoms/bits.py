"""Ten atoms on binary representations: counting, packing, masks, Gray code."""

from __future__ import annotations

from datamodules.atoms.domains import Ints
from datamodules.atoms.registry import atom


@atom(
    en=(
        "count the one bits of {n}, sign ignored",
        "find how many ones the absolute value of {n} has in binary",
        "compute the population count of {n} without its sign",
        "total the binary digits of {n}, leaving a minus sign out",
    ),
    zh=(
        "统计 {n} 的绝对值的二进制中 1 的个数",
        "求 {n} 有多少个为 1 的二进制位，忽略符号",
        "数出 {n} 去掉符号后二进制里的 1",
        "把 {n} 的绝对值写成二进制，求各位数字之和",
    ),
    domains={"n": Ints(-40, 300)},
)
def count_set_bits(n: int) -> int:
    n = abs(n)
    count = 0
    while n > 0:
        n &= n - 1
        count += 1
    return count


@atom(
    en=(
        "decode {n}, sign ignored, from Gray code",
        "find the number whose Gray code is the absolute value of {n}",
        "xor together all right shifts of {n}, starting with its absolute value itself",
        "undo the Gray coding of {n}, taken without sign",
    ),
    zh=(
        "把 {n} 的绝对值当作格雷码解码",
        "求格雷码等于 {n} 绝对值的那个数",
        "将 {n} 的绝对值及其所有右移结果全部异或起来",
        "不计 {n} 的符号，把这个格雷码还原为普通整数",
    ),
)
def gray_to_number(n: int) -> int:
    n = abs(n)
    result = 0
    while n > 0:
        result ^= n
        n >>= 1
    return result


@atom(
    en=(
        "find the length of the longest run of one bits in {n}, sign ignored",
        "count the most consecutive ones in the binary form of {n} without sign",
        "measure the longest block of adjacent ones in the absolute value of {n} in binary",
        "find how many ones at most are adjacent in the binary notation of {n}, unsigned",
    ),
    zh=(
        "求 {n} 的绝对值的二进制中最长连续 1 的长度",
        "忽略符号，数 {n} 的二进制里最多有几个相邻的 1",
        "找出 {n} 去掉符号后二进制最长的一段 1 有多长",
        "给出 {n} 的二进制（不看符号）里 1 最多接连出现几次",
    ),
    domains={"n": Ints(-60, 500)},
)
def longest_run_of_ones(n: int) -> int:
    n = abs(n)
    length = 0
    while n > 0:
        n &= n << 1
        length += 1
    return length


@atom(
    en=(
        "rotate the lowest 8 bits of {n} left by {k} positions",
        "take {n} as a byte and rotate it {k} bits to the left",
        "keep only the low byte of {n} and turn it cyclically left {k} times",
        "cycle the bottom eight bits of {n} leftwards by {k}, dropped bits returning on the right",
    ),
    zh=(
        "把 {n} 的低 8 位循环左移 {k} 位",
        "取 {n} 的最低字节，向左循环移动 {k} 位",
        "将 {n} 当作一个字节，循环左移 {k} 次",
        "只看 {n} 的末尾 8 个二进制位，左移 {k} 次，移出的位补到右端",
    ),
    domains={"k": Ints(1, 7)},
)
def rotate_byte_left(n: int, k: int) -> int:
    byte = n & 255
    k %= 8
    return (byte << k | byte >> (8 - k)) & 255


@atom(
    en=(
        "list the running xor of {values}",
        "replace each item of {values} by the xor of all items up to it",
        "compute the bitwise exclusive or of every non-empty prefix of {values}",
        "scan {values} from the left with bitwise xor, recording the state after each item",
    ),
    zh=(
        "求 {values} 的前缀异或列表",
        "把 {values} 的每一项换成从头到该项的异或",
        "依次累计异或 {values} 的元素，列出每步结果",
        "从左往右用按位异或扫描 {values}，记录处理每一项后的值",
    ),
)
def running_xor(values: list[int]) -> list[int]:
    result = []
    total = 0
    for value in values:
        total ^= value
        result.append(total)
    return result


@atom(
    en=(
        "keep the items of {values} whose index is a set bit of {mask}",
        "select from {values} by the bit mask {mask}, lowest bit for the first item",
        "walk through {values} and {mask} from its lowest bit, keeping items at one bits",
        "filter {values} by {mask} in binary, item i staying exactly where bit i is 1",
    ),
    zh=(
        "按位掩码选取 {values} 中的元素，掩码为 {mask}，最低位对应首项",
        "保留 {values} 中下标在 {mask} 里对应二进制位为 1 的项",
        "依次对照 {mask} 的各二进制位（从低到高），位为 1 则保留 {values} 的对应项",
        "若 {mask} 的第 i 位（最低位为第 0 位）是 1 就留下 {values} 的第 i 项，否则去掉",
    ),
    domains={"mask": Ints(1, 255)},
)
def select_by_mask(values: list[int], mask: int) -> list[int]:
    kept = []
    for value in values:
        if mask & 1:
            kept.append(value)
        mask >>= 1
    return kept


@atom(
    en=(
        "list the positions of the one bits of {n}, sign ignored, from the lowest",
        "find which powers of two add up to {n} without sign, as ascending exponents",
        "collect the indexes of all set bits in the absolute value of {n}, ascending",
        "say which bits of {n}, unsigned, are switched on, in rising order, counted from 0",
    ),
    zh=(
        "列出 {n} 的绝对值中为 1 的二进制位的位置，从低到高",
        "忽略符号，求 {n} 由哪些 2 的幂相加而成，升序列出指数",
        "从低位起收集 {n} 去掉符号后所有置位的下标",
        "把 {n} 取绝对值，升序给出哪些二进制位是 1，最低位编号为 0",
    ),
    domains={"n": Ints(-40, 300)},
)
def bit_positions(n: int) -> list[int]:
    n = abs(n)
    positions = []
    position = 0
    while n > 0:
        if n & 1:
            positions.append(position)
        n >>= 1
        position += 1
    return positions


@atom(
    en=(
        "read the parities of {values} as binary digits, keeping the last 8",
        "pack the lowest bit of each of {values} into one byte, the last item lowest",
        "write 1 for odd and 0 for even in {values} as a binary number modulo 256",
        "let odd members of {values} be ones, others zeros, and evaluate the last 8 in binary",
    ),
    zh=(
        "把 {values} 各项的奇偶性当作二进制位读成数，只留最后 8 位",
        "将 {values} 每项的最低位拼成一个字节，末项为最低位",
        "{values} 中奇数记 1、偶数记 0，按二进制得到的数模 256",
        "取 {values} 末尾 8 项，奇数当 1、偶数当 0，从左到右连成二进制数求值",
    ),
)
def pack_parities(values: list[int]) -> int:
    result = 0
    for value in values:
        result = (result << 1 | value & 1) & 255
    return result


@atom(
    en=(
        "write {n} in binary, with a minus sign if negative",
        "convert {n} to a string of binary digits, a leading minus marking negatives",
        "spell {n} in base two, using 0 for zero and a minus for negatives",
        "give the base-two notation of {n} as text, the sign of a negative number in front",
    ),
    zh=(
        "把 {n} 写成二进制字符串，负数前加减号",
        "将 {n} 转换为由 0 和 1 组成的文本，负数带负号",
        "用二进制表示 {n}，零写作 0，负数保留负号",
        "给出 {n} 的二进制记法（不带前缀），若为负则以减号开头",
    ),
)
def to_binary(n: int) -> str:
    rest = abs(n)
    digits = str(rest % 2)
    while rest > 1:
        rest //= 2
        digits = str(rest % 2) + digits
    return "-" + digits if n < 0 else digits


@atom(
    en=(
        "check whether the binary digits of {n} alternate, sign ignored",
        "say whether no two adjacent bits of the absolute value of {n} are equal",
        "test if ones and zeros take turns in {n} written in binary without sign",
        "decide if each bit in the unsigned binary notation of {n} differs from those beside it",
    ),
    zh=(
        "判断 {n} 的绝对值的二进制位是否 0、1 交替",
        "检查 {n} 忽略符号后有没有相邻二进制位相同，没有则为真",
        "看 {n} 去掉符号写成二进制时 0 和 1 是否轮流出现",
        "判断 {n} 取绝对值后，二进制里每一位是否都与旁边的位不同",
    ),
)
def has_alternating_bits(n: int) -> bool:
    n = abs(n)
    while n > 1:
        if n % 2 == n // 2 % 2:
            return False
        n //= 2
    return True
