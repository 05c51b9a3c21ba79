"""A worker as a plain process, shared by the tests of this directory."""

import pytest

from executor.backends.process import ProcessBackend
from tests.support.sandbox_driver import SandboxDriver


@pytest.fixture(scope="module")
def driver():
    opened = SandboxDriver(ProcessBackend())
    yield opened
    opened.close()
