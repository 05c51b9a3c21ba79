"""Turn the nested report of the config parser (jsonargparse) into one line: where, which key, what would be right."""

import re

from cli.config_files import KeyCheck
from cli.errors import one_line

_NOT_A_TYPE = re.compile(r"Import path|not accepted|does not accept|has no attribute|No module named|Unable to load")


def readable(message: str, check: KeyCheck) -> str:
    """Condense a report.

    Args:
        message: the parser's own, of any number of lines.
        check: has seen the settings, so knows where each key came from.
    """
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    if not keys:
        return one_line(message)
    key = ".init_args.".join(keys[:2]) if keys[0] in ("model", "data") else keys[0]
    where = check.origin_of(key)
    if where is None:
        return f"{key} is missing: give it in a --config file or as --{key}"
    for line in message.splitlines():
        if _NOT_A_TYPE.search(line):
            return one_line(f"{where}: {key}: {line.strip(' -')}")
    values = re.findall(r"(?:Got value|Given value): ([^\n]*)", message)
    wanted = [_type_name(text) for text in re.findall(r"Expected an? (.+?)(?:\. Got value.*)?$", message, re.MULTILINE)]
    if len(keys) > 1:  # the report of a class also says that null would do in place of the whole class
        wanted = [name for name in wanted if name != "null"]
    if not values or not wanted:
        return one_line(f"{where}: {message}")
    return one_line(f"{where}: {key} is {values[0]!r}; expected {' or '.join(dict.fromkeys(wanted))}")


def _type_name(text: str) -> str:
    """`<class 'int'>` -> int, `typing.Literal['a', 'b']` -> 'a', 'b', NoneType -> null."""
    name = re.sub(r"<class '([^']+)'>", r"\1", text)
    name = re.sub(r"typing\.Literal\[(.*)\]", r"\1", name)
    return "null" if name == "NoneType" else name
