"""What an iteration of PPO costs as ranks and samples grow: measured with one and two ranks here, computed for GPUs.

    python benchmarks/scaling.py measure --output FILE.json     about 4 minutes; nothing else should run beside it
    python benchmarks/scaling.py report FILE.json [--svg FILE]  constants, errors, tables for GPUs
    python benchmarks/scaling.py memory                         bytes of a rank under configs/cluster/

`measure` runs the tiny model of `benchmarks/cost/measure.py` with verdicts that come at once. Numbers for GPUs rest on
the assumed constants of `benchmarks/cost/machines.py`; none of them was measured.
"""

# ruff: noqa: E402

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.cost import tables
from benchmarks.cost.fit import compare, fit_machine
from benchmarks.cost.link import measure_link
from benchmarks.cost.machines import Link
from benchmarks.cost.measure import make
from benchmarks.cost.plot import write_svg
from benchmarks.cost.points import TINY, Setting, point_of

SETTINGS = (
    Setting("ddp", 2, num_prompts=16, is_fitted=True),
    Setting("ddp", 2, num_prompts=32, is_fitted=False),
    Setting("fsdp2", 2, num_prompts=16, is_fitted=False),
    Setting("one", 1, num_prompts=4, is_fitted=True),
    Setting("one", 1, num_prompts=16, is_fitted=True),
    Setting("one", 1, num_prompts=8, is_fitted=False),
    Setting("one", 1, num_prompts=32, is_fitted=False),
)
NUM_ITERATIONS = 4
TIMEOUT_S = 300


def measure(output: Path) -> None:
    """Run every setting in processes of its own, and write what each rank took for each iteration."""
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a rank"}
    link = measure_link(4 * TINY.num_weights)
    found["link"] = asdict(link)
    found["runs"] = []
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        for setting in SETTINGS:
            print(f"{setting.strategy}, {setting.num_ranks} ranks, {setting.num_prompts} prompts", file=sys.stderr)
            load = os.getloadavg()[0]
            words = (setting.strategy, setting.num_ranks, setting.num_prompts, NUM_ITERATIONS)
            subprocess.run(
                [sys.executable, "-m", "benchmarks.cost.measure", folder, *map(str, words)],
                cwd=ROOT, check=True, timeout=TIMEOUT_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            )  # fmt: skip
            ranks = [json.loads(Path(folder, f"rank_{rank}.json").read_text()) for rank in range(setting.num_ranks)]
            found["runs"].append({"setting": asdict(setting), "load_before": load, "ranks": ranks})
    beside = output.with_suffix(".part")
    beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    beside.replace(output)


def report(measured: Path, svg: Path | None) -> None:
    """Print the page's tables, and draw what is computed for GPUs."""
    found = json.loads(measured.read_text(encoding="utf-8"))
    points = [point_of(Setting(**run["setting"]), run["ranks"]) for run in found["runs"]]
    machine = fit_machine(points, Link(**found["link"]), name=found["machine"])
    print(tables.of_constants(machine))
    print(tables.of_comparisons([compare(point, machine) for point in points]))
    print(tables.of_comparisons([compare(point, machine) for point in tables.POINTS_OF_OTHER_PAGES]))
    print(tables.of_gpus())
    if svg is not None:
        write_svg(svg)


def main() -> int:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="run here, with one and two ranks")
    measuring.add_argument("--output", type=Path, required=True, help="JSON file")
    reporting = commands.add_parser("report", help="fit, compare, compute")
    reporting.add_argument("measured", type=Path, help="JSON file of `measure`")
    reporting.add_argument("--svg", type=Path, default=None, help="plot of the computed iterations")
    commands.add_parser("memory", help="bytes of a rank under the overlays of configs/cluster/")
    args = parser.parse_args()
    if args.command == "measure":
        measure(args.output)
    elif args.command == "report":
        if not args.measured.is_file():
            parser.error(f"{args.measured}: no such file; `measure --output {args.measured}` makes it")
        report(args.measured, args.svg)
    else:
        print(tables.of_memory())
    return 0


if __name__ == "__main__":
    sys.exit(main())
