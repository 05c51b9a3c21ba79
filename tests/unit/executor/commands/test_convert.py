"""`atomforge convert`: the file it writes, what it prints, and that it leaves no half of a file."""

import json
import os

import pytest

from cli.main import main
from executor.commands import convert
from executor.commands.progress import CountLines
from tests.unit.executor.convert.example_rows import APPS_CALL, APPS_STDIN, EXAMPLES


@pytest.fixture
def files(tmp_path):
    """An input with two rows of APPS that become tasks and two that do not, and an output."""
    rows = [APPS_STDIN, APPS_CALL, {**APPS_STDIN, "input_output": ""}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"problem_id": 3\n')
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl"


def run(source, target, *options, name="apps"):
    return main(["convert", "--from", name, "--input", str(source), "--output", str(target), *options])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_tasks_and_counts(files, capsys):
    source, target = files
    assert run(source, target) == 0
    assert [task["task_id"] for task in read(target)] == ["apps/7", "apps/8"]
    assert capsys.readouterr().out.splitlines() == [
        f"{target}: 2 tasks from 4 rows",
        "skipped 2 rows:",
        "  1 x no tests (first: line 3)",
        "  1 x malformed: not JSON (first: line 4: Expecting ',' delimiter at column 17)",
    ]
    assert sorted(os.listdir(target.parent)) == ["in.jsonl", "out.jsonl"]


@pytest.mark.parametrize(("name", "row"), EXAMPLES)
def test_every_format(tmp_path, name, row):
    (tmp_path / "in.json").write_text(json.dumps([row]))
    assert run(tmp_path / "in.json", tmp_path / "out.jsonl", name=name) == 0
    [task] = read(tmp_path / "out.jsonl")
    assert task["task_id"]


def test_limit(files, capsys):
    source, target = files
    assert run(source, target, "--limit", "1") == 0
    assert [task["task_id"] for task in read(target)] == ["apps/7"]
    assert capsys.readouterr().out == f"{target}: 1 tasks from 1 rows\n"


def test_integers_of_any_length(tmp_path):
    digits = "7" * 10_000
    input_output = f'{{"fn_name": "f", "inputs": [[{digits}]], "outputs": [{digits}]}}'
    (tmp_path / "in.jsonl").write_text(json.dumps({**APPS_CALL, "input_output": input_output}))
    assert run(tmp_path / "in.jsonl", tmp_path / "out.jsonl") == 0
    [task] = read(tmp_path / "out.jsonl")
    expected = {"$int": hex(7 * (10**10_000 - 1) // 9)}
    assert task["tests"] == [{"args": [expected], "expected": expected}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "0"], "--limit must be at least 1, not 0"),
        (["--from", "app"], "there is no format 'app'; known are apps"),
        (["--input", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["--output", "."], "--output: . is a directory"),
        (["--output", "no/where.jsonl"], "--output: no directory"),
        (["--from", "mbpp"], "in.jsonl: no row has the format mbpp: 3 x malformed: text is missing"),
    ],
)
def test_errors_are_one_line_and_nothing_is_written(files, capsys, options, words):
    source, target = files
    target.write_text("as before")
    assert run(source, target, *options) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("atomforge: error: ")
    assert words in line
    assert target.read_text() == "as before"
    assert sorted(os.listdir(target.parent)) == ["in.jsonl", "out.jsonl"]


def test_an_interrupt_leaves_the_output_as_it_was(files, capsys, monkeypatch):
    source, target = files
    target.write_text("as before")

    def interrupt(*_args, **_kwargs):
        yield {"task_id": "apps/7"}
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "convert_rows", interrupt)
    assert run(source, target) == 130
    assert f"interrupted; {target} was not written" in capsys.readouterr().err
    assert target.read_text() == "as before"
    assert sorted(os.listdir(target.parent)) == ["in.jsonl", "out.jsonl"]


def test_a_data_set_of_the_hub(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, split: [{**APPS_STDIN, "problem_id": len(args)}])
    target = tmp_path / "out.jsonl"
    assert run("codeparrot/apps", target, "--config", "all", "--split", "test") == 0
    assert [task["task_id"] for task in read(target)] == ["apps/2"]


def test_plain_lines_of_progress(files, capsys, monkeypatch):
    monkeypatch.setattr("executor.commands.progress.CountLines", lambda: CountLines(interval_s=0.0))
    source, target = files
    assert run(source, target, "--limit", "4") == 0
    assert "rows 4/4" in capsys.readouterr().err
