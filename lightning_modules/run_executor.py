"""The executor of a training run: opened when first needed, recorded in the run, closed at its end."""

import logging

from lightning.pytorch import Trainer

from executor.client import Executor, open_executor
from lightning_modules.run_logger import RunLogger
from lightning_modules.run_record import ExecutorRecord

TIME_FACTOR_TAG = "executor/time_factor"
_log = logging.getLogger(__name__)


class RunExecutor:
    """Opens `backend` once.

    Args:
        backend: `auto`, or a backend by name or address.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._opened: Executor | None = None

    def open(self, trainer: Trainer) -> Executor:
        """Return the executor; the first call opens it and writes into the run what it is.

        A resumed run stretches limits by the factor it began with, so that the same programs run out of time.

        Raises:
            ValueError: the backend does not work here; one line.
        """
        if self._opened is None:
            run_loggers = [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
            recorded = next(iter(run_loggers)).recorded_executor() if run_loggers else None
            time_factor = None if recorded is None else recorded.time_factor
            self._opened = open_executor(self._backend, time_factor=time_factor)
            self._tell(trainer, self._opened, recorded)
        return self._opened

    def close(self) -> None:
        """End what was opened; it may be opened again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _tell(self, trainer: Trainer, executor: Executor, recorded: ExecutorRecord | None) -> None:
        if recorded is not None and recorded.time_factor != executor.time_factor:
            _log.warning(
                "executor: it stretches limits of time by %g, and the run so far had %g: other programs may time out",
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
