"""Frames: how a prompt numbers, links and names its steps, and where it states the signature.

A frame is independent of atoms; the text of a step comes from an atom's phrasings (`prompts.describe` combines them).

Placeholders: `{typed}` is `solve(a: list[int]) -> int`, `{bare}` is `solve(a)`, `{types}` lists the parameters with
their types; `{clause}` is a phrasing with its arguments, `{Clause}` the same capitalised; `{number}` counts steps from
1 and `{name}` is the variable of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Frame:
    """A template that combines steps into a prompt.

    `first`, `middle` and `last` are templates of steps by position, `only` is that of a single step. `previous` refers
    to the result of the step immediately before, `earlier` to any older result.
    """

    name: str
    opening: str
    first: str
    middle: str
    last: str
    only: str
    joiner: str
    closing: str
    previous: str
    earlier: str


def _en(
    name: str,
    opening: str,
    steps: tuple[str, ...],
    joiner: str,
    closing: str,
    *,
    previous: str = "the result",
    earlier: str = "the result of step {number}",
) -> Frame:
    first, middle, last, only = steps
    return Frame(name, opening, first, middle, last, only, joiner, closing, previous, earlier)


def _zh(
    name: str,
    opening: str,
    steps: tuple[str, ...],
    joiner: str,
    closing: str,
    *,
    previous: str = "上一步的结果",
    earlier: str = "第 {number} 步的结果",
) -> Frame:
    first, middle, last, only = steps
    return Frame(name, opening, first, middle, last, only, joiner, closing, previous, earlier)


_NAMED = {"previous": "`{name}`", "earlier": "`{name}`"}

_ENGLISH = (
    _en(
        "first_then",
        "Write `{typed}`: ",
        ("first {clause}", "then {clause}", "finally {clause}", "{clause}"),
        ", ",
        ".",
    ),
    _en(
        "numbered_lines",
        "`{typed}`\n",
        ("{number}. {Clause}",) * 3 + ("{Clause}",),
        "\n",
        "",
        previous="the result of step {number}",
    ),
    _en(
        "to_get",
        "Implement `{typed}`. ",
        ("{Clause} to get `{name}`",) * 2 + ("Return what you get when you {clause}",) * 2,
        ". ",
        ".",
        **_NAMED,
    ),
    _en(
        "types_last",
        "Define `{bare}` that will ",
        ("{clause}", "next {clause}", "and in the end {clause}", "{clause}"),
        ", ",
        ". Arguments: {types}.",
    ),
    _en(
        "given",
        "Given {types}, `solve` must ",
        ("{clause}", "after that {clause}", "after that {clause}", "{clause}"),
        "; ",
        ".",
        previous="the outcome",
        earlier="the outcome of step {number}",
    ),
    _en(
        "parenthesised",
        "Python function `{typed}`: ",
        ("({number}) {clause}",) * 3 + ("{clause}",),
        "; ",
        ".",
        previous="({number})",
        earlier="({number})",
    ),
    _en(
        "step_by_step",
        "Complete `{typed}`. ",
        ("Step {number}: {clause}",) * 3 + ("Task: {clause}",),
        ". ",
        ".",
        previous="the last result",
    ),
    _en(
        "pipeline",
        "`{typed}` as a pipeline: ",
        ("{clause}",) * 4,
        " | ",
        "",
        previous="that output",
        earlier="output {number}",
    ),
    _en(
        "signature_last",
        "",
        ("{Clause}", "Then {clause}", "Last, {clause}", "{Clause}"),
        ". ",
        ". Signature: `{typed}`.",
        previous="that",
    ),
    _en(
        "let",
        "",
        ("Let `{name}` be the outcome when you {clause}",) * 2
        + ("`{typed}` gives what comes out when you {clause}",) * 2,
        ". ",
        ".",
        **_NAMED,
    ),
    _en(
        "bare",
        "Code `{bare}` to ",
        ("{clause}", "{clause}", "and {clause}", "{clause}"),
        ", ",
        ".",
        previous="what results",
    ),
    _en(
        "bullets",
        "Function: `{typed}`\n",
        ("- {clause} (`{name}`)",) * 2 + ("- {clause}, and return it", "- {clause}"),
        "\n",
        "",
        **_NAMED,
    ),
    _en(
        "begin_continue",
        "Please write `{typed}`. ",
        ("Begin: {clause}", "Continue: {clause}", "End: {clause}", "It should {clause}"),
        ". ",
        ".",
        previous="the intermediate result",
        earlier="intermediate result {number}",
    ),
    _en(
        "assignments",
        "Fill in `{typed}`: ",
        ("`{name}` := {clause}",) * 2 + ("return := {clause}",) * 2,
        "; ",
        ".",
        **_NAMED,
    ),
)

_CHINESE = (
    _zh(
        "xian_ran_hou",
        "编写 `{typed}`：",
        ("先{clause}", "再{clause}", "最后{clause}", "{clause}"),
        "，",
        "。",
        previous="所得结果",
    ),
    _zh(
        "bian_hao",
        "`{typed}`\n",
        ("{number}. {clause}",) * 3 + ("{clause}",),
        "\n",
        "",
        previous="第 {number} 步的结果",
    ),
    _zh(
        "ji_wei",
        "实现 `{typed}`。",
        ("{clause}，记为 `{name}`",) * 2 + ("返回：{clause}",) * 2,
        "。",
        "。",
        **_NAMED,
    ),
    _zh(
        "lei_xing_zai_hou",
        "定义函数 `{bare}`：",
        ("{clause}", "接着{clause}", "最终{clause}", "{clause}"),
        "，",
        "。参数：{types}。",
        previous="得到的值",
    ),
    _zh(
        "yi_zhi",
        "已知 {types}，`solve` 应当",
        ("{clause}", "之后{clause}", "之后{clause}", "{clause}"),
        "；",
        "。",
        previous="所得的值",
        earlier="第 {number} 步所得的值",
    ),
    _zh(
        "kuo_hao",
        "Python 函数 `{typed}`：",
        ("（{number}）{clause}",) * 3 + ("{clause}",),
        "；",
        "。",
        previous="（{number}）",
        earlier="（{number}）",
    ),
    _zh("bu_zhou", "补全 `{typed}`。", ("第 {number} 步：{clause}",) * 3 + ("任务：{clause}",), "。", "。"),
    _zh(
        "liu_shui_xian",
        "用流水线完成 `{typed}`：",
        ("{clause}",) * 4,
        " → ",
        "",
        previous="前一输出",
        earlier="输出 {number}",
    ),
    _zh(
        "qian_ming_zai_hou",
        "",
        ("{clause}", "然后{clause}", "末了{clause}", "{clause}"),
        "。",
        "。函数签名：`{typed}`。",
        previous="前一结果",
    ),
    _zh(
        "she",
        "",
        ("设 `{name}` 为如下操作的结果：{clause}",) * 2 + ("`{typed}` 返回：{clause}",) * 2,
        "。",
        "。",
        **_NAMED,
    ),
    _zh(
        "jian_lue", "写出 `{bare}`：", ("{clause}", "{clause}", "并{clause}", "{clause}"), "，", "。", previous="该结果"
    ),
    _zh(
        "lie_biao",
        "函数：`{typed}`\n",
        ("- {clause}（`{name}`）",) * 2 + ("- {clause}，并返回", "- {clause}"),
        "\n",
        "",
        **_NAMED,
    ),
    _zh(
        "kai_shi",
        "请写 `{typed}`。",
        ("开始：{clause}", "继续：{clause}", "结束：{clause}", "要求：{clause}"),
        "。",
        "。",
        previous="中间结果",
        earlier="中间结果 {number}",
    ),
    _zh(
        "fu_zhi",
        "完成 `{typed}`：",
        ("`{name}` = {clause}",) * 2 + ("返回值 = {clause}",) * 2,
        "；",
        "。",
        **_NAMED,
    ),
)

FRAMES: Mapping[str, tuple[Frame, ...]] = MappingProxyType({"en": _ENGLISH, "zh": _CHINESE})

DOCSTRINGS: Mapping[str, tuple[Frame, ...]] = MappingProxyType(
    {
        "en": (
            _en("sentences", "", ("{Clause}",) * 4, ". ", "."),
            _en("signature_first", "{typed}\n\n", ("{Clause}",) * 4, ". ", "."),
        ),
        "zh": (
            _zh("ju_zi", "", ("{clause}",) * 4, "。", "。"),
            _zh("xian_qian_ming", "{typed}\n\n", ("{clause}",) * 4, "。", "。"),
        ),
    }
)
"""By language, frames of docstrings, which describe a program without asking for it; no task's prompt uses these."""
