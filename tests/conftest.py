"""Interrupts reach the commands under test, and parallel test processes get groups of tests that belong together."""

import logging
import re
import signal

import pytest

# A shell ignores Ctrl-C for what it runs in the background, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST = (
    *("test_hostile_programs", "test_stdin_programs", "test_service", "test_ordinary_user", "test_tensor_programs"),
    *("test_faults", "test_assertions"),
    *("test_study", "test_demo", "test_wheel", "test_fresh_rewards", "test_synthesis"),
)
"""Files that a run starts with, so that none of them is left for the end of a parallel run."""


@pytest.fixture(autouse=True)
def remove_log_handlers():
    """Remove handlers of `serve`, which write to the captured standard error of the test that has called it."""
    yield
    for handler in logging.root.handlers[:]:
        if type(handler) is logging.StreamHandler:
            logging.root.removeHandler(handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    """Put the longest files first, once pytest has grouped tests by their fixtures."""
    result = yield
    ranks = {stem: rank for rank, stem in enumerate(_LONGEST)}
    items.sort(key=lambda item: -1 if item.path.parent.name == "cluster" else ranks.get(item.path.stem, len(ranks)))
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute tests by file with `--dist loadfile`, with two exceptions.

    Those of each kind of sandbox in a file are a group by themselves. The cluster ring is one group, because its tests
    start several processes, which would be too many for two cores together with those of another.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFileSandboxAndCluster(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path, _, name = nodeid.partition("::")
            if path.startswith("tests/cluster/"):
                return "tests/cluster"
            sandbox = re.search(r"\[(bubblewrap|docker)", name)
            return f"{path} {sandbox[1]}" if sandbox else path

    return ByFileSandboxAndCluster(config, log)
