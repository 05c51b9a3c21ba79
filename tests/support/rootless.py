"""Container engines that run as an ordinary user: podman's service and rootless Docker, started by root for that user.

The user exists only as long as the engine runs. All files lie in its home, which is removed with it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import DockerException

from executor.backends.docker.image import DEFAULT_TAG
from tests.support.docker_engine import NoEngine, is_answering
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]

USER = "atomforge-rootless-test"
START_TIMEOUT_S = 60.0
_PROGRAMS = {
    "podman": ("podman", "newuidmap", "runc"),
    "docker": ("dockerd", "rootlesskit", "newuidmap"),
}
_PODMAN = "exec podman system service --time=0 unix://$XDG_RUNTIME_DIR/podman/podman.sock"
_DOCKER = """
exec rootlesskit --net=host --copy-up=/etc --copy-up=/run --state-dir=$XDG_RUNTIME_DIR/kit sh -c "
  rm -f /run/docker /run/containerd
  exec dockerd --rootless --bridge none --iptables=false --host unix://$XDG_RUNTIME_DIR/docker.sock"
"""


@dataclass(frozen=True)
class RootlessEngine:
    """A running engine and its user."""

    url: str
    home: Path
    user_id: int

    def command(self, *words: str) -> list[str]:
        """Make a command that runs as the user, with an environment in which the engine has to be found."""
        environment = [f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home}/run", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        environment += [f"CONTAINERS_CONF={self.home}/containers.conf", "BUILDAH_RUNTIME=runc"]
        environment += [f"CONTAINERS_STORAGE_CONF={self.home}/storage.conf"]
        environment += [f"PYTHONPATH={ROOT}:{sysconfig.get_path('purelib')}"]
        change = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]
        return [*change, "env", "-i", f"--chdir={self.home}", *environment, *words]


@contextlib.contextmanager
def running_rootless_engine(kind: str, image_from: docker.DockerClient) -> Iterator[RootlessEngine]:
    """Start `podman` or `docker` as an ordinary user and give it the image of the sandboxes.

    Raises:
        NoEngine: we are not root, a program is missing, or the engine does not come up.
    """
    missing = [program for program in _PROGRAMS[kind] if shutil.which(program) is None]
    if os.geteuid() != 0:
        raise NoEngine("only root can make a user to run a rootless engine as")
    if missing:
        raise NoEngine(f"{missing[0]} is not installed: apt-get install podman uidmap rootlesskit docker.io")
    subprocess.run(["useradd", "--create-home", USER], check=True)
    try:
        entry = pwd.getpwnam(USER)
        home = Path(entry.pw_dir)
        _write_settings(home, entry.pw_uid)
        socket = home / "run" / ("podman/podman.sock" if kind == "podman" else "docker.sock")
        engine = RootlessEngine(f"unix://{socket}", home, entry.pw_uid)
        log = home / "engine.log"
        with log.open("wb") as output:
            command = engine.command("sh", "-c", _PODMAN if kind == "podman" else _DOCKER)
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: is_answering(engine.url) or process.poll() is not None, START_TIMEOUT_S)
            if not is_answering(engine.url):
                raise NoEngine(f"rootless {kind} does not come up: {log.read_text(errors='replace')[-300:]}")
            _load_image(image_from, engine.url)
            yield engine
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
    finally:
        _remove_user()


def _write_settings(home: Path, user_id: int) -> None:
    """Short paths, native overlay, and runc, because crun rejects machines that mix cgroup v1 and v2."""
    (home / "run/podman").mkdir(parents=True)
    (home / "containers.conf").write_text('[engine]\nruntime = "runc"\n', encoding="utf-8")
    (home / "storage.conf").write_text('[storage]\ndriver = "overlay"\n', encoding="utf-8")
    for path in (home / "run", home / "run/podman", home / "containers.conf", home / "storage.conf"):
        os.chown(path, user_id, user_id)
    (home / "run").chmod(0o700)


def _load_image(source: docker.DockerClient, url: str) -> None:
    client = docker.DockerClient(base_url=url, timeout=600)
    try:
        client.images.load(b"".join(source.images.get(DEFAULT_TAG).save(named=True)))
    except DockerException as error:
        raise NoEngine(f"the image cannot be loaded: {error}") from None
    finally:
        client.close()


def _remove_user() -> None:
    """Kill what the user still runs, and remove it with its home, some of which belongs to its other ids."""
    home = Path(pwd.getpwnam(USER).pw_dir)
    user_id = pwd.getpwnam(USER).pw_uid

    def find() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid == user_id:
                    found.append(int(path.name))
        return found

    for pid in find():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: not find(), 10)
    subprocess.run(["userdel", "--force", USER], check=False, capture_output=True)
    shutil.rmtree(home, ignore_errors=True)
