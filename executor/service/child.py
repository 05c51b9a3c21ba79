"""A service that lives no longer than the process that started it; see `executor.service.per_node`.

    python -m executor.service.child SETTINGS TIME_FACTOR PARENT

The first two are JSON: keys of `ServiceSettings`, and a number or null. It listens on a Unix socket without a token.
"""

import ctypes
import json
import os
import signal
import sys

from executor.api import open_local
from executor.service.app import create_app
from executor.service.logs import log_as_json
from executor.service.server import listen, serve
from executor.service.settings import ServiceSettings

_PR_SET_PDEATHSIG = 1


def main(settings: ServiceSettings, *, time_factor: float | None, parent: int) -> int:
    """Serve until a signal, or the end of `parent`; returns the exit code, 1 after a line on what does not work.

    That the sandboxes have failed ends it too: then `NodeService` starts it again.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        return 1
    log_as_json()
    try:
        with open_local(settings.backend, hash_seed=settings.hash_seed, time_factor=time_factor) as executor:
            listener, _ = listen(settings)
            with listener:
                serve(create_app(executor, settings, None), settings, listener)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    given = ServiceSettings(**json.loads(sys.argv[1]))
    sys.exit(main(given, time_factor=json.loads(sys.argv[2]), parent=int(sys.argv[3])))
