"""One JSON object a line on standard error: what happened, never a program and never a token."""

import json
import logging
import sys
import time
from typing import Any

_log = logging.getLogger("atomforge.service")


class JsonLines(logging.Formatter):
    """Formats any record as a JSON object; fields of `log_event` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_event(event: str, **values: Any) -> None:
    """Log what happened, with values beside it."""
    _log.info(event, extra={"fields": values})


def log_as_json() -> None:
    """Have everything that is logged in this process come out as JSON lines on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").disabled = True
