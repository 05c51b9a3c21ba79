"""Lets `--model.init_args.kl.target null` mean what the same line in a YAML file means.

jsonargparse refuses null on the command line for a key of a group below `init_args`, though its type allows it, and
takes it from a file. So such an option is handed on as a file of one line, in its place.
"""

import json
import re

_NESTED = re.compile(r"--((?:model|data)\.init_args\.\w+\.[\w.]+)")
_NULLS = ("null", "None", "~")


def with_nulls(arguments: list[str]) -> list[str]:
    """Put `--config '{"model": ...: null}'` in the place of nulls for nested keys; all else stays as it is."""
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        match = _NESTED.fullmatch(option)
        if match is None:
            found.append(word)
            continue
        if not equals:
            value = next(words, None)
        if value in _NULLS:
            found += ["--config", _settings(match[1].split("."))]
        else:
            found += [word] if equals or value is None else [word, value]
    return found


def _settings(keys: list[str]) -> str:
    settings = None
    for key in reversed(keys):
        settings = {key: settings}
    return json.dumps(settings)
