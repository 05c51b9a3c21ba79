"""Public API of the executor: the protocol, `open_executor` and `grade`."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from executor.backends.base import Backend
from executor.backends.bubblewrap import BubblewrapBackend
from executor.backends.docker.backend import DockerBackend, DockerConfig
from executor.backends.plugin import load_backend
from executor.backends.process import ProcessBackend
from executor.grading.grader import Grading, LocalGrading, OnError, OnOutcome
from executor.grading.rewards import RewardConfig
from executor.machine import count_cores
from executor.pool.calibration import (
    STARTUP_LIMITS,
    build_calibration_runs,
    compute_time_factor,
    find_calibration_error,
)
from executor.pool.lifecycle import PoolStats
from executor.pool.pool import SandboxPool
from executor.pool.queue import JobQueue, run_all
from executor.types import DEFAULT_LIMITS, Execution, Limits, Outcome, Run, Submission

LOCAL_BACKENDS = ("auto", "docker", "bubblewrap", "process")
BACKENDS = (*LOCAL_BACKENDS, "http://HOST:PORT", "http+unix:///SOCKET", "my_module.MyBackend")
"""The forms of a backend's name, for help texts."""
_SERVICES = ("http://", "http+unix://")
DEFAULT_DOCKER = DockerConfig()
MAX_CUDA_WORKERS = 4
"""Programs that share the sandboxes' GPU at a time: each context takes about 0.5 GiB of it."""
_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Runs and grades programs. A context manager; `close` ends its sandboxes and threads."""

    @property
    def description(self) -> str:
        """What runs the programs and which protection it lacks."""
        ...

    @property
    def time_factor(self) -> float:
        """How many times longer than on the reference machine a program may take here, at least 1.0."""
        ...

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = ...,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        """One execution for each run, in their order; `on_result` gets (position, execution) as each one ends."""
        ...

    def grading(
        self, limits: Limits = ..., *, rewards: RewardConfig | None = None, on_result: OnOutcome | None = None
    ) -> Grading:
        """Open a batch to be graded while it grows.

        Args:
            limits: hold for each program.
            rewards: fill `Outcome.reward` by these.
            on_result: called with (position, outcome) as each one ends, in a thread of the executor; it must be quick.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *_: object) -> None: ...


class LocalExecutor:
    """The `Executor` of this process: a pool of sandboxes per profile.

    The pool of the profile `cpu` exists from the start, the others from the first program that needs one.
    """

    def __init__(self, backend: Backend, *, num_workers: int, time_factor: float = 1.0):
        self.pool = SandboxPool(backend, num_workers=num_workers, time_factor=time_factor)
        self._num_workers = num_workers
        self._profiles: dict[str, tuple[Backend, SandboxPool]] = {"cpu": (backend, self.pool)}
        self._lock = threading.RLock()

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def description(self) -> str:
        return f"{self.pool.description}; times x {self.time_factor:g}"

    @property
    def time_factor(self) -> float:
        return self.pool.time_factor

    @time_factor.setter
    def time_factor(self, factor: float) -> None:
        self.pool.time_factor = factor

    @property
    def is_open(self) -> bool:
        """Whether it accepts programs of every profile opened so far."""
        return all(pool.is_open for _, pool in list(self._profiles.values()))

    def stats(self) -> PoolStats:
        """Return the state and counters of the pool of the profile `cpu`, checks included."""
        return self.pool.stats()

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        return run_all(self.queue(), runs, limits, on_result)

    def queue(self) -> JobQueue:
        """Create a queue for a client, for programs of all profiles."""
        return JobQueue(self.open_profile)

    def grading(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
        on_error: OnError | None = None,
    ) -> LocalGrading:
        """Open a batch (see `Executor`); `on_error` is for callers that do not wait for `outcomes`."""
        return LocalGrading(self.queue(), limits=limits, rewards=rewards, on_result=on_result, on_error=on_error)

    def close(self) -> None:
        with self._lock:
            profiles = list(self._profiles.values())
        for backend, pool in profiles:
            pool.close()
            backend.close()

    def open_profile(self, profile: str) -> SandboxPool:
        """Return the pool of a profile; open it first if needed and check that it runs a program.

        Raises:
            ValueError: the profile does not work on this machine.
        """
        with self._lock:
            if profile not in self._profiles:
                self._profiles[profile] = self._start_profile(profile)
            return self._profiles[profile][1]

    def _start_profile(self, profile: str) -> tuple[Backend, SandboxPool]:
        backend = self._profiles["cpu"][0].with_profile(profile)
        if profile == "cuda":
            from executor.backends.gpu.limit import GpuLimitedBackend

            backend = GpuLimitedBackend(backend)
        num_workers = min(self._num_workers, MAX_CUDA_WORKERS) if profile == "cuda" else self._num_workers
        pool = SandboxPool(backend, num_workers=num_workers, time_factor=self.time_factor, profile=profile)
        problem = find_calibration_error(pool.run(build_calibration_runs()[:1], STARTUP_LIMITS)[0])
        if problem is not None:
            pool.close()
            backend.close()
            raise ValueError(f"profile {profile} does not work under {backend.name}: {pool.last_loss or problem}")
        _log.info("executor: %s", pool.description)
        return backend, pool


