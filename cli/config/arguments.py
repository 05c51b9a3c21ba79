"""The keys of `fit`, `validate` and `test` other than `trainer`, `model` and `data`, their help, and their ranges.

Values are not read here; unknown keys are reported by `cli.config.errors`.
"""

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from cli.config.files import list_shipped
from executor.commands.errors import UsageError
from lightning_modules.training.checkpointing import RunCheckpoint
from lightning_modules.training.logging.rollout_log import LogRollouts

_ABOUT = {
    "fit": "Train a model: supervised (`--config sft`) or by reinforcement learning (`--config ppo` or `rl`).",
    "validate": "Run the validation of a config on a checkpoint.",
    "test": "Run the test of a config on a checkpoint.",
}
_HOW = (
    "Every key below can be set in a YAML file or on the command line; later files override earlier ones, and options "
    "override files. A file is given by its path or, if it is shipped, by its name: {names}. The comments in these "
    "files describe the keys. --print_config prints the resulting config. Keys of model and data: "
    "--model.help lightning_modules.sft_module.SFTModule (or .rl_module.RLModule), "
    "--data.help datamodules.sft_data.SFTDataModule (or .rl_data.RLDataModule)."
)
_CKPT_PATH = {
    True: "last: resume from the newest checkpoint of run_dir, or start if there is none; or the path of a .ckpt",
    False: "what is evaluated: last, the newest checkpoint of run_dir; the directory of another run; or a .ckpt file",
}
"""What `--ckpt_path` takes: of `fit`, and of the other two."""
_FILES_OF_TRAINING = ("sft", "ppo", "rl/", "code_", "model/", "cluster/", "tensor_")


def add_run_arguments(parser: LightningArgumentParser, subcommand: str) -> None:
    """Add the keys of a run, and set usage and description.

    Args:
        parser: of the subcommand.
        subcommand: fit, validate or test.
    """
    is_fit = subcommand == "fit"
    parser.add_argument("--run_dir", type=str, required=True, help="directory of events, config and checkpoints")
    parser.add_argument(
        "--num_threads", type=int | None, default=None, help="CPU threads of torch; null: measure the fastest"
    )
    parser.add_argument("--ckpt_path", type=str | None, default=None, help=_CKPT_PATH[is_fit])
    parser.add_lightning_class_args(RunCheckpoint, "checkpoint")
    parser.add_lightning_class_args(LogRollouts, "log_rollouts")
    parser.link_arguments("run_dir", "checkpoint.run_dir")
    parser.link_arguments("run_dir", "log_rollouts.run_dir")
    names = [name for name in list_shipped() if name.startswith(_FILES_OF_TRAINING) and name != "cluster/slurm"]
    checkpoint = "[--ckpt_path last]" if is_fit else "--ckpt_path last|RUN|FILE.ckpt"
    parser.usage = f"atomforge {subcommand} --config FILE [--config FILE ...] [--KEY VALUE ...] {checkpoint}"
    parser.description = f"{_ABOUT[subcommand]} {_HOW.format(names=', '.join(names))}"


def check_ranges(config: Namespace) -> None:
    """Check values that Lightning and torch accept and then fail on.

    Raises:
        UsageError: naming the key.
    """
    if config.num_threads is not None and config.num_threads < 1:
        raise UsageError(f"num_threads is {config.num_threads}; it must be at least 1, or null")
    seed = config.seed_everything
    if not isinstance(seed, bool) and isinstance(seed, int) and not 0 <= seed < 1 << 32:
        raise UsageError(f"seed_everything is {seed}; it must be a whole number from 0 to {(1 << 32) - 1}")
    every = config.trainer.check_val_every_n_epoch
    if every is not None and every < 1:
        raise UsageError(
            f"trainer.check_val_every_n_epoch is {every}; it must be at least 1 (`--trainer.limit_val_batches 0` turns "
            "validation off)"
        )
