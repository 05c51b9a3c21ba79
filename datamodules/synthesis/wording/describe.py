"""The prompt of a composition: its atoms' phrasings, one a step, put into a frame.

Pure: which phrasings and which frame is chosen outside (`prompts`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from datamodules.synthesis.composition.render import RESULT_NAMES, argument_name, signature, step_number
from datamodules.synthesis.composition.tree import Call, Constant, Node, Param, parameters, steps
from datamodules.synthesis.wording.frames import Frame

_PLACEHOLDER = re.compile(r"{(\w+)}")


def describe(tree: Call, *, frame: Frame, phrasings: Sequence[str], names: str = RESULT_NAMES) -> str:
    """Write the prompt: `phrasings[i]` describes step i, `frame` joins the steps, `names[i]` is its result's name."""
    fields = {
        "typed": signature(tree),
        "bare": signature(tree, typed=False),
        "types": ", ".join(f"`{argument_name(param)}: {param.type_name}`" for param in parameters(tree)),
    }
    calls = steps(tree)
    parts = []
    for number, (call, phrasing) in enumerate(zip(calls, phrasings, strict=True)):
        step_fields = {
            **fields,
            "clause": _clause(phrasing, call, tree, frame, names),
            "Clause": _clause(phrasing[:1].upper() + phrasing[1:], call, tree, frame, names),
            "number": str(number + 1),
            "name": names[number],
        }
        parts.append(_fill(_template(frame, number, len(calls)), step_fields))
    return _fill(frame.opening, fields) + frame.joiner.join(parts) + _fill(frame.closing, fields)


def _template(frame: Frame, number: int, num_steps: int) -> str:
    if num_steps == 1:
        return frame.only
    if number == num_steps - 1:
        return frame.last
    return frame.first if number == 0 else frame.middle


def _clause(phrasing: str, call: Call, tree: Call, frame: Frame, names: str) -> str:
    slots = [slot.name for slot in call.atom.parameters]
    words = [_argument(arg, call, tree, frame, names) for arg in call.args]
    return _fill(phrasing, dict(zip(slots, words, strict=True)))


def _argument(arg: Node, call: Call, tree: Call, frame: Frame, names: str) -> str:
    if isinstance(arg, Constant):
        return repr(arg.value)
    if isinstance(arg, Param):
        return f"`{argument_name(arg)}`"
    number = step_number(tree, arg)
    template = frame.previous if number == step_number(tree, call) - 1 else frame.earlier
    return _fill(template, {"number": str(number + 1), "name": names[number]})


def _fill(template: str, fields: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: fields[match.group(1)], template)
