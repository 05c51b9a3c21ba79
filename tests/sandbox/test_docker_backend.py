"""Docker sandboxes: hardened containers, rejected images, nothing left behind."""

import contextlib
import io
import os
import tarfile

import pytest
from docker.errors import NotFound

from executor.api import open_executor
from executor.backends.base import SANDBOX_DIR
from executor.backends.docker.backend import DockerBackend, DockerConfig
from executor.backends.docker.container import LABEL
from executor.backends.docker.image import DEFAULT_TAG
from executor.types import Limits, Run, Status
from tests.support.docker_engine import own_containers

STALE_TAG = f"atomforge-executor:stale-{os.getpid()}"
PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)


def run_one(executor, source, *args, limits=PATIENT):
    [execution] = executor.run([Run(source=source, entry_point="solve", calls=(list(args),))], limits)
    return execution


def value_of(executor, source):
    execution = run_one(executor, source)
    assert execution.failure is None, execution
    assert execution.results[0].error is None, execution
    return execution.results[0].value


def test_container_options_are_hardened(docker_executor, docker_engine):
    value_of(docker_executor, "def solve(): return 1")
    # Other tests of this process keep containers too: with torch they have a second bind, on the attach channel none.
    ours = own_containers(docker_engine)
    container = next(found for found in ours if len(found.attrs["HostConfig"]["Binds"] or []) == 1)
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert not host["Privileged"]
    assert host["ReadonlyRootfs"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert sorted(word.removeprefix("CAP_") for word in host["CapAdd"]) == ["KILL", "SETGID", "SETUID"]
    assert host["SecurityOpt"] == ["no-new-privileges"]  # and so the engine's own seccomp profile
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["PidsLimit"] == 32  # 24 for a program, and 8
    assert host["IpcMode"] == "private"
    assert [bind.rsplit(":", 1)[1] for bind in host["Binds"]] == ["ro"]
    assert "docker.sock" not in str(container.attrs["Mounts"])
    assert config["Image"] == DEFAULT_TAG


def test_candidate_sees_only_the_sandbox(docker_executor):
    source = """
import os
def solve():
    writable = [
        folder for folder, _, _ in os.walk("/")
        if not folder.startswith(("/proc", "/sys")) and os.access(folder, os.W_OK)
    ]
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
    return {
        "writable": writable,
        "handshake": os.listdir("/handshake"),
        "environment": sorted(os.environ),
        "capabilities": [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapInh")],
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "seccomp": status["Seccomp"].strip(),
        "groups": status["Groups"].strip(),
        "interfaces": [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]],
        "app": sorted(os.listdir("/app")),
    }
"""
    found = value_of(docker_executor, source)
    assert found["writable"] == ["/tmp"]
    assert found["handshake"] == []
    assert set(found["environment"]) <= {"PYTHONHASHSEED", "LC_CTYPE"}
    assert found["capabilities"] == [0, 0, 0]
    assert found["no_new_privileges"] == "1"
    assert found["seccomp"] == "2"
    assert found["groups"] == ""
    assert found["interfaces"] == ["lo"]
    package = sorted(path.name for path in SANDBOX_DIR.iterdir() if path.name != "__pycache__")
    assert found["app"] == package


def test_memory_limit_applies_to_all_processes_together(docker_engine):
    """Each process stays within its own limit; together they are over that of the container."""
    source = """
import os, time
def solve():
    for _ in range(5):
        if os.fork() == 0:
            held = bytearray(12 << 20)
            time.sleep(20)
    time.sleep(0.5)
    held = bytearray(100 << 20)  # the largest by far, so that it is this one the kernel ends
    time.sleep(20)
    return len(held)
"""
    settings = DockerConfig(memory_bytes=128 << 20)
    with open_executor("docker", num_workers=1, docker=settings) as opened:
        execution = run_one(opened, source, limits=Limits(cpu_time_s=10.0, wall_time_s=15.0))
        assert execution.failure is Status.MEMORY, execution
        assert execution.duration_s < 10.0
        assert value_of(opened, "def solve(): return 5") == 5
        assert opened.stats().num_replaced == 0


def test_cpu_time_limit_applies_to_all_processes_together(docker_executor):
    source = """
import os
def solve():
    for _ in range(3): os.fork()
    while True: pass
"""
    execution = run_one(docker_executor, source, limits=Limits(cpu_time_s=1.0, wall_time_s=20.0))
    assert execution.failure is Status.TIMEOUT
    assert execution.duration_s < 5.0  # eight processes on any number of cores


def test_containers_end_with_the_executor(docker_engine):
    before = {container.id for container in own_containers(docker_engine, all=True)}
    with open_executor("docker", num_workers=2) as opened:
        value_of(opened, "def solve(): return 1")
        assert len({container.id for container in own_containers(docker_engine, all=True)} - before) >= 1
    assert {container.id for container in own_containers(docker_engine, all=True)} <= before


def test_orphaned_containers_are_removed_and_others_are_not(docker_executor, docker_engine):
    def create_exited(owner):
        container = docker_engine.containers.create(DEFAULT_TAG, ["true"], labels={LABEL: owner}, network_mode="none")
        made.append(container)
        container.start()
        with contextlib.suppress(NotFound):  # another test process has removed the orphan
            container.wait()
        return container.id

    value_of(docker_executor, "def solve(): return 1")
    alive = own_containers(docker_engine)[0].labels[LABEL]
    made = []
    try:
        orphan, ours = create_exited("999999.of-another-boot.1"), create_exited(alive)
        DockerBackend(DockerConfig())
        left = {container.id for container in docker_engine.containers.list(all=True, ignore_removed=True)}
        assert orphan not in left
        assert ours in left
    finally:
        for container in made:
            with contextlib.suppress(NotFound):
                container.remove(force=True)


def test_missing_or_outdated_image_raises_value_error(docker_engine):
    with pytest.raises(ValueError, match="no image atomforge-none:1: run `atomforge-executor build`"):
        open_executor("docker", docker=DockerConfig(image="atomforge-none:1"))
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        content = f"FROM {DEFAULT_TAG}\nLABEL atomforge.sources=older\n".encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    context.seek(0)
    docker_engine.images.build(fileobj=context, custom_context=True, tag=STALE_TAG, rm=True, network_mode="none")
    try:
        with pytest.raises(ValueError, match="built from other sources: run `atomforge-executor build`"):
            open_executor("docker", docker=DockerConfig(image=STALE_TAG))
    finally:
        docker_engine.images.remove(STALE_TAG, force=True)


def test_unknown_runtime_raises_value_error(docker_engine):
    with pytest.raises(ValueError, match="no runtime 'runscc'; it has .*runc"):
        open_executor("docker", docker=DockerConfig(runtime="runscc"))


def test_without_engine_docker_raises_one_line_and_auto_continues(monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    expected = "no Docker engine can be used: no response from unix:///nonexistent"
    with pytest.raises(ValueError, match=expected) as caught:
        open_executor("docker")
    assert "\n" not in str(caught.value)
    with open_executor("auto", num_workers=1) as opened:
        assert opened.description.startswith("bubblewrap")
    assert "auto: no Docker engine can be used" in caplog.text


def test_auto_prefers_docker_if_its_image_is_built(docker_engine):
    with open_executor("auto", num_workers=1) as opened:
        assert opened.description.startswith("docker: ")


def test_docker_config_with_too_little_memory_raises_value_error():
    with pytest.raises(ValueError, match="memory_bytes must be at least"):
        DockerConfig(memory_bytes=1 << 20)


def test_handshake_directory_is_removed(docker_executor, tmp_path):
    settings = DockerConfig(socket_dir=str(tmp_path))
    with open_executor("docker", num_workers=1, docker=settings) as opened:
        value_of(opened, "def solve(): return 1")
        assert os.listdir(tmp_path) == []
