"""Null for nested keys on the command line."""

import pytest
import yaml

from cli.config.nulls import with_nulls
from cli.main import main

KL = '{"model": {"init_args": {"kl": {"target": null}}}}'


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        (["--model.init_args.kl.target", "null"], ["--config", KL]),
        (["--model.init_args.kl.target=null", "--x", "1"], ["--config", KL, "--x", "1"]),
        (["--model.init_args.kl.target", "3"], ["--model.init_args.kl.target", "3"]),
        (["--model.init_args.kl.target=3"], ["--model.init_args.kl.target=3"]),
        (["--model.init_args.lora", "null"], ["--model.init_args.lora", "null"]),
        (["--trainer.max_time", "null"], ["--trainer.max_time", "null"]),
        (["--model.init_args.kl.target"], ["--model.init_args.kl.target"]),
    ],
)
def test_what_is_handed_on(given: list[str], handed_on: list[str]) -> None:
    assert with_nulls(given) == handed_on


def test_the_later_of_two_values_wins(capsys: pytest.CaptureFixture[str]) -> None:
    key = "--model.init_args.kl.target"
    for words, target in ((["7", key, "null"], None), (["null", key, "7"], 7.0)):
        assert main(["fit", "--config", "ppo", key, *words, "--print_config"]) == 0
        assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["kl"]["target"] == target
