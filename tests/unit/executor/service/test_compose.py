"""Compose files, images and configs fit together, and no container has more privileges than it needs."""

import re
from pathlib import Path

import pytest
import yaml

from executor.commands.config import parse_dataclass, read_yaml
from executor.service.settings import ServiceConfig

ROOT = Path(__file__).resolve().parents[4]
FLEET = ROOT / "executor" / "deploy"
ENGINE_SOCKET = "/var/run/docker.sock"


def read_services(folder: Path) -> dict:
    return yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]


def read_config(path: Path) -> ServiceConfig:
    return parse_dataclass(ServiceConfig, read_yaml(path), source=str(path))


@pytest.mark.parametrize(("folder", "with_engine"), [(ROOT, ["executor"]), (FLEET, [])], ids=["one host", "fleet"])
def test_containers_are_unprivileged_and_published_on_loopback(folder: Path, with_engine: list[str]) -> None:
    services = read_services(folder)
    volumes = {name: service.get("volumes", []) for name, service in services.items()}
    assert [name for name in services if any(ENGINE_SOCKET in volume for volume in volumes[name])] == with_engine
    assert not any("privileged" in service or "cap_add" in service for service in services.values())
    for port in (port for service in services.values() for port in service.get("ports", [])):
        assert re.match(r"(\$\{\w+:-)?127\.0\.0\.1:", port)


@pytest.mark.parametrize("folder", [ROOT, FLEET], ids=["one host", "fleet"])
def test_build_stages_and_their_sources_exist(folder: Path) -> None:
    for service in read_services(folder).values():
        build = service["build"]
        text = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
        assert f" AS {build['target']}\n" in text
        copied = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
        assert all((ROOT / source).exists() for source in copied)


def test_config_of_the_service_matches_its_mounts_and_ports() -> None:
    config = read_config(ROOT / "deploy" / "executor.yaml")
    executor = read_services(ROOT)["executor"]
    assert config.backend == "docker"
    assert f"{config.docker.socket_dir}:{config.docker.socket_dir}" in executor["volumes"]
    assert executor["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]
    assert int(executor["stop_grace_period"].rstrip("s")) > config.drain_s


def test_fleet_balancer_waits_longer_than_its_replicas_and_their_clients() -> None:
    config, services = read_config(FLEET / "executor.yaml"), read_services(FLEET)
    balancer = (FLEET / "haproxy.cfg").read_text(encoding="utf-8")
    timeouts = {name: int(value) for name, value in re.findall(r"timeout (client|server) (\d+)s", balancer)}
    assert f' "${{ATOMFORGE_REPLICAS-executor}}":{config.port} ' in balancer  # the name of the compose service
    assert timeouts["client"] > config.body_timeout_s
    assert timeouts["server"] > 30  # seconds without data after which a client closes its connection
    assert all(int(service["stop_grace_period"].rstrip("s")) > config.drain_s for service in services.values())
