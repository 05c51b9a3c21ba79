"""TensorBoard events of one run in one directory, over any number of resumes.

Lightning's own logger opens a new `version_N` at every start, which splits a curve at each resume. This one writes into
the directory it is given and tells TensorBoard to forget what a stopped run had logged beyond the restored checkpoint.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams as hparams_summaries


class RunLogger(TensorBoardLogger):
    """A TensorBoard logger for exactly `run_dir`.

    Lightning logs a metric of optimizer step n (counted from 0) at x = n, validation at that of the last step;
    so a checkpoint after N steps owns the points x < N, and those from N on are written again. What is logged past
    `self.log` (texts) has to keep to this: x = `trainer.global_step - 1` once the step is taken.

    Args:
        run_dir: the directory of the run.
        purge_step: the restored number of optimizer steps; 0 for a run that starts anew.
    """

    def __init__(self, run_dir: str | Path, *, purge_step: int = 0) -> None:
        super().__init__(save_dir=str(run_dir), name="", version="", default_hp_metric=False, purge_step=purge_step)
        self._write_hparams = purge_step == 0

    @property
    def log_dir(self) -> str:
        """The directory of the run itself."""
        return str(self._root_dir)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: dict[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Remember them for `hparams.yaml`; the first call of a new run also shows them in TensorBoard."""
        super().log_hyperparams(params, metrics, step)
        if self._write_hparams:
            self._write_hparams = False
            plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in self.hparams.items()}
            writer = self.experiment._get_file_writer()
            for summary in hparams_summaries(plain, {}):
                writer.add_summary(summary)

    @rank_zero_only
    def record_executor(self, description: str, *, time_factor: float) -> None:
        """Write into `executor.yaml` what runs the programs, and by how much limits are stretched for this machine."""
        target = Path(self.log_dir) / "executor.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.tmp")
        text = yaml.safe_dump({"description": description, "time_factor": time_factor}, sort_keys=False, width=1000)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(target)
