"""What a program may use, and which limits make sense."""

from dataclasses import dataclass, replace

MAX_TIME_S = 1e6
MIN_MEMORY_BYTES = 32 << 20
"""Python alone maps some 20 MiB. With 16 MiB right programs died of a deep call or a list; with 24 they ran."""
MAX_MEMORY_BYTES = 1 << 40
MAX_TEXT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use, all of its calls together.

    Limits that no right program could keep, or no kernel, are refused here: they would make every verdict a failure.
    """

    cpu_time_s: float = 2.0
    wall_time_s: float = 6.0
    memory_bytes: int = 256 << 20
    """Address space of each process."""
    output_bytes: int = 1 << 20
    """Encoded results of all calls."""
    source_bytes: int = 64 << 10

    def __post_init__(self) -> None:
        for name in ("cpu_time_s", "wall_time_s"):
            value = getattr(self, name)
            if type(value) is bool or not isinstance(value, int | float) or not 0 < value <= MAX_TIME_S:
                raise ValueError(
                    f"limits: {name} must be above 0 and at most {MAX_TIME_S:.0f} seconds, not {value!r:.40}"
                )
        for name, least, most in (
            ("memory_bytes", MIN_MEMORY_BYTES, MAX_MEMORY_BYTES),
            ("output_bytes", 1, MAX_TEXT_BYTES),
            ("source_bytes", 1, MAX_TEXT_BYTES),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"limits: {name} must be an integer from {least} to {most}, not {value!r:.40}")

    def scaled(self, time_factor: float) -> "Limits":
        """Return the same with times for a machine that takes `time_factor` times as long."""
        return self._timed(self.cpu_time_s * time_factor, self.wall_time_s * time_factor)

    def lengthened(self, seconds: float) -> "Limits":
        """Return the same with more time."""
        return self._timed(self.cpu_time_s + seconds, self.wall_time_s + seconds)

    def _timed(self, cpu_time_s: float, wall_time_s: float) -> "Limits":
        return replace(self, cpu_time_s=min(cpu_time_s, MAX_TIME_S), wall_time_s=min(wall_time_s, MAX_TIME_S))


DEFAULT_LIMITS = Limits()
