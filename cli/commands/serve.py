"""`atomforge serve`: put the sandboxes of this machine behind HTTP, for trainers here or elsewhere.

    atomforge serve --config configs/executor.yaml

One line says where it listens when it is ready. SIGTERM or Ctrl-C lets it finish what it has taken on. See
`docs/executor_service.md`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from cli.config.files import read_yaml
from cli.config.records import record_of
from cli.errors import UsageError


def add_parser(subparsers: Any) -> None:
    """Add the `serve` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "serve",
        help="run and grade programs for others over HTTP",
        description="Put the sandboxes of this machine behind HTTP. The token is read from the file that the config "
        "names or from ATOMFORGE_EXECUTOR_TOKEN.",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="YAML", help="such as configs/executor.yaml")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; returns 0.

    Raises:
        UsageError: the config is wrong, or the packages of the service are not installed.
        ValueError: no sandbox works here, or works any longer, or the address cannot be had.
    """
    from executor.api import open_local
    from executor.service.settings import ServiceConfig, load_token

    settings = record_of(ServiceConfig, read_yaml(args.config), source=str(args.config))
    token = load_token(settings)
    try:
        from executor.integrations.endpoints import add_endpoints
        from executor.service.app import create_app
        from executor.service.metrics import log_as_json
        from executor.service.server import listen, serve
    except ModuleNotFoundError as error:
        raise UsageError(f"the service needs the package {error.name}: pip install 'atomforge[serve]'") from None
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
        protection = "a token is needed" if token is not None else "no token is needed"
        print(f"atomforge: serving at {address} ({protection}); {executor.description}", file=sys.stderr, flush=True)
        app = create_app(executor, settings, token)
        add_endpoints(app, settings)
        serve(app, settings, listener)
    if settings.unix_socket is not None:
        Path(settings.unix_socket).unlink(missing_ok=True)
    return 0
