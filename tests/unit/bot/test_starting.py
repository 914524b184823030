"""A start waits for a full disk as it waits for an exchange, and for no broken one."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from bot.starting import Start
from tests.fakes.clock import FakeClock
from trading.domain.errors import StorageLost


@dataclass
class _Parts:
    """Agent, store and marks of a start, as far as it asks them."""

    free_at_look: int
    is_broken: bool = False
    is_ready: bool = False
    becomes_ready: bool = False
    looks: int = 0
    recoveries: int = 0
    restores: int = 0
    findings_told: list[str] = field(default_factory=list)

    @property
    def journal(self) -> "_Parts":
        return self

    @property
    def alarms(self) -> "_Parts":
        return self

    findings = ("the database takes no writes",)

    def forget_lost(self) -> None:
        self.findings_told.append("")

    async def alert(self, _: str, text: str) -> None:
        self.findings_told.append(text)

    async def append(self) -> int:
        self.looks += 1
        if self.looks < self.free_at_look:
            raise StorageLost("disk full")
        return 1

    async def recover(self) -> None:
        self.recoveries += 1
        if self.looks < self.free_at_look:
            self.is_ready = self.becomes_ready
            raise StorageLost("disk full")

    async def restore(self) -> None:
        self.restores += 1


class _NoMarks:
    def findings(self) -> dict[str, str]:
        return {}


async def _silent(_: str) -> bool:
    raise AssertionError("a start that waits for the disk is told by the watch on it")


def _start(parts: _Parts, slept: list[float]) -> Start:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock = FakeClock(datetime(2026, 11, 20, tzinfo=UTC))
    return Start(parts, parts, _NoMarks(), clock, _silent, sleep)  # type: ignore[arg-type]


async def test_a_start_on_a_full_disk_goes_on_when_there_is_room() -> None:
    parts, slept = _Parts(free_at_look=4), []  # type: tuple[_Parts, list[float]]
    await _start(parts, slept).run(parts.restore)
    # The exchange is asked once before and once after, however long the disk is full.
    assert (parts.recoveries, parts.restores, slept) == (2, 1, [1.0] * 4)
    assert parts.findings_told == ["", "the database takes no writes"]


@pytest.mark.parametrize("fate", ["is_broken", "becomes_ready"])
async def test_a_start_without_a_database_ends_and_so_does_one_that_watched(fate: str) -> None:
    slept: list[float] = []
    parts = _Parts(free_at_look=4, **{fate: True})  # type: ignore[arg-type]
    with pytest.raises(StorageLost):
        await _start(parts, slept).run(parts.restore)
    assert (parts.recoveries, slept) == (1, [])
