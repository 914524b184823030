"""The one table that every benchmark fills: id, workload, figure, goal, ok."""

from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = ("id", "workload", "figure", "goal", "ok")


class NotDone(Exception):
    """A benchmark did not do its work, so that its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its goal; a figure without a goal is always met."""

    identity: str
    workload: str
    figure: str
    goal: str = "-"
    is_met: bool = True

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as words."""
        is_ok = "" if self.goal == "-" else "ok" if self.is_met else "MISSED"
        return (self.identity, self.workload, self.figure, self.goal, is_ok)


def at_most(identity: str, workload: str, value: float, most: float, unit: str) -> Row:
    """Return a row whose figure should not exceed its goal."""
    digits = 0 if most >= 100 else 1 if most >= 10 else 2
    return Row(
        identity, workload, f"{value:.{digits}f} {unit}", f"<= {most:g} {unit}", value <= most
    )


def table(rows: Sequence[Row]) -> str:
    """Return all rows under one head, aligned."""
    lines = [_HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
