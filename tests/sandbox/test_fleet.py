"""Two executor replicas behind a load balancer, one of them killed while it judges: every verdict is right."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.sandbox.fleet_batch import expected
from tests.support.docker_engine import NoEngine
from tests.support.fleet import ROOT, URL, Fleet, running_fleet
from tests.support.running_service import TOKEN
from tests.support.wait import wait_until

NUM_PROGRAMS = 160


@pytest.fixture(scope="module")
def fleet(docker_engine, tmp_path_factory):
    try:
        with running_fleet(docker_engine, tmp_path_factory.mktemp("fleet"), num_replicas=2) as running:
            yield running
    except NoEngine as reason:
        pytest.skip(str(reason))


def health(fleet: Fleet) -> tuple[int, int]:
    """Ask through the balancer; returns HTTP status and the number of replicas it says."""
    script = (
        "import sys, urllib.request as r, urllib.error as e\n"
        "try: answer = r.urlopen(sys.argv[1] + '/healthz', timeout=5)\n"
        "except e.HTTPError as refusal: answer = refusal\n"
        "except OSError: print(0, 0); sys.exit()\n"
        "print(answer.status, answer.headers.get('Atomforge-Replicas', 0))\n"
    )
    done = subprocess.run(fleet.inside(sys.executable, "-c", script, URL), capture_output=True, text=True, check=True)
    status, num_replicas = done.stdout.split()
    return int(status), int(num_replicas)


def events(container, event: str) -> list[dict]:
    lines = container.logs(stdout=False).decode().splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return [row for row in rows if row["event"] == event]


def start_batch(fleet: Fleet, log: Path) -> subprocess.Popen:
    environment = {"PYTHONPATH": str(ROOT), "ATOMFORGE_EXECUTOR_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
    script = str(Path(__file__).with_name("fleet_batch.py"))
    with log.open("wb") as errors:
        return subprocess.Popen(
            fleet.inside(sys.executable, script, URL, str(NUM_PROGRAMS)),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_replica_loses_no_outcome(fleet: Fleet, tmp_path: Path) -> None:
    wait_until(lambda: health(fleet) == (200, 2), 60)
    doomed, other = fleet.replicas()
    log = tmp_path / "client.log"
    batch = start_batch(fleet, log)
    assert batch.stdout is not None
    judged: list[tuple[int, str]] = []
    killed_at = None
    for line in batch.stdout:
        word, _, rest = line.partition(" ")
        if word == "judged":
            index, status = rest.split()
            judged.append((int(index), status))
        if word == "outcomes":
            outcomes = json.loads(rest)
        print(f"{time.strftime('%H:%M:%S')} {line.rstrip()[:200]}")
        if killed_at is None and len(judged) >= NUM_PROGRAMS // 4:
            killed_at = len(judged)
            doomed.kill()
    assert batch.wait(timeout=60) == 0, log.read_text()[-2000:]
    print(f"killed after {killed_at} verdicts\n{log.read_text()}")
    for replica in (doomed, other):
        for row in events(replica, "batch accepted") + events(replica, "batch finished"):
            print(replica.name, json.dumps(row))

    under_way = len(events(doomed, "batch accepted")) - len(events(doomed, "batch finished"))
    assert under_way >= 1, "nothing was under way at the replica that was killed"
    assert events(other, "batch finished")
    assert "have no verdict yet" in log.read_text()
    assert [Counter(index for index, _ in judged)[number] for number in range(NUM_PROGRAMS)] == [1] * NUM_PROGRAMS
    assert outcomes == [expected(number).value for number in range(NUM_PROGRAMS)]

    wait_until(lambda: health(fleet) == (200, 1))
    doomed.start()
    wait_until(lambda: health(fleet) == (200, 2), 60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_balancer_without_replicas_is_503_and_requires_a_token(fleet: Fleet) -> None:
    script = "from executor.api import open_executor; open_executor('{}', token='another-token-of-the-same-sort')"
    done = subprocess.run(
        fleet.inside(sys.executable, "-c", script.format(URL)), cwd=ROOT, capture_output=True, text=True
    )
    assert "a bearer token is needed" in done.stderr
    replicas = fleet.replicas()
    for replica in replicas:
        replica.stop(timeout=5)
    try:
        wait_until(lambda: health(fleet) == (503, 0))
    finally:
        for replica in replicas:
            replica.start()
    wait_until(lambda: health(fleet) == (200, 2), 60)
