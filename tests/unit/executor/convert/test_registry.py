"""Running converters over rows: counts, errors of whole files, and rows that are damaged in every column."""

import copy
import json
import math

import pytest

from executor.convert.columns import SkipRow
from executor.convert.readers import SourceRow
from executor.convert.registry import CONVERTERS, Tally, convert_row, convert_rows, open_rows, read_converted
from executor.grading.tasks import parse_task
from tests.unit.executor.convert.example_rows import APPS_CALL, APPS_STDIN, EXAMPLES, MBPP

TASK_KEYS = {
    *("task_id", "prompt", "entry_point", "tests", "check", "checker", "prelude", "float_tol", "time_limit_s"),
    *("memory_mib", "result", "solution", "language", "group", "metadata"),
}
MISSING = object()
DAMAGES = [
    *(
        MISSING,
        None,
        True,
        3,
        -1,
        10**400,
        math.nan,
        math.inf,
        b"x",
        "",
        "   ",
        "\ud800",
        "\x00",
        "null",
        "3",
        "{",
        "{}",
        "[]",
    ),
    *(
        "[null]",
        "[" * 100_000,
        "def check(candidate): pass",
        "1" * 5000,
        [],
        [None],
        [[]],
        [{}],
        [3],
        ["x"],
        {},
        {"a": 1},
    ),
    '{"inputs": [null], "outputs": [null]}',
    ["assert f(1) == 1", "assert g(2) == 2"],
    {"seconds": 10**400, "nanos": math.nan},
]


