"""`atomforge study`: train and evaluate all arms of a study, keep going over interruptions.

`plan` says what a study is, `address` what an arm's numbers depend on, `arm` makes one arm in a process of its own,
`schedule` decides what runs when, `command` is the subcommand.
"""

from cli.commands.study import add_parser, run

__all__ = ["add_parser", "run"]
