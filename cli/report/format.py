"""Formats numbers of a report: fractions as percent, differences in points, each with its interval."""

from __future__ import annotations

from lightning_modules.evaluation.statistics import Interval

MINUS = "\N{MINUS SIGN}"


def percent(fraction: float) -> str:
    """0.413 -> 41.3%."""
    return f"{_signed(100 * fraction, plus=False)}%"


def percent_with_interval(interval: Interval) -> str:
    """41.3% (38.0 to 44.9)."""
    low, high = (_signed(100 * end, plus=False) for end in (interval.low, interval.high))
    return f"{percent(interval.mean)} ({low} to {high})"


def percent_tick(fraction: float) -> str:
    """0.05 -> 5%, on an axis."""
    return f"{100 * fraction:g}%"


def points(difference: float) -> str:
    """0.031 -> +3.1."""
    return _signed(100 * difference, plus=True)


def points_with_interval(interval: Interval) -> str:
    """+3.1 points (0.4 to 5.9)."""
    low, high = (_signed(100 * end, plus=False) for end in (interval.low, interval.high))
    return f"{points(interval.mean)} points ({low} to {high})"


def points_tick(difference: float) -> str:
    """0.05 -> +5, on an axis."""
    return f"{100 * difference:+g}".replace("-", MINUS) if difference else "0"


def probability(p_value: float) -> str:
    """Four decimals; a bootstrap of 10,000 draws does not resolve values below 0.0002."""
    return f"{p_value:.4f}" if p_value >= 0.001 else f"{p_value:.1g}" if p_value > 0.0002 else "below 0.0002"


def minutes(amount: float) -> str:
    """12.34 -> 12 min; 0.4 -> 24 s; 150 -> 2.5 h."""
    if amount < 2:
        return f"{60 * amount:.0f} s"
    return f"{amount:.0f} min" if amount < 120 else f"{amount / 60:.1f} h"


def short(value: float) -> str:
    """At most three digits."""
    if value == 0:
        return "0"
    digits = f"{abs(value):.3g}" if abs(value) >= 0.001 else f"{abs(value):.1e}"
    return (MINUS if value < 0 else "") + digits


def count(number: int, noun: str, plural: str | None = None) -> str:
    """3, "seed" -> 3 seeds."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _signed(value: float, *, plus: bool) -> str:
    text = f"{abs(value):.1f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+" if plus else "") + text
