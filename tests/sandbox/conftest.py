"""Real sandboxes for the tests of this folder, of both kinds, opened once per test process.

Without bubblewrap the tests fail, unless ATOMFORGE_SKIP_SANDBOX_TESTS=1. Those of Docker are skipped where there is no
engine, or with ATOMFORGE_SKIP_DOCKER_TESTS=1.
"""

import os

import pytest

from executor.api import open_executor
from executor.backends.docker.backend import DockerConfig
from tests.support.docker_engine import NoEngine, running_engine


@pytest.fixture(scope="session")
def docker_engine():
    """A connection to an engine with the image of the sandboxes."""
    try:
        with running_engine() as client:
            yield client
    except NoEngine as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def bubblewrap_executor():
    if os.environ.get("ATOMFORGE_SKIP_SANDBOX_TESTS") == "1":
        pytest.skip("ATOMFORGE_SKIP_SANDBOX_TESTS=1")
    with open_executor("bubblewrap", num_workers=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def docker_executor(docker_engine):
    with open_executor("docker", num_workers=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def docker_attach_executor(docker_engine):
    """Docker sandboxes that are reached through the engine's attach stream."""
    with open_executor("docker", num_workers=1, docker=DockerConfig(channel="attach")) as opened:
        yield opened


@pytest.fixture(scope="session", params=["bubblewrap", "docker", pytest.param("docker_attach", marks=pytest.mark.slow)])
def executor(request):
    """Each kind of sandbox in turn."""
    return request.getfixturevalue(f"{request.param}_executor")
