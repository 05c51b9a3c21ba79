"""`atomforge serve`: the command of `atomforge-executor`; `--config` also takes the name of a shipped config."""

import argparse

from cli.config.files import find_config
from executor.commands import serve

add_parser = serve.add_parser


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; returns 0.

    Raises:
        ValueError: as `executor.commands.serve.run`, or there is no such config.
    """
    args.config = find_config(args.config)
    return serve.run(args)
