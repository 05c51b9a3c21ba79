"""A container as a sandbox: how it ends, why it ended, and the removal of containers whose owner was killed."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.backends.docker.channel import LOG_CHARS, Channel

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "atomforge.executor"
"""Label of the containers; its value identifies the process that started them."""
EXIT_TIMEOUT_S = 2.0
_POLL_S = 0.025
_SIGKILL_CODE = 137

_log = logging.getLogger(__name__)


class DockerSandbox:
    """A sandbox that is a container."""

    def __init__(self, container: "Container", channel: Channel):
        self._container = container
        self._channel = channel
        container.reload()
        self.root_pid = int(container.attrs["State"]["Pid"])
        self.requests_fd = channel.requests_fd
        self.replies_fd = channel.replies_fd
        self.killed_from_outside = False

    def decode_replies(self, data: bytes) -> bytes:
        return self._channel.decode_replies(data)

    def kill(self) -> str:
        from docker.errors import DockerException, NotFound

        was_broken = self._channel.has_broken()
        self._channel.close()
        stderr_tail = ""
        try:
            state = self._wait_for_exit()
            if not state["Running"]:
                # Process 1 of a PID namespace cannot receive SIGKILL from within the namespace.
                self.killed_from_outside = state["ExitCode"] == _SIGKILL_CODE and not state["OOMKilled"]
                stderr_tail = self._channel.read_stderr(self._container)
            # Its stream ended, but the worker still runs, or has ended as it does at the end of its stream.
            self.killed_from_outside |= was_broken and (state["Running"] or state["ExitCode"] == 0)
        except NotFound:
            self.killed_from_outside = True  # nothing inside a container can remove it
        except DockerException as error:
            self.killed_from_outside = True  # the engine is gone
            _log.warning("the engine did not report how a container ended: %s", one_line(error))
        remove(self._container)
        return stderr_tail

    def _wait_for_exit(self) -> dict[str, Any]:
        """Poll the state until the container has exited: the engine notices that later than our socket does.

        A worker that is still busy after `EXIT_TIMEOUT_S` is reported as running.
        """
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        while True:
            self._container.reload()
            state = self._container.attrs["State"]
            if not state["Running"] or time.monotonic() > deadline:
                return state
            time.sleep(_POLL_S)


def remove_orphans(client: "DockerClient") -> None:
    """Remove exited containers whose owner was killed before it could remove them."""
    filters: dict[str, str | list[str] | bool] = {"label": LABEL, "status": "exited"}
    # other processes remove theirs between the listing and its details
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        pid, _, identity = container.labels[LABEL].partition(".")
        if not pid.isdigit() or process_identity(int(pid)) != identity:
            remove(container)


def process_identity(pid: int) -> str:
    """Return what identifies a process, unlike its PID never reused: boot id and start tick, or (macOS) its start time.

    Returns:
        `-` if there is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil  # here, so that the package is needed only where /proc does not name the process

        try:
            return str(psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return "-"
    return f"{boot}.{stat[stat.rindex(')') + 2 :].split()[19]}"


def remove(container: "Container") -> None:
    """Remove a container that runs or has exited; a failure is logged."""
    from docker.errors import APIError, DockerException

    try:
        container.remove(force=True)
    except DockerException as error:
        if not isinstance(error, APIError) or error.status_code not in (404, 409):  # gone, or being removed
            _log.warning("a container could not be removed: %s", one_line(error))


def one_line(error: BaseException) -> str:
    """Shorten an error to one line: what the engine said, without the address of the request."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())[:LOG_CHARS]