def is_backend(name: str) -> bool:
    """Whether a text has the form of a backend's name; nothing is opened."""
    return name in LOCAL_BACKENDS or name.startswith(_SERVICES) or "." in name


def open_executor(
    backend: str = "auto",
    *,
    num_workers: int | None = None,
    hash_seed: int = 0,
    token: str | None = None,
    docker: DockerConfig = DEFAULT_DOCKER,
    time_factor: float | None = None,
) -> Executor:
    """Open an executor and prove that it runs a program.

    Args:
        backend: `docker`, `bubblewrap`; `process`, which protects nothing; `auto`, the best sandbox that works, never
            `process`; the address of a service, `http://HOST:PORT` or `http+unix:///SOCKET`; or the dotted path of a
            backend's class.
        num_workers: programs at the same time; default: the cores this process may use. A service has its own.
        hash_seed: PYTHONHASHSEED of the programs, 0 to 4294967295. That of a service must be the same.
        token: of a service; default: the environment's ATOMFORGE_EXECUTOR_TOKEN.
        docker: what the containers are like.
        time_factor: as found before, at least 1.0; None = to be found now. A service keeps its own.

    Raises:
        ValueError: no such backend, or it does not work here.
    """
    if backend.startswith(_SERVICES):
        from executor.service.client import HttpExecutor

        return HttpExecutor(backend, token=token, hash_seed=hash_seed)
    return open_local(backend, num_workers=num_workers, hash_seed=hash_seed, docker=docker, time_factor=time_factor)


def open_local(
    backend: str = "auto",
    *,
    num_workers: int | None = None,
    hash_seed: int = 0,
    docker: DockerConfig = DEFAULT_DOCKER,
    time_factor: float | None = None,
) -> LocalExecutor:
    """Open an executor in this process; arguments and errors as of `open_executor`."""
    if not is_backend(backend):
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if not 0 <= hash_seed < 1 << 32:
        raise ValueError(f"hash_seed must be within 0 and 4294967295, not {hash_seed}")
    if time_factor is not None and not time_factor >= 1.0:
        raise ValueError(f"time_factor must be at least 1.0, not {time_factor}")
    workers = count_cores() if num_workers is None else num_workers
    reasons: list[str] = []
    for name in ("docker", "bubblewrap") if backend == "auto" else (backend,):
        try:
            executor = _open_backend(name, workers=workers, hash_seed=hash_seed, docker=docker, time_factor=time_factor)
        except ValueError as error:
            reasons.append(str(error))
            continue
        chosen = "" if backend != "auto" else f" (auto: {reasons[0]})" if reasons else " (auto: the first choice)"
        log = _log.info if name in ("docker", "bubblewrap") else _log.warning
        log("executor: %s%s", executor.description, chosen)
        return executor
    advice = "; `process` runs without a sandbox and must be named" if backend == "auto" else ""
    raise ValueError(f"no sandbox: {'; '.join(reasons)}{advice}")


def _open_backend(
    name: str, *, workers: int, hash_seed: int, docker: DockerConfig, time_factor: float | None
) -> LocalExecutor:
    """Open one backend, prove that it runs a program, and find the factor of its time limits.

    Raises:
        ValueError: it does not work here.
    """
    backend: Backend
    if name == "docker":
        backend = DockerBackend(docker, hash_seed=hash_seed)
    elif name == "bubblewrap":
        backend = BubblewrapBackend(hash_seed=hash_seed)
    elif name == "process":
        backend = ProcessBackend(hash_seed=hash_seed)
    else:
        backend = load_backend(name, hash_seed=hash_seed)
    executor = LocalExecutor(backend, num_workers=workers)
    try:
        executions = executor.run(build_calibration_runs(), STARTUP_LIMITS)
        problem = next((found for found in map(find_calibration_error, executions) if found is not None), None)
        if problem is not None:
            raise ValueError(f"the backend {name} does not work here: {executor.pool.last_loss or problem}")
        executor.time_factor = compute_time_factor(executions) if time_factor is None else time_factor
    except BaseException:
        executor.close()
        raise
    return executor


def grade(
    executor: Executor,
    submissions: Sequence[Submission],
    limits: Limits = DEFAULT_LIMITS,
    on_result: OnOutcome | None = None,
    *,
    rewards: RewardConfig | None = None,
) -> list[Outcome]:
    """Extract the programs of completions, run them, and grade what they return.

    Args:
        executor: runs the programs; no sandbox of a program ever sees an expected value.
        submissions: completions with their tasks.
        limits: hold for each program.
        on_result: called with (position in `submissions`, outcome) as each one ends.
        rewards: fill `Outcome.reward` by these.

    Returns:
        One outcome for each submission, in their order.
    """
    with executor.grading(limits, rewards=rewards, on_result=on_result) as grading:
        for submission in submissions:
            grading.add(submission)
        return grading.outcomes()
