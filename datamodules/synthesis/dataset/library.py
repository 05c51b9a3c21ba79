"""The library of a data set: functions that its solutions call without defining them.

It is kept as JSON in the description of every split, so that tables carry it through `select` and `filter`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from datasets import DatasetInfo, Features


def make_info(library: Mapping[str, str], features: Features) -> DatasetInfo | None:
    """Make the metadata of a table that has a library, source by name; None for an empty one."""
    return DatasetInfo(description=json.dumps({"library": dict(library)}), features=features) if library else None


def read_library(table: Any) -> dict[str, str]:
    """Read the library of a `datasets.Dataset`; empty where it has none.

    Raises:
        ValueError: the description holds a library that is not an object of name to source.
    """
    description = table.info.description
    if not description.startswith('{"library":'):
        return {}
    library = json.loads(description)["library"]
    if not isinstance(library, dict) or any(not isinstance(source, str) for source in library.values()):
        raise ValueError("the description of the data set must hold a library of function name to source")
    return library
