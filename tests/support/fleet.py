"""The fleet of `executor/deploy/compose.yaml`, brought up for real: its images, an engine of its own, compose.

The images are built on an offline base by the engine of the tests, then carried to a second engine in a network
namespace of its own, so that no firewall rule and no port of this machine matters. A client runs in that namespace.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml
from docker.models.containers import Container

from executor.backends.docker.image import OFFLINE_BASE_TAG, make_offline_base
from tests.support.docker_engine import answering, started_engine
from tests.support.running_service import TOKEN

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "executor/deploy/compose.yaml"
IMAGES = {"replica": "atomforge-fleet-executor:latest", "balancer": "atomforge-fleet-balancer:latest"}
PROJECT = "fleet"
URL = "http://127.0.0.1:8600"
_BASE_TAG = "atomforge-fleet-base:test"
_BASE = f"""
FROM {OFFLINE_BASE_TAG}
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python-is-python3
COPY wheels/ /wheels/
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_BREAK_SYSTEM_PACKAGES=1
"""
_PACKAGES = (
    "docker", "fastapi", "httpx", "prometheus-client", "psutil", "pydantic", "pyyaml", "rich", "uvicorn",
)  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """Replicas behind a balancer, on an engine of their own."""

    engine_pid: int
    client: docker.DockerClient
    compose: tuple[str, ...]
    """The command up to its verb."""
    environment: dict[str, str]

    def inside(self, *command: str) -> list[str]:
        """Make a command that runs in the fleet's network namespace."""
        return ["nsenter", f"--net=/proc/{self.engine_pid}/ns/net", *command]

    def run_compose(self, *words: str) -> None:
        """Run a verb of compose; it must succeed."""
        done = subprocess.run(
            [*self.compose, *words], env=self.environment, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, done.stderr[-2000:]

    def replicas(self) -> list[Container]:
        """List those that run, by name."""
        filters = {"label": "com.docker.compose.service=executor"}
        return sorted(self.client.containers.list(filters=filters), key=lambda container: container.name or "")

    def said(self) -> str:
        """Everything in the logs of all containers."""
        containers = self.client.containers.list(all=True)
        return "\n".join(f"{one.name} ({one.status}): {one.logs().decode()}" for one in containers)


def compose_command() -> tuple[str, ...]:
    """Find docker compose, of the second generation or of the first; skips the test where there is none."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose") is None:
        pytest.skip("neither `docker compose` nor docker-compose is installed")
    return ("docker-compose",)


def build_images(client: docker.DockerClient, folder: Path) -> None:
    """Build both images from this checkout, by an engine whose builds may use this machine's network."""
    if not client.images.list(OFFLINE_BASE_TAG):
        make_offline_base(client, tag=OFFLINE_BASE_TAG)
    base = folder / "base"
    (base / "wheels").mkdir(parents=True)
    (base / "Dockerfile").write_text(_BASE, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(base / "wheels")]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), *_PACKAGES], check=True, capture_output=True)
    client.images.build(path=str(base), tag=_BASE_TAG, network_mode="host", rm=True)
    context = folder / "context"
    for name in ("deploy", "executor"):
        shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "constraints.txt", context)
    for target, tag in IMAGES.items():
        client.images.build(
            path=str(context), dockerfile="deploy/service.Dockerfile", target=target, tag=tag,
            buildargs={"BASE_IMAGE": _BASE_TAG}, network_mode="host", rm=True,
        )  # fmt: skip


@contextmanager
def running_fleet(builder: docker.DockerClient, folder: Path, *, num_replicas: int) -> Iterator[Fleet]:
    """Bring the fleet up and wait until the balancer has all replicas; all of it goes at the end."""
    command = compose_command()
    build_images(builder, folder)
    home = folder / "engine"
    home.mkdir()
    with started_engine(home) as engine:
        address = f"unix://{home}/docker.sock"
        client = answering(address)
        assert client is not None
        fleet = Fleet(
            engine_pid=engine.pid,
            client=client,
            compose=(*command, "--project-directory", str(COMPOSE_FILE.parent), "-p", PROJECT,
                     "-f", str(_compose_file(command, folder))),
            environment={**os.environ, "DOCKER_HOST": address, "ATOMFORGE_EXECUTOR_TOKEN": TOKEN},
        )  # fmt: skip
        subprocess.run(fleet.inside("ip", "link", "set", "lo", "up"), check=True)
        for tag in IMAGES.values():
            client.images.load(builder.images.get(tag).save(named=True))
        try:
            fleet.run_compose("up", "-d", "--no-build", "--scale", f"executor={num_replicas}")
            yield fleet
        finally:
            fleet.run_compose("down", "-t", "5")
            client.close()


def _compose_file(command: tuple[str, ...], folder: Path) -> Path:
    """The file as it is, but for a line that compose of the first generation hands to an engine that refuses it."""
    if command != ("docker-compose",):
        return COMPOSE_FILE
    content = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    content["services"]["executor"]["security_opt"].remove("systempaths=unconfined")
    path = folder / "compose.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
