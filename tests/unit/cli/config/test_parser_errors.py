"""Reports of jsonargparse 4.53, as it wrote them, and the lines made of them."""

import pytest

from cli.config.files import SUBCLASS, KeyCheck
from cli.config.parser_errors import readable

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
        "the following arguments are required: fit.data, fit.model"
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
    assert readable(report, check) == line
