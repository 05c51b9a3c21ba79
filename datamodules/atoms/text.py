"""Ten atoms on words, parsing and formats: run-length code, numerals, ciphers, cases, wrapping.

Algorithms on bare characters live in `strings`.
"""

from datamodules.atoms.domains import Ints, Sentences, Texts
from datamodules.atoms.registry import atom


@atom(
    en=(
        "run-length encode {text}, writing each run as its character and its length",
        "compress {text} by replacing every run with the character followed by its count",
        "turn each run of equal characters of {text} into the character and a number",
        "shorten {text}, writing each maximal stretch of one character as that character plus its length",
    ),
    zh=(
        "对 {text} 做游程编码，每段写成字符加次数",
        "压缩 {text}，把连续相同的字符替换为该字符及其个数",
        "将 {text} 中每段重复字符改写成字符后跟长度",
        "把 {text} 逐段缩写，每段相同字符只留一个并在其后写上段长",
    ),
)
def run_length_encode(text: str) -> str:
    encoded = ""
    count = 0
    for i, letter in enumerate(text):
        count += 1
        if i + 1 == len(text) or text[i + 1] != letter:
            encoded += letter + str(count)
            count = 0
    return encoded


@atom(
    en=(
        "expand {text}, repeating each non-digit as often as the single digit after it says",
        "decode {text} from run-length code with one-digit counts, a missing count meaning one",
        "unpack the one-digit repeat counts in {text}, so that b3c becomes bbbc",
        "write out {text} in full, where a digit says how often the character before it stands",
    ),
    zh=(
        "展开 {text}，每个非数字字符按其后的一位数字重复",
        "对 {text} 做游程解码，次数为一位数，缺省为一次",
        "按 {text} 中字符后的一位次数还原，如 b3c 变为 bbbc",
        "将 {text} 写全，字符后若有一位数字就写那么多遍，没有则写一遍",
    ),
)
def run_length_decode(text: str) -> str:
    decoded = ""
    for i, letter in enumerate(text):
        if not letter.isdecimal():
            count = text[i + 1 : i + 2]
            decoded += letter * int(count) if count.isdecimal() else letter
    return decoded


@atom(
    en=(
        "shift every English letter of {text} by {k} places in the alphabet, wrapping around",
        "encrypt {text} with a Caesar cipher of shift {k}, keeping case and other characters",
        "move the letters of {text} forward by {k} in the alphabet, z being followed by a",
        "replace each letter a-z or A-Z of {text} by the one {k} further on, cyclically",
    ),
    zh=(
        "用移位量 {k} 对 {text} 做凯撒加密，大小写不变",
        "把 {text} 的每个英文字母在字母表中循环后移 {k} 位",
        "将 {text} 中的英文字母顺移 {k} 位，z 之后回到 a",
        "把 {text} 里 a 到 z、A 到 Z 的字母换成往后第 {k} 个，到末尾从头接续，其余照旧",
    ),
    domains={"k": Ints(1, 25)},
)
def caesar_shift(text: str, k: int) -> str:
    shifted = ""
    for letter in text:
        if letter.isascii() and letter.isalpha():
            base = ord("a") if letter.islower() else ord("A")
            letter = chr((ord(letter) - base + k) % 26 + base)
        shifted += letter
    return shifted


@atom(
    en=(
        "convert {text} from camel case to snake case",
        "lower-case {text} and put an underscore before each capital except at the start",
        "rewrite {text} in snake case, every capital beginning a new part",
        "put {text} in lower case with underscores between each former capital and what precedes it",
    ),
    zh=(
        "把 {text} 从驼峰命名转为蛇形命名",
        "将 {text} 转成小写，并在非开头的大写字母前加下划线",
        "用下划线改写 {text}，每个大写字母另起一段并小写",
        "在 {text} 的每个大写字母与其前一字符之间插入下划线，再全部变为小写",
    ),
)
def snake_case(text: str) -> str:
    snake = ""
    for letter in text:
        if letter.isupper() and snake:
            snake += "_"
        snake += letter.lower()
    return snake


