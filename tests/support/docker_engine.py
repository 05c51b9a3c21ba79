"""The Docker engine of the tests: found, or started where we are root and it is installed; the image built if missing.

An engine that is started here ends when the last test process has left it; one that answered before is left as it was.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

from executor.backends.docker.container import LABEL
from executor.backends.docker.image import DEFAULT_TAG, OFFLINE_BASE_TAG, build_image, check_image, make_offline_base
from tests.support.wait import wait_until

START_TIMEOUT_S = 90.0
_START_LOCK, _USE_LOCK = (Path(tempfile.gettempdir(), f"atomforge-tests-engine.{name}") for name in ("start", "use"))
"""Files to lock: one by a process that starts an engine, builds its image or ends it; one by all that use it."""


class NoEngine(Exception):
    """There is no engine and none can be started; the text says why."""


@contextmanager
def running_engine() -> Iterator[docker.DockerClient]:
    """A connection to an engine that has the image of the sandboxes.

    Raises:
        NoEngine: none answers and none can be started here.
    """
    if os.environ.get("ATOMFORGE_SKIP_DOCKER_TESTS") == "1":
        raise NoEngine("ATOMFORGE_SKIP_DOCKER_TESTS=1")
    with _USE_LOCK.open("w") as in_use, ExitStack() as stack:
        with _locked(_START_LOCK):
            client = answering()
            if client is None:
                if "DOCKER_HOST" in os.environ:
                    raise NoEngine(f"no engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
                stack.enter_context(_started_engine_for_all(in_use))
                client = answering()
                assert client is not None
            ensure_image(client)
            fcntl.flock(in_use, fcntl.LOCK_SH)
        yield client


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for a file's lock and hold it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _started_engine_for_all(in_use: IO[str]) -> Iterator[None]:
    """Start an engine; end it when no other test process uses it any more."""
    with ExitStack() as stack:
        stack.enter_context(started_engine())
        yield
        with _locked(_START_LOCK):
            fcntl.flock(in_use, fcntl.LOCK_EX)
            stack.close()


def answering(url: str | None = None) -> docker.DockerClient | None:
    """Connect to the engine of this user (or at a URL); None where none answers."""
    try:
        return docker.from_env(timeout=600) if url is None else docker.DockerClient(base_url=url, timeout=600)
    except DockerException:
        return None


def is_answering(url: str | None) -> bool:
    """Whether an engine answers."""
    client = answering(url)
    if client is not None:
        client.close()
    return client is not None


@contextmanager
def started_engine(folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start `dockerd` and wait until it answers.

    Args:
        folder: all it writes lies there, its socket too (`docker.sock`); None: the machine's own places.

    Raises:
        NoEngine: we are not root, it is not installed, or it does not come up.
    """
    program = shutil.which("dockerd")
    if program is None:
        raise NoEngine("no Docker engine answers and dockerd is not installed")
    if os.geteuid() != 0:
        raise NoEngine("no Docker engine answers and only root could start one")
    command = [program, "--bridge", "none", "--iptables=false"]
    if folder is not None:
        # An engine without a bridge removes that of the machine's own engine, unless it has a network of its own.
        command = ["unshare", "--net", *command]
        command += ["--host", f"unix://{folder}/docker.sock", "--pidfile", f"{folder}/docker.pid"]
        command += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_answering(process, None if folder is None else f"unix://{folder}/docker.sock", log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_answering(process: subprocess.Popen[bytes], url: str | None, log) -> None:
    """Wait for an engine that was started.

    Raises:
        NoEngine: it has ended, or does not answer in time.
    """
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: is_answering(url) or process.poll() is not None, START_TIMEOUT_S)
    if process.poll() is None and is_answering(url):
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    raise NoEngine(f"dockerd does not come up: {lines[-1] if lines else 'it wrote nothing'}")


def ensure_image(client: docker.DockerClient) -> None:
    """Build the image unless it is current, on an offline base that is made if needed."""
    try:
        check_image(client, DEFAULT_TAG)
    except ValueError:
        try:
            client.images.get(OFFLINE_BASE_TAG)
        except ImageNotFound:
            make_offline_base(client, tag=OFFLINE_BASE_TAG)
        build_image(client, base_image=OFFLINE_BASE_TAG, tag=DEFAULT_TAG)


def own_containers(client: docker.DockerClient, *, all: bool = False) -> list[Container]:
    """List the containers of sandboxes that this process started; with `all` also those that have ended."""
    containers = client.containers.list(all=all, filters={"label": LABEL}, ignore_removed=True)
    return [container for container in containers if container.labels[LABEL].startswith(f"{os.getpid()}.")]