def iterate_paths(value, path=()):
    """Yield the path of every value inside a value, but for its own."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from iterate_paths(item, (*path, key))


def damage(row, path, value):
    """Copy a row with another value, or none, at a path."""
    row = copy.deepcopy(row)
    target = row
    for key in path[:-1]:
        target = target[key]
    if value is MISSING:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return row


def damage_everywhere(row):
    """Yield copies with one damage each, at every path, and at every path inside JSON text."""
    for path in iterate_paths(row):
        yield from (damage(row, path, value) for value in DAMAGES)
        text = row
        for key in path:
            text = text[key]
        try:
            inner = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            continue
        for inner_path in iterate_paths(inner):
            for value in DAMAGES:
                if type(value) is not bytes:
                    yield damage(row, path, json.dumps(damage(inner, inner_path, value)))


@pytest.mark.parametrize(("name", "row"), EXAMPLES)
def test_a_damaged_row_is_converted_or_skipped(name, row):
    reasons = []
    for damaged in damage_everywhere(row):
        try:
            task = convert_row(name, damaged)
        except SkipRow as skip:
            reasons.append(skip.reason)
        else:
            assert set(task) <= TASK_KEYS
            assert parse_task(json.loads(json.dumps(task, allow_nan=False))).task_id
    assert len(reasons) > 20
    assert max(map(len, reasons)) < 100


def test_every_format_has_an_example():
    assert {name for name, _ in EXAMPLES} == set(CONVERTERS)


@pytest.mark.parametrize(("name", "row"), EXAMPLES)
def test_converters_do_not_change_their_rows(name, row):
    before = copy.deepcopy(row)
    convert_row(name, row)
    assert row == before


def test_counts():
    rows = [
        APPS_STDIN,
        SourceRow("line 2", None, "not JSON", "Expecting value"),
        APPS_CALL,
        {**APPS_STDIN, "problem_id": 9, "input_output": ""},
        {**APPS_STDIN, "problem_id": 10, "input_output": ""},
        {**APPS_STDIN, "question": "Another."},
    ]
    tally = Tally()
    tasks = list(convert_rows("apps", rows, tally=tally))
    assert [task["task_id"] for task in tasks] == ["apps/7", "apps/8"]
    assert (tally.num_rows, tally.num_tasks) == (6, 2)
    assert tally.skipped == {"no tests": 2, "malformed: not JSON": 1, "a task_id that an earlier row has": 1}
    assert tally.write_lines()[0] == "2 x no tests (first: row 4)"
    assert "1 x malformed: not JSON (first: line 2: Expecting value)" in tally.write_lines()


def test_details_of_a_row_are_short():
    row = {**MBPP, "test_setup_code": "a" * 10_000}
    tally = Tally()
    list(convert_rows("mbpp", [MBPP, row], tally=tally))
    [line] = tally.write_lines()
    assert "other than the function (first: row 2: aaa" in line
    assert len(line) < 500


def test_rows_that_are_all_malformed():
    with pytest.raises(ValueError, match=r"x.jsonl: no row has the format apps: 1 x malformed: .* \(first: row 1\)"):
        list(convert_rows("apps", [MBPP], source="x.jsonl"))
    with pytest.raises(ValueError, match=r"x.jsonl: there are no rows in it"):
        list(convert_rows("apps", [], source="x.jsonl"))


def test_rows_that_are_all_skipped_for_other_reasons():
    assert list(convert_rows("apps", [{**APPS_STDIN, "input_output": ""}])) == []


def test_a_file_of_another_kind_is_not_read_to_its_end():
    read = []

    def lines():
        for number in range(1, 10_000):
            read.append(number)
            yield SourceRow(f"line {number}", None, "not JSON")

    with pytest.raises(
        ValueError, match=r"x.bin: no row has the format apps: 100 x malformed: not JSON \(first: line 1\)"
    ):
        list(convert_rows("apps", lines(), source="x.bin"))
    assert len(read) == 100


def test_an_unknown_format():
    with pytest.raises(ValueError, match="there is no format 'app'; known are apps, taco"):
        list(convert_rows("app", [APPS_STDIN]))
    with pytest.raises(ValueError, match="there is no format 'app'"):
        open_rows("x.jsonl", format_name="app")


def test_reading_tasks_of_a_file(tmp_path, caplog):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(APPS_STDIN) + "\n{\n")
    assert [task["task_id"] for task in read_converted(str(path), "apps")] == ["apps/7"]
    assert "x.jsonl: 1 of 2 rows become no task: 1 x malformed: not JSON (first: line 2: " in caplog.text


def test_a_task_that_no_program_can_pass_is_skipped():
    tests = {"inputs": ["1\n", "1\n"], "outputs": ["2\n", "3\n"]}
    tally = Tally()
    row = {**APPS_STDIN, "input_output": json.dumps(tests)}
    assert list(convert_rows("apps", [row], tally=tally)) == []
    [line] = tally.write_lines()
    assert line.startswith("1 x no valid task (first: row 1: task apps/7: tests 0 and 1 have the same input")


@pytest.mark.parametrize(
    ("statement", "is_marked"),
    [
        ("If there are multiple answers, print any of them.", True),
        ("If several solutions exist, you may write any.", True),
        ("There are several ways to do it; output an arbitrary one.", True),
        ("Print the number of ways. There is exactly one answer for any input.", False),
    ],
)
def test_statements_that_accept_several_answers_are_marked(statement, is_marked):
    for row in (APPS_STDIN, APPS_CALL):
        task = convert_row("apps", {**row, "question": statement})
        assert task["metadata"].get("several_answers", False) is is_marked


def test_a_checker_judges_several_answers():
    row = next(row for name, row in EXAMPLES if name == "codeforces")
    assert row["generated_checker"]
    task = convert_row("codeforces", {**row, "description": "Print any of them."})
    assert "several_answers" not in task["metadata"]
    task = convert_row("codeforces", {**row, "description": "Print any of them.", "generated_checker": ""})
    assert task["metadata"]["several_answers"] is True


def test_a_file_takes_no_split(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps(APPS_STDIN) + "\n")
    with pytest.raises(ValueError, match="is a file; a configuration and a split"):
        open_rows(str(tmp_path / "x.jsonl"), format_name="apps", split="train")


@pytest.mark.parametrize("name", ["no/where.jsonl", "nowhere.parquet", "nowhere", "a/b/c"])
def test_names_of_files_that_do_not_exist(name):
    with pytest.raises(ValueError, match=f"{name}: there is no such file"):
        open_rows(name, format_name="apps")
