"""Interrupts reach the commands under test, and parallel test processes get groups of tests that belong together."""

import signal

import pytest

# A shell ignores Ctrl-C for what it runs in the background, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LONGEST = ("test_hostile_programs", "test_assertions", "test_ordinary_user", "test_service", "test_tensor_programs")
"""Files that a parallel run starts with, so that none of them is left for its end."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """Group tests for `--dist loadgroup` by their file, and within it by the kind of sandbox."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{_find_backend(item)}"))
    result = yield
    items.sort(key=lambda item: _LONGEST.index(item.path.stem) if item.path.stem in _LONGEST else len(_LONGEST))
    return result


def _find_backend(item) -> str:
    """Return the kind of sandbox that a test is parametrized with, or an empty string."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    backends = [str(params[name]).partition("-")[0] for name in ("executor", "graded", "backend") if name in params]
    return next((backend for backend in backends if backend in ("bubblewrap", "docker")), "")
