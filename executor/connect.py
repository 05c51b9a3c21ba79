"""Runs first in a container: takes the host's Unix socket for standard input and output, then becomes the worker.

    python3 -s -P -S -B connect.py SOCKET PROGRAM [ARGUMENT ...]

The engine's own streams pass through a relay that costs more than a fork; a socket does not. The host listens for this
one connection only, and removes the socket when it is made, before any candidate runs. Standard library only.
"""

import os
import socket
import sys


def main() -> None:
    """Connect and become the program, with PYTHONHASHSEED as the only variable."""
    path, *command = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    for standard in (0, 1):
        os.dup2(connection.fileno(), standard)
    connection.close()
    environment = {"PYTHONHASHSEED": os.environ["PYTHONHASHSEED"]}
    os.execve(sys.executable, [sys.executable, *command], environment)


if __name__ == "__main__":
    main()
