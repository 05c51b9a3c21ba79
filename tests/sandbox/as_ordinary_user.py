"""Run as another user by the tests of ordinary users: grades programs in sandboxes, prints statuses as JSON.

python -m tests.sandbox.as_ordinary_user bubblewrap|docker all|subset
"""

import json
import sys

from executor.api import open_local
from tests.sandbox.hostile import HOSTILE, HOSTILE_SUBSET
from tests.support.judging import hostile_outcomes, odd_outcomes, policy_outcomes, probe_outcomes


def main(backend: str, which: str) -> None:
    names = [*HOSTILE] if which == "all" else HOSTILE_SUBSET
    with open_local(backend, num_workers=1) as executor:
        hostile, controls = hostile_outcomes(executor, names)
        num_replaced = executor.stats().num_replaced
        report = {
            "description": executor.description,
            "hostile": {name: outcome.status for name, outcome in hostile.items()},
            "num_replaced": num_replaced,
            "controls": {name: outcome.passed for name, outcome in controls.items()},
            "odd": {name: outcome.passed for name, outcome in odd_outcomes(executor).items()},
            "probes": {name: all(one.passed for one in all3) for name, all3 in probe_outcomes(executor).items()},
            "policy": {name: outcome.passed is passes for name, (outcome, passes) in policy_outcomes(executor).items()},
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
