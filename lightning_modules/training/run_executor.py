"""The executor of a training run: opened when first needed, recorded in the run, closed at its end."""

import logging
import secrets
from pathlib import Path

from lightning.pytorch import Trainer

from executor.api import BACKENDS, Executor, is_backend, open_executor
from executor.service.per_node import NodeService, get_service_folder, open_node_executor, parse_node_backend
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.run_record import ExecutorRecord

TIME_FACTOR_TAG = "executor/time_factor"
_log = logging.getLogger(__name__)


class RunExecutor:
    """Opens `backend` once.

    Args:
        backend: `auto`, a backend by name or address; or `per_node`, `per_node:BACKEND`: one service per node.

    Raises:
        ValueError: there is no such backend, or a service cannot have it; one line.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._behind = parse_node_backend(backend)
        if self._behind is None and not is_backend(backend):
            raise ValueError(f"executor_backend is {backend!r}: it must be one of per_node, {', '.join(BACKENDS)}")
        self._service: NodeService | None = None
        self._folder: Path | None = None
        self._opened: Executor | None = None

    def prepare(self, trainer: Trainer) -> None:
        """Start the service of this node, where there is to be one; all ranks call this together, before `open`.

        Raises:
            ValueError: the packages of the service are not installed.
        """
        if self._behind is None or self._folder is not None:
            return
        job = trainer.strategy.broadcast(secrets.token_hex(8))
        self._folder = get_service_folder(job, trainer.node_rank)
        if trainer.local_rank == 0:
            recorded = _recorded_executor(trainer)
            self._service = NodeService(
                self._folder,
                backend=self._behind,
                log=Path(trainer.default_root_dir, f"executor_{trainer.node_rank}.log"),
                time_factor=None if recorded is None else recorded.time_factor,
            )

    def open(self, trainer: Trainer) -> Executor:
        """Return the executor; the first call opens it and writes into the run what it is.

        A resumed run stretches limits by the factor it began with, so that the same programs run out of time.

        Raises:
            ValueError: the backend does not work here; one line.
        """
        if self._opened is None:
            recorded = _recorded_executor(trainer)
            self._opened = self._open(None if recorded is None else recorded.time_factor)
            self._tell(trainer, self._opened, recorded)
        return self._opened

    def close(self) -> None:
        """End what was opened and started; it may be opened again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._service is not None:
            self._service.close()
            self._service = None
        self._folder = None

    def _open(self, time_factor: float | None) -> Executor:
        if self._behind is None:
            return open_executor(self._backend, time_factor=time_factor)
        assert self._folder is not None, "prepare comes before open"
        return open_node_executor(self._folder) if self._service is None else self._service.open()

    def _tell(self, trainer: Trainer, executor: Executor, recorded: ExecutorRecord | None) -> None:
        if recorded is not None and recorded.time_factor != executor.time_factor:
            _log.warning(
                "executor: time_factor is %g, but was %g so far in this run: other programs may time out",
                *(executor.time_factor, recorded.time_factor),
            )
        step = max(0, trainer.global_step - 1)
        for logger in trainer.loggers:
            if not isinstance(logger, RunLogger):
                logger.log_metrics({TIME_FACTOR_TAG: executor.time_factor}, step)
                continue
            if recorded is None or logger.has_purged(recorded.step):
                logger.log_metrics({TIME_FACTOR_TAG: executor.time_factor}, step)
            else:
                step = recorded.step
            logger.record_executor(
                ExecutorRecord(description=executor.description, time_factor=executor.time_factor, step=step)
            )


def _recorded_executor(trainer: Trainer) -> ExecutorRecord | None:
    """Read from the run what ran its programs before this start; None where nothing did."""
    return next((logger.recorded_executor() for logger in trainer.loggers if isinstance(logger, RunLogger)), None)
