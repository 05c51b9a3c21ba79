"""Watch an executor from outside: memory, descriptors, processes, containers; and end its containers at random."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.soak_report import Sample
from executor.backends.docker import LABEL

SAMPLE_S = 5.0


class Watch:
    """Samples a process and all that it started, every few seconds, in a thread."""

    def __init__(self, pid: int, backend: str):
        self.samples: list[Sample] = []
        self.num_checks = 0
        self._pid = pid
        self._started = time.monotonic()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._client = docker_client() if backend == "docker" else None

    @contextlib.contextmanager
    def running(self) -> Iterator["Watch"]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._done.set()
            thread.join()

    def count(self) -> None:
        with self._lock:
            self.num_checks += 1

    def sample(self) -> None:
        seconds = time.monotonic() - self._started
        before = self.samples[-1] if self.samples else None
        num_new, span = (
            self.num_checks - (before.num_checks if before else 0),
            seconds - (before.seconds if before else 0),
        )
        tree = processes_of(self._pid)
        containers = [] if self._client is None else containers_of(self._client, self._pid)
        for container in containers:
            worker = self._client.api.inspect_container(container.id)["State"]["Pid"] if self._client else 0
            tree |= processes_of(worker) if worker else set()
        self.samples.append(
            Sample(
                seconds=seconds,
                num_checks=self.num_checks,
                memory_mib=sum(map(memory_bytes_of, tree)) / 2**20,
                num_fds=num_fds_of(self._pid),
                num_processes=len(tree),
                num_containers=len(containers),
                checks_per_s=num_new / span if span else 0.0,
            )
        )

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            with contextlib.suppress(Exception):  # a container ended while it was looked at
                self.sample()


@contextlib.contextmanager
def killing(pid: int, num_kills: int, num_programs: int, watch: Watch) -> Iterator[None]:
    """End containers of a process at random, spread over all of its programs."""
    client, done = docker_client(), threading.Event()
    moments = sorted(random.randrange(num_programs) for _ in range(num_kills))
    killed = []

    def shoot() -> None:
        while len(killed) < num_kills and not done.wait(0.005):
            if watch.num_checks >= moments[len(killed)] and (found := containers_of(client, pid)):
                with contextlib.suppress(Exception):  # it ended a moment ago: another one then
                    random.choice(found).kill()
                    killed.append(watch.num_checks)

    thread = threading.Thread(target=shoot)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print(f"{len(killed)} of {num_kills} containers ended from outside")


def docker_client():
    import docker

    return docker.from_env()


def containers_of(client, pid: int) -> list:
    """List the running containers that a process started."""
    containers = client.containers.list(filters={"label": LABEL})
    return [container for container in containers if container.labels[LABEL].startswith(f"{pid}.")]


def processes_of(pid: int) -> set[int]:
    """Find a process with all its descendants."""
    found, open_ends = set(), [pid]
    while open_ends:
        parent = open_ends.pop()
        found.add(parent)
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                open_ends += map(int, path.read_text().split())
    return found


def memory_bytes_of(pid: int) -> int:
    """Private and shared memory of a process, shared parts counted once among those who share."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
    return 0


def num_fds_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0
