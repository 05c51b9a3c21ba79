"""Unknown keys, and reports of jsonargparse 4.53 as it wrote them."""

from dataclasses import dataclass

import pytest

from cli.config.cli import build_run
from cli.config.errors import SUBCLASS, KeyCheck, describe
from cli.config.renamed import RENAMED_KEYS
from executor.commands.errors import UsageError

UNION = (
    "  Does not validate against any of the Union subtypes\n  Subtypes: [<class 'X'>, <class 'NoneType'>]\n  Errors:\n"
)
NO_NULL = "    - Expected a <class 'NoneType'>\n"
GIVEN = "  Given value type: <class 'dict'>\n  Given value: {'init_args': {}}"
REPORTS = {
    "o.yaml: trainer.max_epochs is 'abc'; expected int or null": (
        f"Parser key \"trainer.max_epochs\":\n{UNION}    - Expected a <class 'int'>\n{NO_NULL}"
        "  Given value type: <class 'str'>\n  Given value: abc"
    ),
    "o.yaml: trainer.precision is '9'; expected 64, 32 or '16', 'bf16' or null": (
        f'Parser key "trainer.precision":\n{UNION}    - Expected a typing.Literal[64, 32]\n'
        f"    - Expected a typing.Literal['16', 'bf16']\n{NO_NULL}  Given value type: <class 'str'>\n  Given value: 9"
    ),
    "o.yaml: model.init_args.width is 'abc'; expected int": (
        f'Parser key "model":\n{UNION}    - Parser key "width":\n'
        f"        Expected a <class 'int'>. Got value: abc\n{NO_NULL}{GIVEN}"
    ),
    "o.yaml: model: Import path a.B does not correspond to a subclass of LightningModule": (
        f'Parser key "model":\n{UNION}'
        f"    - Import path a.B does not correspond to a subclass of LightningModule\n{NO_NULL}{GIVEN}"
    ),
    "model.init_args.init_from is missing: give it in a --config file or as --model.init_args.init_from": (
        f'Parser key "model":\n{UNION}    - the following arguments are required: init_from\n{NO_NULL}{GIVEN}'
    ),
    "data, model are missing: give them in a --config file or as --data": (
        "the following arguments are required: data, model"
    ),
    "run_dir is missing: give it in a --config file or as --run_dir": (
        "Parser key \"run_dir\":\n  Expected a <class 'str'>. Got value: None"
    ),
    "argument --x: expected one argument": "argument --x: expected\none argument",
}


@pytest.mark.parametrize(("line", "report"), REPORTS.items())
def test_report_becomes_one_line(line: str, report: str) -> None:
    check = KeyCheck({"trainer": {"max_epochs": None, "precision": None}, "model": SUBCLASS})
    check.check({"trainer": {"max_epochs": 1, "precision": 1}, "model": {"init_args": {}}}, origin="o.yaml")
    assert describe(report, check) == line


@dataclass
class Inner:
    rate: float = 0.1


class Model:
    def __init__(self, width: int = 1, inner: Inner | None = None) -> None: ...


class OpenModel:
    def __init__(self, **anything) -> None: ...


KNOWN = {"run_dir": None, "trainer": {"max_epochs": None, "precision": None}, "model": SUBCLASS}
MODEL = f"{__name__}.Model"


def check(*settings: dict) -> KeyCheck:
    checker = KeyCheck(KNOWN)
    for number, mapping in enumerate(settings):
        checker.check(mapping, origin=f"{number}.yaml")
    return checker


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"run_dri": "x"}, "0.yaml: unknown key run_dri; did you mean 'run_dir'?"),
        ({"zzz": {}}, "0.yaml: unknown key zzz"),
        ({"trainer": {"max_epoch": 1}}, "0.yaml: unknown key trainer.max_epoch; did you mean 'max_epochs'?"),
        ({"trainer": 3}, "0.yaml: trainer must be a mapping, not 3"),
        (
            {"model": {"class_path": MODEL, "init_arg": {}}},
            "0.yaml: unknown key model.init_arg; did you mean 'init_args'?",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": {"widht": 1}}},
            "0.yaml: unknown key model.init_args.widht; did you mean 'width'?",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": {"inner": {"rat": 1}}}},
            "0.yaml: unknown key model.init_args.inner.rat; did you mean 'rate'?",
        ),
        (
            {"model": {"class_path": f"{__name__}.Modle"}},
            f"0.yaml: model.class_path is {__name__}.Modle, but {__name__} has no class Modle; did you mean 'Model'?",
        ),
        (
            {"model": {"class_path": "no.such.Thing"}},
            "0.yaml: model.class_path is no.such.Thing, but there is no module no.such",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": None}},
            "0.yaml: model.init_args must be a mapping ({} for none), not None",
        ),
        (
            {"model": {"class_path": MODEL, "init_args": {"inner": 3}}},
            "0.yaml: model.init_args.inner must be a mapping, not 3",
        ),
        ({"model": 3}, "0.yaml: model must have class_path and init_args, not 3"),
    ],
)
def test_unknown_keys(settings: dict, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(settings)
    assert str(caught.value) == line


def test_good_settings_pass() -> None:
    check(
        {"run_dir": "x", "trainer": {"precision": "32"}, "model": {"class_path": MODEL, "init_args": {"width": 2}}},
        {"model": {"init_args": {"inner": {"rate": 1.0}}}},
        {"model": {"class_path": f"{__name__}.OpenModel", "init_args": {"whatever": 1}}},
    )


def test_an_overlay_is_checked_against_the_class_of_the_base() -> None:
    with pytest.raises(UsageError, match=r"^1\.yaml: unknown key model\.init_args\.zzz$"):
        check({"model": {"class_path": MODEL}}, {"model": {"init_args": {"zzz": 2}}})


def test_origin_is_the_last_to_set_a_key() -> None:
    checker = check({"trainer": {"max_epochs": 1, "precision": "32"}}, {"trainer": {"max_epochs": 2}})
    assert checker.find_origin("trainer.max_epochs") == "1.yaml"
    assert checker.find_origin("trainer.precision") == "0.yaml"
    assert checker.find_origin("run_dir") is None


@pytest.mark.parametrize(
    ("old", "new"), [item for item in RENAMED_KEYS.items() if item[0].startswith(("model.", "data.", "checkpoint."))]
)
def test_renamed_key_of_training_names_the_new_one(old: str, new: str) -> None:
    with pytest.raises(UsageError, match=f"{old} was renamed to {new}$"):
        build_run("fit", ["ppo"], {old: 1}, stage="parsed")


def test_renamed_class_names_the_new_one() -> None:
    with pytest.raises(UsageError, match=r"lightning_modules.training.sample_texts.SampleTexts"):
        KeyCheck({"trainer": {"callbacks": None}}).check(
            {"trainer": {"callbacks": [{"class_path": "lightning_modules.callbacks.SampleTexts"}]}}, origin="old.yaml"
        )


def test_message_of_a_parse_error_names_file_and_key(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("model: {init_args: {optimizer: {lr: high}}}\n")
    with pytest.raises(UsageError, match=r"^bad.yaml: model.init_args.optimizer.lr is 'high'; expected float$"):
        build_run("fit", ["sft", "bad.yaml"], stage="parsed")
