"""atomforge's command line on simulated GPUs: `python -m tests.device.simulated fit ...`.

The counts of rank R are written to `$SIMULATED_REPORT.R` as JSON.
"""

import atexit
import json
import os
import sys
from pathlib import Path

from tests.device.simulated.cuda import device

if device.num_devices() > 1:
    from tests.device.simulated import nccl


def write_report(path: str) -> None:
    """Write what has been counted."""
    collectives = dict(nccl.collectives) if device.num_devices() > 1 else {}
    report = {"events": device.events(), "attention": sorted(set(device.attention())), "collectives": collectives}
    Path(f"{path}.{os.environ.get('LOCAL_RANK', 0)}").write_text(json.dumps(report))


if __name__ == "__main__":
    if "SIMULATED_REPORT" in os.environ:
        atexit.register(write_report, os.environ["SIMULATED_REPORT"])
    from cli.main import main

    sys.exit(main())
