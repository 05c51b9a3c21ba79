"""Ten atoms on dictionaries and sets: counting, grouping, ranking, membership.

Results never depend on the order of a set; dictionaries keep the order of first insertion.
"""

from datamodules.atoms.domains import Ints, Lists, Sentences, Texts
from datamodules.atoms.registry import atom


@atom(
    en=(
        "count how often each letter occurs in {text}, ignoring case and non-letters",
        "map every lower-cased letter of {text} to its number of occurrences",
        "build the letter histogram of {text}, treating capitals as small letters",
        "tally the letters of {text} in a dictionary with lower-case keys, skipping everything else",
    ),
    zh=(
        "统计 {text} 中每个字母出现的次数，不分大小写",
        "建立 {text} 的字母频数表，大写按小写计，跳过非字母",
        "把 {text} 转成小写后，将各字母映射到其出现次数",
        "以小写字母为键，计算 {text} 里各字母出现几次，其他字符不算",
    ),
)
def letter_counts(text: str) -> dict[str, int]:
    counts = {}
    for letter in text.lower():
        if letter.isalpha():
            counts[letter] = counts.get(letter, 0) + 1
    return counts


@atom(
    en=(
        "parse the key=number fields of {text}, skipping malformed ones, later keys winning",
        "read {text} as space-separated name=number pairs into a dictionary, ignoring the rest",
        "collect the entries of the form key=digits in {text} as a dictionary",
        "turn blank-separated parts of {text} that look like word=digits into a dictionary, last ones counting",
    ),
    zh=(
        "把 {text} 中以空格分隔的 键=数字 解析成字典，忽略其他",
        "从 {text} 读取形如 名称=数字 的字段成字典，后者覆盖前者",
        "解析 {text} 里的 key=数字 项，跳过格式不对的部分",
        "按空白拆开 {text}，把形如 键=若干数字 的部分记入字典，同键以最后一个为准",
    ),
    domains={"text": Sentences(vocabulary=("a=1", "b=20", "c=x", "bee=7", "a=35", "cat", "d=", "fox=4", "egg=12"))},
)
def parse_fields(text: str) -> dict[str, int]:
    fields = {}
    for part in text.split():
        key, _, number = part.partition("=")
        if number.isdecimal():
            fields[key] = int(number)
    return fields


@atom(
    en=(
        "add up the lengths of {words} by first character, ignoring empty words",
        "group {words} by initial and map each initial to its total word length",
        "map each first character among {words} to the summed length of its words",
        "for each character that begins one of {words}, count the characters of all those it begins",
    ),
    zh=(
        "按首字符对 {words} 分组，求每组单词的总长度",
        "把 {words} 中各首字符映射到以它开头的词的长度之和",
        "依首字符累加 {words} 的词长，空串不计",
        "对 {words} 中每个充当词首的字符，合计以它起头的词共有多少个字符",
    ),
)
def length_by_initial(words: list[str]) -> dict[str, int]:
    totals = {}
    for word in words:
        if word:
            totals[word[0]] = totals.get(word[0], 0) + len(word)
    return totals


@atom(
    en=(
        "sum {values} by last decimal digit, with the digits as string keys",
        "map each last digit among {values}, as a string, to the sum of its numbers",
        "group {values} by their final digit and total every group in a dictionary",
        "for each units digit among {values}, kept as text key, add the numbers ending in it",
    ),
    zh=(
        "按个位数字对 {values} 分组求和，键为数字字符串",
        "把 {values} 中出现的个位数字（字符串）映射到对应各数之和",
        "依末位数字累加 {values}，结果存成字典",
        "建一个字典，键是 {values} 各数的个位（文本），值是以该个位结尾的数的合计",
    ),
)
def sum_by_last_digit(values: list[int]) -> dict[str, int]:
    totals = {}
    for value in values:
        digit = str(abs(value) % 10)
        totals[digit] = totals.get(digit, 0) + value
    return totals


@atom(
    en=(
        "replace each value of {counts} by its rank, the largest being 1, ties sharing",
        "rank the keys of {counts} from 1 by falling value, equal values alike, without gaps",
        "map every key of {counts} to the dense rank of its value, highest first",
        "give each key of {counts} its value's position among the distinct values, 1 at the top",
    ),
    zh=(
        "把 {counts} 的每个值换成名次，最大为 1，相等同名次",
        "按值从大到小给 {counts} 的键排名次，并列不跳号",
        "将 {counts} 各键映射到其值降序的密集排名",
        "在 {counts} 的不同值由大到小的序列中，给出每个键的值排第几",
    ),
)
def rank_values(counts: dict[str, int]) -> dict[str, int]:
    order = sorted(set(counts.values()), reverse=True)
    ranks = {value: i + 1 for i, value in enumerate(order)}
    return {key: ranks[value] for key, value in counts.items()}


