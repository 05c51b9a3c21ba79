"""What `atomforge fit --help` says before its list of keys: how they are given, and which files are shipped."""

from lightning.pytorch.cli import LightningArgumentParser

from cli.config.names import shipped_names

_DOES = {
    "fit": "Train a model: supervised (`--config sft`) or by reinforcement learning (`--config ppo`).",
    "validate": "Run the validation of a config on a checkpoint.",
    "test": "Run the test of a config on a checkpoint.",
}
_HOW = (
    "Every key below may stand in a YAML file or on the command line; later files lie over earlier ones, and options "
    "over all files. Files are given by path or, those that are shipped, by name: {names}. The comments in them say "
    "what each key is. --print_config prints what all of it comes to. Keys of the model and the data: "
    "--model.help lightning_modules.sft_module.SFTModule (or .rl_module.RLModule), "
    "--data.help datamodules.sft_data.SFTDataModule (or .rl_data.RLDataModule)."
)
_FROM = {
    True: "last: go on from the newest checkpoint of run_dir, or start where there is none; or that .ckpt by its path",
    False: "what is judged: last, the newest checkpoint of run_dir; the directory of another run; or a .ckpt file",
}
"""What `--ckpt_path` takes, of `fit` and of the other two."""
_LAYERS = ("sft", "ppo", "rl/", "model/", "cluster/", "tensor_")


def introduce(parser: LightningArgumentParser, subcommand: str) -> None:
    """Put a usage of one line and our words in the place of a list of all options."""
    names = [name for name in shipped_names() if name.startswith(_LAYERS) and name != "cluster/slurm"]
    checkpoint = "[--ckpt_path last]" if subcommand == "fit" else "--ckpt_path last|RUN|FILE.ckpt"
    parser.usage = f"atomforge {subcommand} --config FILE [--config FILE ...] [--KEY VALUE ...] {checkpoint}"
    for action in parser._actions:
        if action.dest == "ckpt_path":
            action.help = _FROM[subcommand == "fit"]
    parser.description = f"{_DOES[subcommand]} {_HOW.format(names=', '.join(names))}"
