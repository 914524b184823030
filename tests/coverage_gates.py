"""The coverage gates, the last step of `make test`: a room below its gate fails it.

Percentages count lines and branches together.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slipcover

from tests import counting

# What decides about money, and who may tell it to.
STRICT = (
    "trading/domain",
    "trading/trackers",
    "trading/risk",
    "trading/execution",
    "trading/scanner",
    "trading/sim/matching.py",
    "bot/telegram/access.py",
    "bot/telegram/confirm.py",
)
STRICT_PERCENT_MIN = 95
ELSEWHERE_PERCENT_MIN = 85


@dataclass(frozen=True, slots=True)
class Room:
    """A part of the product that has a gate of its own, and what tests reached of it."""

    name: str
    reachable: int
    reached: int

    @property
    def percent(self) -> float:
        """An empty room is fully reached."""
        return 100 * self.reached / self.reachable if self.reachable else 100.0

    @property
    def percent_min(self) -> int:
        """The gate."""
        return STRICT_PERCENT_MIN if self.name in STRICT else ELSEWHERE_PERCENT_MIN

    @property
    def is_open(self) -> bool:
        """Whether the room passes its gate."""
        return self.percent >= self.percent_min


def room_of(path: str) -> str:
    """The strict room that holds a file, else its package (`trading/market`, `bot`)."""
    for strict in STRICT:
        if path == strict or path.startswith(f"{strict}/"):
            return strict
    folders = Path(path).parts[:-1]
    return "/".join(folders[:2])


def rooms(files: Mapping[str, Mapping[str, Any]]) -> list[Room]:
    """Add up SlipCover's summaries of files by room, the lowest percentage first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path, entry in files.items():
        summary, room = entry["summary"], sums[room_of(path)]
        reached = summary["covered_lines"] + summary["covered_branches"]
        room[0] += reached + summary["missing_lines"] + summary["missing_branches"]
        room[1] += reached
    found = [Room(name, reachable, reached) for name, (reachable, reached) in sums.items()]
    return sorted(found, key=lambda room: room.percent - room.percent_min)


def lines(found: Iterable[Room]) -> list[str]:
    """One line per room, as shown under the test run."""
    return [
        f"{'passed' if room.is_open else 'FAILED':<8}{room.percent:6.1f} % of {room.reachable:>6}"
        f"  gate {room.percent_min} %  {room.name}"
        for room in found
    ]


def judge() -> int:
    """Add up what all processes reached, show the rooms, return 1 when one fails its gate."""
    reached = counting.reached()
    found = rooms(reached["files"])
    sys.stdout.write("\n".join(["coverage gates:", *lines(found)]) + "\n")
    closed = {room.name for room in found if not room.is_open}
    if not closed:
        return 0
    missed = {path: told for path, told in reached["files"].items() if room_of(path) in closed}
    slipcover.print_coverage(reached | {"files": missed}, skip_covered=True)
    return 1


if __name__ == "__main__":
    sys.exit(judge())
