"""Import path of earlier versions; use `executor.commands.io`."""

from executor.commands.io import *  # noqa: F403
