"""Ten atoms on strings, character by character: palindromes, borders, windows, rotations, stacks, hashes.

Words, parsing and formats live in `text`; edit distances and common subsequences in `recursion`.
"""

from datamodules.atoms.domains import LETTERS, Ints, Texts
from datamodules.atoms.registry import atom


@atom(
    en=(
        "find the longest palindromic substring of {text}, the leftmost one on ties",
        "take the longest piece of {text} that reads the same backwards, earliest first",
        "search {text} for its longest palindrome, keeping the first of equal length",
        "pull out of {text} the lengthiest stretch equal to its own reversal, the first if several",
    ),
    zh=(
        "求 {text} 的最长回文子串，并列时取最左边的",
        "在 {text} 里找出最长的一段回文，等长时取先出现的",
        "取出 {text} 中正读反读都一样的最长片段，等长取首个",
        "截取 {text} 里与自身逆序相等的最长连续部分，有多个时要最靠前的",
    ),
)
def longest_palindrome(text: str) -> str:
    best = ""
    for end in range(1, len(text) + 1):
        for size in (len(best) + 1, len(best) + 2):
            piece = text[max(0, end - size) : end]
            if piece == piece[::-1]:
                best = piece
    return best


@atom(
    en=(
        "remove adjacent equal characters of {text} in pairs until none are left",
        "cancel neighbouring identical characters in {text} two by two, again and again",
        "reduce {text} with a stack that drops every pair of equal neighbours",
        "strike out two equal characters standing side by side in {text}, repeating while there are any",
    ),
    zh=(
        "反复成对消去 {text} 中相邻的相同字符",
        "用栈消除 {text} 里所有相邻且相等的一对字符",
        "不断删掉 {text} 中挨在一起的两个相同字符，直到没有为止",
        "只要 {text} 里还有两个相同字符紧邻，就把它们一起去掉",
    ),
)
def cancel_pairs(text: str) -> str:
    stack = []
    for letter in text:
        if stack and stack[-1] == letter:
            stack.pop()
        else:
            stack.append(letter)
    return "".join(stack)


@atom(
    en=(
        "reverse the order of the vowels in {text}, leaving other characters in place",
        "write the vowels of {text} backwards and keep everything else where it is",
        "mirror only the vowels of {text}, each keeping its own case",
        "swap first and last vowel of {text}, second and second-last, and so on inwards",
    ),
    zh=(
        "把 {text} 中的元音字母倒序，其余字符不动",
        "只反转 {text} 里元音的先后，别的字符留在原位",
        "将 {text} 的各个元音前后对调，辅音等位置不变",
        "让 {text} 的首个元音与末个元音互换，第二个与倒数第二个互换，依此类推",
    ),
)
def reverse_vowels(text: str) -> str:
    vowels = [letter for letter in text if letter in "aeiouAEIOU"]
    return "".join(vowels.pop() if letter in "aeiouAEIOU" else letter for letter in text)


@atom(
    en=(
        "find the lexicographically smallest rotation of {text}",
        "rotate {text} so that it comes first in dictionary order",
        "take the least of all cyclic shifts of {text}, compared as strings",
        "move some leading part of {text}, perhaps empty, to its end for the smallest possible string",
    ),
    zh=(
        "求 {text} 字典序最小的循环移位",
        "旋转 {text}，使其字典序尽可能小",
        "在 {text} 的所有轮转结果中取字典序最前的一个",
        "把 {text} 的某个前缀（可为空）挪到末尾，使整个串按字典序最小",
    ),
)
def smallest_rotation(text: str) -> str:
    best = text
    for i in range(len(text)):
        turned = text[i:] + text[:i]
        if turned < best:
            best = turned
    return best


@atom(
    en=(
        "compute the polynomial hash of {text} with base 31 modulo 997",
        "hash the character codes of {text} with multiplier 31, modulo 997",
        "fold {text} into a number below 997 by a base-31 rolling hash",
        "from 0, for each character of {text} multiply by 31, add its code, reduce modulo 997",
    ),
    zh=(
        "计算 {text} 以 31 为底、模 997 的多项式哈希",
        "用乘数 31 对 {text} 的字符编码逐位哈希，模 997",
        "求 {text} 的滚动哈希值，底数 31，模数 997",
        "从 0 起，对 {text} 每个字符先乘 31 再加其编码，并对 997 取余",
    ),
)
def rolling_hash(text: str) -> int:
    value = 0
    for letter in text:
        value = (value * 31 + ord(letter)) % 997
    return value


