"""The server around the app, in this process and over a fake executor: when it ends."""

import time

import pytest

from executor.service.app import create_app
from executor.service.server import listen, serve
from executor.service.settings import ServiceSettings


class FailingExecutor:
    """Its sandboxes fail after a moment."""

    description = "failing"
    time_factor = 1.0

    def __init__(self):
        self.fails_at = time.monotonic() + 0.5

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.fails_at


def test_a_service_whose_sandboxes_have_failed_ends_so_that_it_can_be_started_again(tmp_path):
    settings = ServiceSettings(unix_socket=str(tmp_path / "socket"))
    app = create_app(FailingExecutor(), settings, None)  # pyright: ignore[reportArgumentType]
    listener, _ = listen(settings)
    began = time.monotonic()
    with listener, pytest.raises(ValueError, match="sandboxes of the service have failed"):
        serve(app, settings, listener)
    assert time.monotonic() - began < 5.0
