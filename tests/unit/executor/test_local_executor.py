"""The executor of this process over fake sandboxes: which pools it has, and whether all of them live."""

from fake_sandbox import FakeBackend

from executor.client import LocalExecutor
from executor.pool import SandboxPool


def test_it_is_open_while_the_pools_of_all_profiles_are():
    with LocalExecutor(FakeBackend(), num_workers=1) as executor:
        other = SandboxPool(FakeBackend(), num_workers=1)
        executor._others["torch"] = FakeBackend(), other
        assert executor.is_open
        other.close()
        assert not executor.is_open
