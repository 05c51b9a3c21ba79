"""The attach stream of the engine: chosen where a socket cannot work, out of reach of programs, and when it breaks."""

import contextlib
import os
import random
import threading

import pytest
from docker.errors import APIError

from executor.api import open_local
from executor.backends.docker.backend import DockerConfig
from executor.types import Run
from tests.sandbox.test_docker_backend import PATIENT, value_of
from tests.sandbox.test_faults import programs, summarize
from tests.support.docker_engine import own_containers
from tests.support.engine_proxy import running_proxy

ATTACH = DockerConfig(channel="attach")


@pytest.fixture
def proxy(docker_engine, tmp_path, monkeypatch):
    """A proxy in front of the engine, which this process uses from now on."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    with running_proxy(tmp_path / "engine.sock", address.removeprefix("unix://")) as running:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
        yield running


def test_auto_uses_the_socket_where_it_works(docker_engine):
    with open_local("docker", num_workers=1) as executor:
        assert "attach stream" not in executor.description


def test_auto_falls_back_to_the_attach_stream_and_logs_why(docker_engine, monkeypatch, caplog):
    """As with Docker Desktop: the mounted socket is there, and connecting to it fails."""
    caplog.set_level("INFO")
    monkeypatch.setattr("executor.backends.docker.channel.SocketChannel.worker_argument", "/handshake/other")
    with open_local("docker", num_workers=1) as executor:
        assert "through the engine's attach stream" in executor.description
        assert value_of(executor, "def solve(): return 7") == 7
    [line] = [record.getMessage() for record in caplog.records if "attach stream does" in record.getMessage()]
    assert "FileNotFoundError" in line


def test_unknown_channel_raises_value_error():
    with pytest.raises(ValueError, match="channel must be one of auto, socket, attach, not 'pipe'"):
        DockerConfig(channel="pipe")  # pyright: ignore[reportArgumentType]


def test_attached_container_has_no_log_and_no_mount(docker_engine):
    before = {container.id for container in own_containers(docker_engine)}
    with open_local("docker", num_workers=1, docker=ATTACH) as executor:
        value_of(executor, "def solve(): return 1")
        [container] = [found for found in own_containers(docker_engine) if found.id not in before]
        host, config = container.attrs["HostConfig"], container.attrs["Config"]
        assert host["LogConfig"]["Type"] == "none"  # or every result would be written to a disk
        assert not host["Binds"]
        assert (config["OpenStdin"], config["StdinOnce"], config["Tty"]) == (True, True, False)
    assert {container.id for container in own_containers(docker_engine, all=True)} <= before


def test_programs_cannot_reach_the_stream(docker_engine):
    """Whatever descriptors a program finds or opens, the worker and the host see none of what it writes."""
    source = """
import os
FORGED = b'\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00{}' * 50
def solve():
    opened, streams = [], []
    for path in [f'/proc/1/fd/{fd}' for fd in range(16)] + ['/dev/console', '/dev/tty']:
        try:
            opened.append((path, os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
        except OSError:
            pass
    for fd in (0, 1, 2, *range(4, 64)):
        try:
            os.write(fd, FORGED)
            streams.append(os.readlink(f'/proc/self/fd/{fd}'))
        except OSError:
            pass
    return [opened, sorted(set(streams))]
"""
    with open_local("docker", num_workers=1, docker=ATTACH) as executor:
        assert value_of(executor, source) == [[], ["/dev/null"]]
        assert value_of(executor, "def solve(): return 5") == 5
        assert executor.stats().num_replaced == 0


def test_keys_that_detach_a_terminal_are_mere_bytes(docker_engine):
    keys = "\x10\x11" * 3  # Ctrl-P Ctrl-Q
    run = Run(source="print(input().encode().hex())", stdin=f"{keys}\n".encode())
    with open_local("docker", num_workers=1, docker=ATTACH) as executor:
        [execution] = executor.run([run], PATIENT)
    assert execution.stdout == b"101110111011\n"


@pytest.mark.slow
def test_broken_stream_loses_no_outcome(proxy):
    """The streams break while programs run: all are run again, and none is blamed."""
    runs, wanted = programs(120)
    done = threading.Event()

    def cut_some():
        while proxy.num_cut < 4 and not done.wait(random.uniform(0.1, 0.3)):
            proxy.cut_attached()

    with open_local("docker", num_workers=2, docker=ATTACH) as executor:
        cutter = threading.Thread(target=cut_some)
        cutter.start()
        try:
            executions = executor.run(runs, PATIENT)
        finally:
            done.set()
            cutter.join()
        assert executor.stats().num_replaced >= 1
    assert proxy.num_cut >= 2
    assert [summarize(execution) for execution in executions] == wanted


def test_stream_that_breaks_three_times_during_a_program_does_not_make_it_a_crash(proxy, docker_engine):
    """A program whose sandbox dies twice is a crash, which has a reward; a broken stream does not count as that."""
    run = Run(source="import time\ndef solve(): time.sleep(1.5); return 1\n", entry_point="solve", calls=([],))
    done = threading.Event()

    def cut_while_it_runs():
        while proxy.num_cut < 3 and not done.wait(0.1):
            for container in own_containers(docker_engine):
                with contextlib.suppress(APIError):  # it has ended
                    if len(container.top()["Processes"] or ()) == 2:  # the worker and the program
                        proxy.cut_attached()

    with open_local("docker", num_workers=1, docker=ATTACH) as executor:
        cutter = threading.Thread(target=cut_while_it_runs)
        cutter.start()
        try:
            [execution] = executor.run([run], PATIENT)
        finally:
            done.set()
            cutter.join()
    assert execution.failure is None, execution
    assert execution.results[0].value == 1
    assert proxy.num_cut == 3
