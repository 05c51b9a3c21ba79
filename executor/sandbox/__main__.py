"""Start the worker: `python3 FLAGS PATH_TO_PACKAGE SPEC_JSON [SOCKET | -]`.

SOCKET is the path of a Unix socket on which the host listens for exactly this connection. A containerised worker uses
it instead of standard input and output, because the streams of a container engine pass through a relay, which costs
time. The host removes the socket once the connection is made, before any candidate runs. `-` keeps standard input and
output, in a container whose engine cannot share a socket with the host.
"""

import importlib
import os
import sys

FLAGS = ("-s", "-P", "-S", "-B")
"""Interpreter options: `-I -S` without ignoring PYTHONHASHSEED, the only environment variable of a worker."""
STANDARD_STREAMS = "-"


def connect_standard_streams(path: str) -> None:
    """Connect standard input and output to a Unix socket."""
    import socket  # not at the top: each module that the worker loads slows down its forks

    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    for fd in (0, 1):
        os.dup2(connection.fileno(), fd)
    connection.close()


def main() -> None:
    """Run the worker; in a container, connect first and re-execute without the container's environment."""
    spec, *channel = sys.argv[1:]
    if channel:
        if channel[0] != STANDARD_STREAMS:
            connect_standard_streams(channel[0])
        environment = {"PYTHONHASHSEED": os.environ["PYTHONHASHSEED"]}
        os.execve(sys.executable, [sys.executable, *FLAGS, sys.argv[0], spec], environment)
    sys.path[0], package = os.path.split(os.path.abspath(sys.argv[0]))  # `sandbox` here, `app` in a sandbox
    worker = importlib.import_module(f"{package}.worker")
    del sys.path[0]
    worker.main(spec)


if __name__ == "__main__":
    main()
