"""Import path of earlier versions; use `executor.commands.errors`."""

from executor.commands.errors import *  # noqa: F403
