"""How the engine is found, and what its response to /info means."""

import os
import socket

import pytest

from executor.backends.docker.engine import EngineInfo, check_runtime, connect_engine, list_sockets, read_engine_info

ROOTFUL_DOCKER = {
    "SecurityOptions": ["name=seccomp,profile=default"],
    "MemoryLimit": True,
    "PidsLimit": True,
    "CgroupVersion": "1",
    "Architecture": "x86_64",
    "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}},
}
PODMAN = {**ROOTFUL_DOCKER, "Architecture": "arm64", "BuildahVersion": "1.28.2", "Rootless": False}


@pytest.mark.parametrize(
    ("info", "remaps_users", "unenforced"),
    [
        (ROOTFUL_DOCKER, False, ()),
        ({**ROOTFUL_DOCKER, "SecurityOptions": ["name=userns"]}, True, ()),
        ({**ROOTFUL_DOCKER, "SecurityOptions": ["name=rootless", "name=cgroupns"], "CgroupVersion": "2"}, True, ()),
        (
            {**ROOTFUL_DOCKER, "SecurityOptions": ["name=rootless"], "CgroupDriver": "none"},
            True,
            ("memory", "processes"),
        ),
        # rootless Docker on cgroup v2 where systemd delegates memory only
        (
            {**ROOTFUL_DOCKER, "SecurityOptions": ["name=rootless"], "CgroupVersion": "2", "PidsLimit": False},
            True,
            ("processes",),
        ),
        (PODMAN, False, ("inodes",)),
        # podman reports the limits of the machine although an ordinary user cannot set any on cgroup v1
        ({**PODMAN, "Rootless": True}, True, ("memory", "processes", "inodes")),
        ({**PODMAN, "Rootless": True, "CgroupVersion": "2"}, True, ("inodes",)),
    ],
)
def test_read_engine_info(info, remaps_users, unenforced):
    found = read_engine_info(info)
    assert found.remaps_users is remaps_users
    assert found.unenforced_limits == unenforced
    assert found.has_cgroups is not ("memory" in unenforced or "processes" in unenforced)


def test_read_engine_info_spells_architectures_as_python_does():
    assert read_engine_info(ROOTFUL_DOCKER).machine == "x86_64"
    assert read_engine_info(PODMAN).machine == "aarch64"


def test_check_runtime_names_the_runtimes_of_the_engine():
    engine: EngineInfo = read_engine_info(ROOTFUL_DOCKER)
    check_runtime(engine, None)
    check_runtime(engine, "runc")
    with pytest.raises(ValueError, match="no runtime 'runsc'; it has io.containerd.runc.v2, runc"):
        check_runtime(engine, "runsc")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without a Docker context, and a runtime directory, both empty."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


def test_list_sockets_has_those_that_exist(home):
    assert not [address for address in list_sockets() if str(home) in address]
    with socket.socket(socket.AF_UNIX) as listener:
        (home / "runtime/podman").mkdir(parents=True)
        listener.bind(str(home / "runtime/podman/podman.sock"))
        (home / ".docker/run").mkdir(parents=True)
        os.link(home / "runtime/podman/podman.sock", home / ".docker/run/docker.sock")
        found = [address for address in list_sockets() if str(home) in address]
    assert found == [f"unix://{home}/.docker/run/docker.sock", f"unix://{home}/runtime/podman/podman.sock"]


def test_connect_engine_names_the_docker_context(home, monkeypatch):
    from docker.context import ContextAPI

    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    (home / "config.json").write_text("{}")
    ContextAPI.create_context("desktop-linux", host=f"unix://{home}/desktop.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "desktop-linux")
    expected = rf"no response from unix://{home}/desktop.sock \(Docker context desktop-linux\): "
    with pytest.raises(ValueError, match=expected):
        connect_engine()


def test_connect_engine_names_docker_host(home, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home}/nothing.sock")
    with pytest.raises(ValueError, match=f"no Docker engine can be used: no response from unix://{home}/nothing.sock"):
        connect_engine()
