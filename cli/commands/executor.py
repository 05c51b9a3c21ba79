"""`atomforge executor build`: the command `build` of `atomforge-executor`."""

from typing import Any

from executor.commands import build

run = build.run


def add_parser(subparsers: Any) -> None:
    """Add the `executor` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser("executor", help="build the image of the Docker sandboxes", description=build.ABOUT)
    parser.add_argument("action", choices=("build",), help="build the image of the Docker sandboxes")
    build.add_options(parser)
