"""Start the worker: `python3 -s -P -S -B PATH/TO/sandbox SPEC_JSON [SOCKET]`.

With SOCKET (in a container), take the host's Unix socket for standard input and output first: the engine's own streams
pass through a relay that costs more than a fork. The host listens for this one connection only, and removes the socket
once it is made, before any candidate runs. Standard library only.
"""

import os
import socket
import sys

FLAGS = ("-s", "-P", "-S", "-B")
"""`-I -S` taken apart: `-I` would make Python ignore PYTHONHASHSEED, the only variable there."""


def connect_standard_streams(path: str) -> None:
    """Make a connection to a Unix socket standard input and output."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    for standard in (0, 1):
        os.dup2(connection.fileno(), standard)
    connection.close()


def main() -> None:
    """Connect where a socket is named, and start again without the container's environment; else run the worker."""
    spec, *socket_path = sys.argv[1:]
    if socket_path:
        connect_standard_streams(socket_path[0])
        environment = {"PYTHONHASHSEED": os.environ["PYTHONHASHSEED"]}
        os.execve(sys.executable, [sys.executable, *FLAGS, sys.argv[0], spec], environment)
    folder = os.path.abspath(sys.argv[0])
    sys.path[0] = os.path.dirname(folder)
    from sandbox.worker import main as run_worker  # pyright: ignore[reportMissingImports]

    del sys.path[0]
    run_worker()


if __name__ == "__main__":
    main()