@atom(
    en=(
        "list the {k} keys of {counts} with the largest values, ties in alphabetical order",
        "take the top {k} keys of {counts} by falling value, then by name",
        "sort the keys of {counts} by decreasing value and name and keep the first {k}",
        "name in order the {k} best keys of {counts}, larger values better, equal ones alphabetical",
    ),
    zh=(
        "列出 {counts} 中值最大的 {k} 个键，并列按字母序",
        "将 {counts} 的键按值降序、同值按字母序排列，取前 {k} 个",
        "取 {counts} 里值排在前 {k} 位的键，同值按键名先后",
        "按值由高到低挑出 {counts} 的 {k} 个键，值一样时字母在前的键优先",
    ),
    domains={"k": Ints(1, 4)},
)
def top_keys(counts: dict[str, int], k: int) -> list[str]:
    ranked = sorted(counts, key=lambda key: (-counts[key], key))
    return ranked[: max(0, k)]


@atom(
    en=(
        "add up value times key length over the entries of {counts}",
        "sum the lengths of the keys of {counts}, each weighted by its value",
        "multiply every value of {counts} by the length of its key and total the products",
        "take the dot product of the values of {counts} and the sizes of their keys",
    ),
    zh=(
        "对 {counts} 的每一项求值乘以键长，再求和",
        "以值为权，累加 {counts} 各键的长度",
        "把 {counts} 中每个值与其键的长度相乘并求总和",
        "求 {counts} 的各个值与对应键的字符数的点积",
    ),
)
def weighted_key_length(counts: dict[str, int]) -> int:
    total = 0
    for key, value in counts.items():
        total += value * len(key)
    return total


@atom(
    en=(
        "list the running totals of the values of {counts} in alphabetical order of keys",
        "go through {counts} by sorted key and collect the cumulative sums of the values",
        "sort {counts} by key and return the prefix sums of its values",
        "with keys of {counts} in lexicographic order, record at each the sum of values so far",
    ),
    zh=(
        "按键的字母序列出 {counts} 各值的累计和",
        "依排序后的键遍历 {counts}，收集值的前缀和",
        "把 {counts} 按键排序，逐个累加值并记录每步总和",
        "让 {counts} 的键依字典序排好，在每个键处记下至此所有值的合计",
    ),
)
def cumulative_values(counts: dict[str, int]) -> list[int]:
    totals = []
    total = 0
    for key in sorted(counts):
        total += counts[key]
        totals.append(total)
    return totals


@atom(
    en=(
        "drop from {words} every word that is an anagram of an earlier one",
        "keep only the first word of each anagram class in {words}",
        "filter {words} so that no two of them consist of the same letters",
        "go through {words} and leave out any word whose letters, rearranged, have been met before",
    ),
    zh=(
        "从 {words} 中删去与前面某词互为变位词的词",
        "对 {words} 的每组变位词只保留最先出现的一个",
        "过滤 {words}，字母组成相同的词只留第一个",
        "依次查看 {words}，若某词重排字母后与已见过的词一样就不要",
    ),
    domains={"words": Lists(Texts(alphabet="abc", max_length=3, examples=("ab", "ba", "abc", "cab")), max_length=6)},
)
def drop_anagrams(words: list[str]) -> list[str]:
    seen = set()
    kept = []
    for word in words:
        letters = "".join(sorted(word))
        if letters not in seen:
            seen.add(letters)
            kept.append(word)
    return kept


@atom(
    en=(
        "find the longest run of consecutive integers present in {values}, smallest run on ties",
        "list the longest streak n, n+1, n+2 and so on contained in {values}, lowest on ties",
        "take the set of {values} and return its longest stretch without a gap, lowest first",
        "find the most members of {values} following each other by 1, upwards, lowest series if tied",
    ),
    zh=(
        "找出 {values} 所含的最长连续整数段，等长取较小者",
        "在 {values} 中求最长的一串相邻整数，并列取最小的一段",
        "把 {values} 看作集合，返回其中最长且无间断的整数序列",
        "不计重复与次序，取 {values} 中逐个加一的最长数列，一样长时取起点最小的",
    ),
    domains={"values": Lists(Ints(-4, 9))},
)
def longest_streak(values: list[int]) -> list[int]:
    present = set(values)
    best = []
    for value in sorted(present):
        if value - 1 not in present:
            run = [value]
            while run[-1] + 1 in present:
                run.append(run[-1] + 1)
            if len(run) > len(best):
                best = run
    return best
