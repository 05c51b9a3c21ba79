"""Real sandboxes for the hostile tests. Without one they fail, unless ATOMFORGE_SKIP_SANDBOX_TESTS=1 says otherwise."""

import os

import pytest

from executor.client import open_executor


@pytest.fixture(scope="session")
def executor():
    if os.environ.get("ATOMFORGE_SKIP_SANDBOX_TESTS") == "1":
        pytest.skip("ATOMFORGE_SKIP_SANDBOX_TESTS=1")
    with open_executor("bubblewrap", num_workers=1) as opened:
        yield opened