@atom(
    en=(
        "write {n} modulo 4000 as a Roman numeral, zero being the empty string",
        "convert the remainder of {n} by 4000 to Roman numerals, empty for zero",
        "spell {n} in Roman numerals after reducing it modulo 4000",
        "express {n} mod 4000 by M, D, C, L, X, V and I, nothing for zero",
    ),
    zh=(
        "把 {n} 模 4000 写成罗马数字，零为空串",
        "将 {n} 除以 4000 的余数转为罗马数字，零得空串",
        "先对 {n} 取模 4000，再用罗马数字表示",
        "用 M、D、C、L、X、V、I 按罗马记数法表示 {n} 除以 4000 的余数，余数为零则为空串",
    ),
    domains={"n": Ints(0, 150)},
)
def roman_numeral(n: int) -> str:
    numeral = ""
    rest = n % 4000
    values = [1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1]
    symbols = ["M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"]
    for value, symbol in zip(values, symbols, strict=True):
        numeral += symbol * (rest // value)
        rest %= value
    return numeral


@atom(
    en=(
        "name spreadsheet column {n}, 1 being A and 27 AA, empty below 1",
        "turn {n} into a spreadsheet column label such as Z or AB, empty unless positive",
        "write {n} in bijective base 26 with letters A to Z, empty unless positive",
        "give label {n} in the sequence A to Z, AA, AB and onwards, empty below 1",
    ),
    zh=(
        "求电子表格第 {n} 列的列名，1 为 A，非正得空串",
        "把 {n} 转成电子表格的列标，如 Z、AB，非正数得空串",
        "用字母 A 到 Z 的双射二十六进制写出 {n}，非正得空串",
        "按 A 到 Z、AA、AB 等的顺序取第 {n} 个标签，小于 1 时为空串",
    ),
    domains={"n": Ints(1, 800)},
)
def column_name(n: int) -> str:
    name = ""
    while n > 0:
        n, rest = divmod(n - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


@atom(
    en=(
        "find how deeply the parentheses of {text} nest, ignoring unmatched closing ones",
        "compute the greatest number of parentheses open at once in {text}",
        "measure the maximum nesting depth of round brackets in {text}, skipping stray closing ones",
        "scan {text} counting round brackets up and down, never below 0, and take the peak",
    ),
    zh=(
        "求 {text} 中圆括号的最大嵌套深度，忽略多余的右括号",
        "计算 {text} 里同时未闭合的圆括号最多有几个",
        "看 {text} 的圆括号最深套了几层，多余右括号不计",
        "扫描 {text}，遇左圆括号加一、遇右圆括号减一但不低于零，取计数的最大值",
    ),
    domains={"text": Texts(alphabet="((()))ab", max_length=12, examples=("(a(b)c)", ")(", "((()", "no"))},
)
def nesting_depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        if letter == "(":
            depth += 1
        elif letter == ")" and depth:
            depth -= 1
        deepest = max(deepest, depth)
    return deepest


@atom(
    en=(
        "extract the whole numbers written in {text} in order, ignoring signs",
        "list every maximal group of digits in {text} as an integer",
        "read off the unsigned integers that occur in {text} from left to right",
        "split {text} at everything that is not a digit and turn the non-empty parts into numbers",
    ),
    zh=(
        "依次提取 {text} 中出现的整数，不计正负号",
        "把 {text} 里每段连续数字读成整数并列出",
        "从左到右读出 {text} 中的所有无符号整数",
        "以非数字字符为界切分 {text}，把非空的各段转成整数",
    ),
    domains={"text": Texts(alphabet="ab -0123479", max_length=12, examples=("a1b2", "10 + 25", "007", "x"))},
)
def numbers_in(text: str) -> list[int]:
    numbers = []
    digits = ""
    for letter in text + " ":
        if letter.isdecimal():
            digits += letter
        elif digits:
            numbers.append(int(digits))
            digits = ""
    return numbers


@atom(
    en=(
        "wrap the words of {text} greedily into lines of at most {width} characters",
        "break {text} into lines no wider than {width}, longer words standing alone",
        "fill lines of up to {width} characters with the words of {text} in order",
        "set {text} in lines, adding words to the current line while {width} characters suffice",
    ),
    zh=(
        "把 {text} 的单词贪心地折成每行至多 {width} 个字符",
        "将 {text} 按词折行，行宽不超过 {width}，过长的词独占一行",
        "依次用 {text} 的单词填行，每行最多 {width} 个字符",
        "逐词排版 {text}，当前行加上该词不超过 {width} 个字符就接上，否则另起一行",
    ),
    domains={"text": Sentences(), "width": Ints(3, 12)},
)
def wrap_words(text: str, width: int) -> list[str]:
    lines = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


@atom(
    en=(
        "score each of {words} by its letters, a or A counting 1, z or Z 26",
        "sum the alphabet positions of the letters in every word of {words}",
        "replace each word of {words} by the total of its letter values from 1 to 26",
        "list what all letters of each of {words} are worth together, a or A being 1",
    ),
    zh=(
        "按 a 为 1 到 z 为 26，求 {words} 中每个词的字母值之和",
        "对 {words} 的每个词，累加各字母在字母表中的序号",
        "把 {words} 里的每个词换成其字母序号的总和，不分大小写",
        "设字母从 1 编号到 26、大小写等值，列出 {words} 中各词的字母编号合计",
    ),
)
def word_scores(words: list[str]) -> list[int]:
    scores = []
    for word in words:
        letters = [letter for letter in word.lower() if "a" <= letter <= "z"]
        scores.append(sum(ord(letter) - 96 for letter in letters))
    return scores
