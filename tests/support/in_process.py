"""An executor for unit tests: runs programs in this very process, nothing contained, no limits."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from executor.sandbox.codec import decode_value, encode_value
from executor.types import CallResult, Execution, Limits, Run, Status


class InProcess:
    description = "in this process, for tests of trusted programs"

    def __init__(self, hash_seed: int = 0) -> None:
        self.hash_seed = hash_seed
        self.num_runs = 0

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits | None = None,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        self.num_runs += len(runs)
        return [self._execute(run) for run in runs]

    def close(self) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _execute(self, run: Run) -> Execution:
        start = time.perf_counter()
        namespace: dict[str, Any] = {"HASH_SEED": self.hash_seed}
        try:
            exec(compile(run.source, "candidate", "exec"), namespace)
            function = namespace[run.entry_point]
        except Exception as error:
            return Execution(failure=Status.LOAD_ERROR, results=(), duration_s=0.0, detail=str(error))
        results = []
        for call in run.calls:
            try:
                results.append(CallResult(value=encode_value(function(*[decode_value(arg) for arg in call]))))
            except Exception as error:
                results.append(CallResult(error=type(error).__name__))
        return Execution(failure=None, results=tuple(results), duration_s=time.perf_counter() - start)
