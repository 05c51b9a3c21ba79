"""Turn the nested report of the config parser (jsonargparse) into one line: where, which key, what would be right."""

import re

from cli.config.files import KeyCheck
from executor.commands.errors import one_line

_CLASS_SECTIONS = ("model", "data")


def readable(message: str, check: KeyCheck) -> str:
    """Condense a report.

    Args:
        message: the parser's own, of any number of lines.
        check: has seen the settings, so knows where each key came from.
    """
    missing = re.search(r"arguments are required: ([^\n]*)", message)
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    is_class = bool(keys) and keys[0] in _CLASS_SECTIONS
    if missing is not None:
        names = [re.sub(r"^(fit|validate|test)\.", "", name) for name in missing[1].split(", ")]
        return _missing([f"{keys[0]}.init_args.{name}" for name in names] if is_class else names)
    if not keys:
        return one_line(message)
    key = ".init_args.".join(keys[:2]) if is_class else keys[0]
    where = check.origin_of(key)
    if where is None:
        return _missing([key])
    complaints = re.findall(r"^ *- (.*)$", message, re.MULTILINE) or [message.partition("\n")[2]]
    if is_class:  # the report of a class also says that null would do in place of the whole class
        complaints = [line for line in complaints if line != "Expected a <class 'NoneType'>"]
    if len(keys) == 1 and all("Expected a" not in line for line in complaints):
        return one_line(f"{where}: {key}: {' '.join(complaints)}")
    values = re.findall(r"(?:Got value|Given value): ([^\n]*)", message)
    wanted = [_type_name(text) for text in re.findall(r"Expected an? (.+?)(?:\. Got value.*)?$", message, re.MULTILINE)]
    if is_class and len(set(wanted)) > 1:
        wanted = [name for name in wanted if name != "null"]
    value = values[0] if values else "what it is"
    return one_line(f"{where}: {key} is {value!r}; expected {' or '.join(dict.fromkeys(wanted))}")


def _missing(names: list[str]) -> str:
    verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return f"{', '.join(names)} {verb} missing: give {them} in a --config file or as --{names[0]}"


def _type_name(text: str) -> str:
    """`<class 'int'>` -> int, `typing.Literal['a', 'b']` -> 'a', 'b', NoneType -> null."""
    name = re.sub(r"<class '([^']+)'>", r"\1", text)
    name = re.sub(r"typing\.Literal\[(.*)\]", r"\1", name)
    return "null" if name == "NoneType" else name
