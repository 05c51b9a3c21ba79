"""Parse what `atomforge fit` will be asked later, by a study or on a cluster, so that a mistake is told at once."""

from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from cli.config.cli import AtomforgeCLI


class _Parsed(Exception):
    pass


class _ParsingCLI(AtomforgeCLI):
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        raise _Parsed


def check_fit(arguments: list[str]) -> None:
    """Check files, keys and values of an `atomforge fit` and build nothing.

    Args:
        arguments: its words, without `fit`.

    Raises:
        UsageError: as the command itself would.
    """
    try:
        _ParsingCLI("fit", arguments, run=False)
    except _Parsed:
        return
