"""compose.yaml and its images fit together, and only the service gets the engine's socket."""

from pathlib import Path

import yaml

from executor.commands.config import parse_dataclass, read_yaml
from executor.service.settings import ServiceConfig

ROOT = Path(__file__).resolve().parents[4]
ENGINE = "/var/run/docker.sock"


def services() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_only_the_service_has_the_engine_socket_and_ports_are_on_loopback():
    given = services()
    assert [name for name, service in given.items() if any(ENGINE in v for v in service["volumes"])] == ["executor"]
    assert all(port.startswith("127.0.0.1:") for service in given.values() for port in service["ports"])
    assert not any("privileged" in service or "cap_add" in service for service in given.values())


def test_config_of_the_service_matches_its_mounts_and_ports():
    path = ROOT / "deploy/executor.yaml"
    settings = parse_dataclass(ServiceConfig, read_yaml(path), source=str(path))
    executor = services()["executor"]
    assert settings.backend == "docker"
    assert f"{settings.docker.socket_dir}:{settings.docker.socket_dir}" in executor["volumes"]
    assert executor["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert int(executor["stop_grace_period"].rstrip("s")) > settings.drain_s


def test_build_stages_and_their_sources_exist():
    for service in services().values():
        text = (ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
        assert f" AS {service['build']['target']}\n" in text
        copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ")]
        assert all((ROOT / source).exists() for source in copied)
