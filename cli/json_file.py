"""Writing a JSON file so that it appears whole or not at all. Reading is `json.loads`."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write beside the target, then rename."""
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)
