"""A clock for tests of rates and times left."""


class Clock:
    """Takes the place of `time` in a module; stands still until it is told the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now
