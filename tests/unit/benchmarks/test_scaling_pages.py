"""The pages on scaling show what the code computes from the measurement that is kept beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
from benchmarks.cost import tables  # noqa: E402
from benchmarks.cost.fit import compare, fit_machine  # noqa: E402
from benchmarks.cost.machines import Link  # noqa: E402
from benchmarks.cost.plot import write_svg  # noqa: E402
from benchmarks.cost.points import Setting, point_of  # noqa: E402

RESULTS = ROOT / "docs" / "results"


def test_the_page_on_many_gpus_has_the_computed_tables():
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert tables.of_memory() in page
    assert tables.of_gpus() in page


def test_the_plot_beside_it_is_the_one_that_is_drawn(tmp_path):
    write_svg(tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").read_bytes() == (RESULTS / "scaling.svg").read_bytes()


def test_the_page_of_results_is_made_of_its_measurement():
    page = (RESULTS / "scaling.md").read_text(encoding="utf-8")
    found = json.loads((RESULTS / "scaling.json").read_text(encoding="utf-8"))
    points = [point_of(Setting(**run["setting"]), run["ranks"]) for run in found["runs"]]
    assert sum(point.is_fitted for point in points) < len(points) / 2  # the others are the check
    machine = fit_machine(points, Link(**found["link"]), name=found["machine"])
    assert tables.of_constants(machine) in page
    for some in (points, tables.POINTS_OF_OTHER_PAGES):
        assert tables.of_comparisons([compare(point, machine) for point in some]) in page


def test_a_report_without_its_measurement_is_refused(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "scaling.py"), "report", str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "none.json: no such file" in done.stderr


@pytest.mark.slow
@pytest.mark.slow
def test_two_ranks_are_measured(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    make = "import sys, pathlib; from benchmarks.cost.measure import make; make(pathlib.Path(sys.argv[1]))"
    words = [str(tmp_path), "ddp", "2", "4", "2"]
    for command in (["-c", make, str(tmp_path)], ["-m", "benchmarks.cost.measure", *words]):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, done.stderr[-2000:]
    ranks = [json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2)]
    point = point_of(Setting("ddp", 2, num_prompts=4, is_fitted=True), ranks)
    assert [len(rank) for rank in ranks] == [2, 2]
    assert min(point.generate_s, point.score_s, point.update_s) > 0
    assert point.cpu_s < 1.2 * point.wall_s  # no rank has more than a core
