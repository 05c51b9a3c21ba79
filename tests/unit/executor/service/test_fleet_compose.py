"""The files of the fleet fit together, and give no container privileges it does not need."""

import re
from pathlib import Path

import yaml

from executor.commands.config import parse_dataclass, read_yaml
from executor.service.client import NUM_REPLICAS_HEADER
from executor.service.settings import ServiceConfig

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "executor/deploy"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
BALANCER = (FOLDER / "haproxy.cfg").read_text(encoding="utf-8")


def replica_settings() -> ServiceConfig:
    path = FOLDER / "executor.yaml"
    return parse_dataclass(ServiceConfig, read_yaml(path), source=str(path))


def seconds(pattern: str) -> int:
    found = re.search(pattern, BALANCER)
    assert found is not None, pattern
    return int(found[1])


def test_no_container_has_the_engine_a_capability_or_a_writable_file_system():
    for service in SERVICES.values():
        assert "volumes" not in service
        assert "privileged" not in service
        assert "cap_add" not in service
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert "no-new-privileges" in service["security_opt"]
    assert SERVICES["executor"]["user"] == "1000:1000"


def test_only_the_balancer_is_published_and_by_default_on_loopback():
    assert "ports" not in SERVICES["executor"]
    assert SERVICES["balancer"]["ports"] == ["${ATOMFORGE_FLEET_ADDRESS:-127.0.0.1:8600}:8600"]


def test_balancer_finds_the_replicas_where_they_listen():
    settings = replica_settings()
    assert settings.backend == "bubblewrap"  # needs no engine
    assert f" executor:{settings.port} resolvers engine" in BALANCER
    assert SERVICES["executor"]["expose"] == [str(settings.port)]
    assert "bind :8600" in BALANCER
    assert f"set-header {NUM_REPLICAS_HEADER} " in BALANCER


def test_timeouts_of_the_balancer_exceed_those_of_the_service():
    settings = replica_settings()
    assert seconds(r"timeout client (\d+)s") > settings.body_timeout_s
    assert seconds(r"timeout server (\d+)s") > 30  # silence after which a client gives a connection up
    assert int(SERVICES["executor"]["stop_grace_period"].rstrip("s")) > settings.drain_s
    assert int(SERVICES["balancer"]["stop_grace_period"].rstrip("s")) > settings.drain_s


def test_build_stages_exist():
    for service in SERVICES.values():
        build = service["build"]
        assert (FOLDER / build["context"]).resolve() == ROOT
        assert f" AS {build['target']}\n" in (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
