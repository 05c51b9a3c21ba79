"""`atomforge executor build`: make the image of the Docker sandboxes.

    atomforge executor build [--base-image python:3.12-slim] [--tag NAME]
    sudo atomforge executor build --offline        # no image registry: a base from Debian packages

Needed once, and again after an update of atomforge: the backend refuses an image made of other files.
"""

import argparse
import sys
import time
from typing import Any

from cli.errors import UsageError, one_line
from executor.backends.docker_image import (
    DEFAULT_BASE_IMAGE,
    DEFAULT_TAG,
    OFFLINE_BASE_TAG,
    build_image,
    connect_engine,
    make_offline_base,
)

_LINE_CHARS = 100
_MILESTONES = (
    "Step",
    "I: Retrieving InRelease",
    "I: Installing core",
    "I: Unpacking the base",
    "I: Base",
    "I: Packing",
)
"""How the lines begin that are shown where they cannot take each other's place."""


def add_parser(subparsers: Any) -> None:
    """Add the `executor` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "executor",
        help="build the image of the Docker sandboxes",
        description="build: make the image of the Docker sandboxes out of a base image with Python and the few files "
        "that run inside. Needed once, and again after an update.",
    )
    parser.add_argument("action", choices=("build",), help="what to do")
    parser.add_argument(
        "--base-image",
        default=None,
        metavar="NAME",
        help=f"an image with Python 3.11 or later as python3 (default {DEFAULT_BASE_IMAGE})",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="make the base with debootstrap where no image registry answers (needs root; about a minute)",
    )
    parser.add_argument("--tag", default=DEFAULT_TAG, metavar="NAME", help=f"name of the image (default {DEFAULT_TAG})")


def run(args: argparse.Namespace) -> int:
    """Build; returns 0.

    Raises:
        UsageError: flags that contradict each other.
        ValueError: no engine or no permission to use it; the base cannot be had or does not do.
    """
    if args.offline and args.base_image is not None:
        raise UsageError("--offline makes the base itself; leave --base-image out")
    from docker.errors import DockerException

    started = time.monotonic()
    client = connect_engine()
    base_image = OFFLINE_BASE_TAG if args.offline else args.base_image or DEFAULT_BASE_IMAGE
    try:
        with _Lines() as lines:
            if args.offline:
                make_offline_base(client, tag=base_image, on_line=lines.show)
            image_id = build_image(client, base_image=base_image, tag=args.tag, on_line=lines.show)
    except DockerException as error:
        raise UsageError(f"the Docker engine refuses: {one_line(str(error))}") from None
    print(f"{args.tag}: {image_id.removeprefix('sha256:')[:12]} on {base_image}, {time.monotonic() - started:.0f} s")
    return 0


class _Lines:
    """Lines of progress on standard error; on a terminal each takes the place of the one before."""

    def __init__(self) -> None:
        self._in_place = sys.stderr.isatty()

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_place:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def show(self, line: str) -> None:
        text = one_line(line)[:_LINE_CHARS]
        if self._in_place:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif text.startswith(_MILESTONES):
            print(text, file=sys.stderr, flush=True)
