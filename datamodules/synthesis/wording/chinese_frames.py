"""The Chinese frames of prompts (`datamodules.synthesis.wording.frame`)."""

from __future__ import annotations

from datamodules.synthesis.wording.frame import NAMED, Frame


def chinese_frame(
    name: str,
    opening: str,
    steps: tuple[str, ...],
    joiner: str,
    closing: str,
    *,
    previous: str = "上一步的结果",
    earlier: str = "第 {number} 步的结果",
) -> Frame:
    """Build a frame from the templates of its first, middle, last and only step."""
    first, middle, last, only = steps
    return Frame(name, opening, first, middle, last, only, joiner, closing, previous, earlier)


CHINESE_FRAMES = (
    chinese_frame(
        "xian_ran_hou",
        "编写 `{typed}`：",
        ("先{clause}", "再{clause}", "最后{clause}", "{clause}"),
        "，",
        "。",
        previous="所得结果",
    ),
    chinese_frame(
        "bian_hao",
        "`{typed}`\n",
        ("{number}. {clause}",) * 3 + ("{clause}",),
        "\n",
        "",
        previous="第 {number} 步的结果",
    ),
    chinese_frame(
        "ji_wei",
        "实现 `{typed}`。",
        ("{clause}，记为 `{name}`",) * 2 + ("返回：{clause}",) * 2,
        "。",
        "。",
        **NAMED,
    ),
    chinese_frame(
        "lei_xing_zai_hou",
        "定义函数 `{bare}`：",
        ("{clause}", "接着{clause}", "最终{clause}", "{clause}"),
        "，",
        "。参数：{types}。",
        previous="得到的值",
    ),
    chinese_frame(
        "yi_zhi",
        "已知 {types}，`solve` 应当",
        ("{clause}", "之后{clause}", "之后{clause}", "{clause}"),
        "；",
        "。",
        previous="所得的值",
        earlier="第 {number} 步所得的值",
    ),
    chinese_frame(
        "kuo_hao",
        "Python 函数 `{typed}`：",
        ("（{number}）{clause}",) * 3 + ("{clause}",),
        "；",
        "。",
        previous="（{number}）",
        earlier="（{number}）",
    ),
    chinese_frame("bu_zhou", "补全 `{typed}`。", ("第 {number} 步：{clause}",) * 3 + ("任务：{clause}",), "。", "。"),
    chinese_frame(
        "liu_shui_xian",
        "用流水线完成 `{typed}`：",
        ("{clause}",) * 4,
        " → ",
        "",
        previous="前一输出",
        earlier="输出 {number}",
    ),
    chinese_frame(
        "qian_ming_zai_hou",
        "",
        ("{clause}", "然后{clause}", "末了{clause}", "{clause}"),
        "。",
        "。函数签名：`{typed}`。",
        previous="前一结果",
    ),
    chinese_frame(
        "she",
        "",
        ("设 `{name}` 为如下操作的结果：{clause}",) * 2 + ("`{typed}` 返回：{clause}",) * 2,
        "。",
        "。",
        **NAMED,
    ),
    chinese_frame(
        "jian_lue", "写出 `{bare}`：", ("{clause}", "{clause}", "并{clause}", "{clause}"), "，", "。", previous="该结果"
    ),
    chinese_frame(
        "lie_biao",
        "函数：`{typed}`\n",
        ("- {clause}（`{name}`）",) * 2 + ("- {clause}，并返回", "- {clause}"),
        "\n",
        "",
        **NAMED,
    ),
    chinese_frame(
        "kai_shi",
        "请写 `{typed}`。",
        ("开始：{clause}", "继续：{clause}", "结束：{clause}", "要求：{clause}"),
        "。",
        "。",
        previous="中间结果",
        earlier="中间结果 {number}",
    ),
    chinese_frame(
        "fu_zhi",
        "完成 `{typed}`：",
        ("`{name}` = {clause}",) * 2 + ("返回值 = {clause}",) * 2,
        "；",
        "。",
        **NAMED,
    ),
)
