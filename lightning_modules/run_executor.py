"""The executor of a training run: opened when first needed, recorded in the run, closed at its end."""

from lightning.pytorch import Trainer

from executor.client import Executor, open_executor
from lightning_modules.run_logger import RunLogger

TIME_FACTOR_TAG = "executor/time_factor"


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

        Raises:
            ValueError: the backend does not work here; one line.
        """
        if self._opened is None:
            self._opened = open_executor(self._backend)
            for logger in trainer.loggers:
                logger.log_metrics({TIME_FACTOR_TAG: self._opened.time_factor}, max(0, trainer.global_step - 1))
                if isinstance(logger, RunLogger):
                    logger.record_executor(self._opened.description, time_factor=self._opened.time_factor)
        return self._opened

    def close(self) -> None:
        """End what was opened; it may be opened again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
