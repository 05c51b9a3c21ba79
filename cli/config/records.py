"""Import path of earlier versions; use `executor.commands.config.parse_dataclass`."""

from executor.commands.config import parse_dataclass as record_of  # noqa: F401
