"""What `atomforge validate` and `test` print at their end, in the place of Lightning's table, which cuts names off."""

from collections.abc import Mapping

STATUS = "status/"


def metric_lines(metrics: Mapping[str, float]) -> list[str]:
    """Write a line a metric, `loss/val  0.3471`, by name; statuses that did not occur are left out."""
    shown = {tag: value for tag, value in sorted(metrics.items()) if value != 0 or not tag.startswith(STATUS)}
    width = max(map(len, shown), default=0)
    return [f"{tag:<{width}}  {value:.4g}" for tag, value in shown.items()]
