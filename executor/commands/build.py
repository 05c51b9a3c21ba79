"""`build`: build the image of the Docker sandboxes.

    atomforge-executor build [--base-image python:3.12-slim] [--tag NAME]
    sudo atomforge-executor build --offline        # no image registry: a base from Debian packages

Build it once, and again after an update: the Docker backend rejects an image built from other sources.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from executor.backends.docker.engine import connect_engine
from executor.backends.docker.image import (
    DEFAULT_BASE_IMAGE,
    DEFAULT_TAG,
    OFFLINE_BASE_TAG,
    build_image,
    make_offline_base,
)
from executor.commands.errors import UsageError, one_line

ABOUT = (
    "Build the image of the Docker sandboxes from a base image with Python and the few files that run inside. Build it "
    "once, and again after an update."
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
"""Prefixes of the lines that are printed where standard error is not a terminal."""


def add_parser(subparsers: Any) -> None:
    """Add the `build` subcommand to an argparse subparsers object."""
    add_options(subparsers.add_parser("build", help="build the image of the Docker sandboxes", description=ABOUT))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `build`."""
    parser.add_argument(
        "--base-image",
        default=None,
        metavar="NAME",
        help=f"an image with Python 3.11 or later as python3 (default {DEFAULT_BASE_IMAGE})",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="make the base with debootstrap where no image registry is reachable (needs root; about a minute)",
    )
    parser.add_argument("--tag", default=DEFAULT_TAG, metavar="NAME", help=f"name of the image (default {DEFAULT_TAG})")


def run(args: argparse.Namespace) -> int:
    """Build; returns 0.

    Raises:
        UsageError: contradictory options, or an error of the Docker engine.
        ValueError: no engine, no permission to use it, or an unsuitable base image.
    """
    if args.offline and args.base_image is not None:
        raise UsageError("--offline makes the base image; omit --base-image")
    from docker.errors import DockerException

    started = time.monotonic()
    client = connect_engine()
    base_image = OFFLINE_BASE_TAG if args.offline else args.base_image or DEFAULT_BASE_IMAGE
    try:
        with _show_lines() as show:
            if args.offline:
                make_offline_base(client, tag=base_image, on_line=show)
            image_id = build_image(client, base_image=base_image, tag=args.tag, on_line=show)
    except DockerException as error:
        raise UsageError(f"error of the Docker engine: {one_line(str(error))}") from None
    print(f"{args.tag}: {image_id.removeprefix('sha256:')[:12]} on {base_image}, {time.monotonic() - started:.0f} s")
    return 0


@contextlib.contextmanager
def _show_lines() -> Iterator[Callable[[str], None]]:
    """Show the lines of the build on standard error: the latest one on a terminal, else milestones."""

    def show(line: str) -> None:
        text = one_line(line)[:_LINE_CHARS]
        if in_place:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif text.startswith(_MILESTONES):
            print(text, file=sys.stderr, flush=True)

    in_place = sys.stderr.isatty()
    try:
        yield show
    finally:
        if in_place:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