@atom(
    en=(
        "measure the longest substring of {text} without a repeated character",
        "find the length of the longest stretch of {text} with all characters different",
        "count the characters in the longest repeat-free window of {text}",
        "say how long a contiguous part of {text} can be in which nothing occurs twice",
    ),
    zh=(
        "求 {text} 中无重复字符的最长子串的长度",
        "用滑动窗口算出 {text} 里字符互不相同的最长一段有多长",
        "统计 {text} 最长的不含重复字符的连续片段的字符数",
        "给出 {text} 中没有任何字符出现两次的连续部分最多能有几个字符",
    ),
)
def longest_distinct_window(text: str) -> int:
    start = best = 0
    last = {}
    for i, letter in enumerate(text):
        start = max(start, last.get(letter, -1) + 1)
        last[letter] = i
        best = max(best, i - start + 1)
    return best


@atom(
    en=(
        "compute the Knuth-Morris-Pratt prefix function of {text}",
        "list the length of the longest proper border of every prefix of {text}",
        "build the KMP failure table of {text}, one border length per character",
        "for each beginning of {text}, measure the longest proper part it both starts and ends with",
    ),
    zh=(
        "计算 {text} 的 KMP 前缀函数",
        "列出 {text} 每个前缀的最长真公共前后缀的长度",
        "为 {text} 建立 KMP 失配表，每个字符对应一个长度",
        "对 {text} 的每个开头部分，求它首尾相同的最长一截（不是全部）有几个字符",
    ),
)
def prefix_function(text: str) -> list[int]:
    borders = []
    size = 0
    for i, letter in enumerate(text):
        while size and text[size] != letter:
            size = borders[size - 1]
        if i and text[size] == letter:
            size += 1
        borders.append(size)
    return borders


@atom(
    en=(
        "list the distinct substrings of {text} of length {k} in order of appearance",
        "collect every different window of {k} characters of {text}, first seen first",
        "cut {text} into overlapping pieces of {k} characters and drop repeated ones",
        "gather all n-grams of {text} with n being {k}, from left to right, without duplicates",
    ),
    zh=(
        "按出现顺序列出 {text} 中长度为 {k} 的不同子串",
        "收集 {text} 里所有互不相同的 {k} 字窗口，先见者在前",
        "把 {text} 切成重叠的 {k} 字片段并去重",
        "取 n 等于 {k}，从左到右列出 {text} 的所有 n 元字符组，重复的只列一次",
    ),
    domains={"k": Ints(1, 3)},
)
def distinct_grams(text: str, k: int) -> list[str]:
    size = max(1, k)
    grams = {}
    for i in range(len(text) - size + 1):
        grams[text[i : i + size]] = i
    return list(grams)


@atom(
    en=(
        "interleave the letters of {words}, all first letters, then all second letters, and so on",
        "write {words} under one another and read the columns from the left",
        "take one letter from each of {words} in turn until all are used up",
        "go round {words} repeatedly, appending the next unread letter of each that still has one",
    ),
    zh=(
        "依次取 {words} 各词的第一个字母、第二个字母……拼成一串",
        "把 {words} 逐行对齐写下，再从左到右按列读出",
        "轮流从 {words} 的每个词中取一个字符，直到取完",
        "循环遍历 {words}，每轮从各个还有剩余的词里依次取下一个字母接上",
    ),
)
def interleave_words(words: list[str]) -> str:
    longest = max((len(word) for word in words), default=0)
    columns = ["".join(word[i : i + 1] for word in words) for i in range(longest)]
    return "".join(columns)


@atom(
    en=(
        "check whether {pattern} is a subsequence of {text}",
        "tell whether {text} contains the characters of {pattern} in order, gaps allowed",
        "test if deleting characters from {text} can leave {pattern}",
        "decide whether reading {text} once from the left can meet all of {pattern} in order",
    ),
    zh=(
        "判断 {pattern} 是否为 {text} 的子序列",
        "检查 {text} 是否依次含有 {pattern} 的各个字符，可以不相邻",
        "判断从 {text} 中删去若干字符能否得到 {pattern}",
        "看能否在 {text} 中从左往右不回头地依次找到 {pattern} 的所有字符",
    ),
    domains={"pattern": Texts(alphabet=LETTERS[:4], min_length=1, max_length=2)},
)
def is_subsequence(text: str, pattern: str) -> bool:
    matched = 0
    for letter in text:
        if matched < len(pattern) and pattern[matched] == letter:
            matched += 1
    return matched == len(pattern)
