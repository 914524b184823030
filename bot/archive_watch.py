"""Tells that candles were damaged on disk, all of a look in one message, and when they are back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import groupby
from pathlib import Path

from storage.archive.archive import Archive, DamagedMonth
from storage.archive.layout import Month, months_named
from trading.candles.series import SeriesName
from trading.domain.chat import Severity
from trading.domain.errors import StorageLost
from trading.domain.events import ConditionChanged
from trading.ports.clock import Clock

ARCHIVE_DAMAGED = "archive_damaged"
# What is found within it is told together: a bad disk damages many months, read one by one.
LOOK_S = 30.0
_SERIES_NAMED_MAX = 4
_Months = set[tuple[SeriesName, Month]]


class ArchiveWatch:
    """Hears of damaged months and looks whether they are held again."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._archive = Archive(root)
        self._clock = clock
        self._untold: _Months = set()
        self._awaited: _Months = set()
        self._is_begun = False

    def note(self, damaged: Iterable[DamagedMonth]) -> None:
        """Remember months that cannot be believed; each is told once until it is back."""
        self._untold |= {(one.name, one.month) for one in damaged} - self._awaited

    async def run(
        self,
        record: Callable[[ConditionChanged], Awaitable[None]],
        is_told: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Look each half a minute until cancelled; `is_told` is whether damage is in force."""
        while True:
            await sleep(LOOK_S)
            # On a lost disk the storage watch tells what matters more; the next look tries again.
            with contextlib.suppress(StorageLost):
                await self.look(record, is_told())

    async def look(
        self, record: Callable[[ConditionChanged], Awaitable[None]], is_told: bool
    ) -> None:
        """Look once; tell what is damaged and was not told, or that all of it is back."""
        if is_told and not self._is_begun:
            # An earlier process has told; only the disk knows of what.
            self._awaited |= await asyncio.to_thread(self._set_aside)
        self._is_begun = True
        if not self._untold and not is_told:
            return
        untold = set(self._untold)
        known = untold | self._awaited
        lacking = await asyncio.to_thread(self._lacking, known)
        if lacking and untold:
            await record(self._changed(True, f"{_damaged(known)}. {_NOT_YET}"))
        elif not lacking:
            await record(self._changed(False, f"{_damaged(known)}; all of it is held again"))
        self._untold -= untold
        self._awaited = lacking

    def _changed(self, is_active: bool, text: str) -> ConditionChanged:
        severity = Severity.WARN if is_active else Severity.INFO
        return ConditionChanged(ARCHIVE_DAMAGED, None, is_active, severity, text, self._clock.now())

    def _set_aside(self) -> _Months:
        names = self._archive.series_known()
        return {(name, month) for name in names for month in self._archive.set_aside(name)}

    def _lacking(self, months: _Months) -> _Months:
        return {(name, month) for name, month in months if self._is_lacking(name, month)}

    def _is_lacking(self, name: SeriesName, month: Month) -> bool:
        holding = self._archive.load(name, month.opens(name.length_ms))
        return bool(holding.damaged) or month in holding.lost_months


_NOT_YET = (
    "What is watched of it is asked from the exchange again, the rest comes with umbra data "
    "download; /data shows what is back"
)


def _damaged(months: Collection[tuple[SeriesName, Month]]) -> str:
    if not months:
        return "candles were damaged on disk and kept apart"
    by_series = [
        f"{name} {months_named(month for _, month in found)}"
        for name, found in groupby(sorted(months), key=lambda one: one[0])
    ]
    named, more = by_series[:_SERIES_NAMED_MAX], len(by_series) - _SERIES_NAMED_MAX
    others = f" and {more} more series" if more > 0 else ""
    return f"Candles were damaged on disk and are kept apart: {'; '.join(named)}{others}"
