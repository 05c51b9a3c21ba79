"""`serve`: run and grade programs over HTTP, for trainers on this or other machines.

    atomforge-executor serve --config configs/executor.yaml

When the service is ready it prints its address. After SIGTERM or Ctrl-C it finishes the batches it has accepted. See
`docs/executor_service.md`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from executor.commands.config import parse_dataclass, read_yaml
from executor.commands.errors import UsageError


def add_parser(subparsers: Any) -> None:
    """Add the `serve` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "serve",
        help="run and grade programs for other processes over HTTP",
        description="Run and grade programs over HTTP in the sandboxes of this machine. The token is read from "
        "`token_file` of the config or from ATOMFORGE_EXECUTOR_TOKEN.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="YAML", help="such as configs/executor.yaml")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; returns 0.

    Raises:
        UsageError: the config is wrong, or the packages of the service are not installed.
        ValueError: no sandbox works, or the address is not available.
    """
    from executor.api import open_local
    from executor.service.settings import ServiceConfig, load_token

    settings = parse_dataclass(ServiceConfig, read_yaml(args.config), source=str(args.config))
    token = load_token(settings)
    try:
        from executor.integrations.endpoints import add_endpoints
        from executor.service.app import create_app
        from executor.service.metrics import log_as_json
        from executor.service.server import listen, serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the service needs the package {error.name}: pip install 'atomforge-executor[serve]'"
        ) from None
    log_as_json()
    listener, address = listen(settings)
    with (
        listener,
        open_local(
            settings.backend,
            num_workers=settings.num_workers,
            hash_seed=settings.hash_seed,
            docker=settings.docker,
        ) as executor,
    ):
        app = create_app(executor, settings, token)
        add_endpoints(app, settings)
        protection = "a token is required" if token is not None else "no token is required"
        print(f"atomforge: serving at {address} ({protection}); {executor.description}", file=sys.stderr, flush=True)
        serve(app, settings, listener)
    if settings.unix_socket is not None:
        Path(settings.unix_socket).unlink(missing_ok=True)
    return 0
