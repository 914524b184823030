"""Candles that were damaged on disk are told in one message, and again when they are back."""

from pathlib import Path

import pytest

from bot.archive_watch import ARCHIVE_DAMAGED, ArchiveWatch
from storage.archive.archive import Archive
from storage.archive.layout import Month, partition_path
from storage.archive.live import LiveArchive
from storage.archive.writer import writing
from tests.fakes.clock import FakeClock
from tests.unit.trading.candles.make import LATER_MS, MINUTE_MS, walk
from trading.candles.rows import rows_of
from trading.candles.series import SeriesName
from trading.domain.chat import Severity
from trading.domain.errors import StorageLost
from trading.domain.events import ConditionChanged
from trading.domain.time import Timeframe

_HOUR_MS = 60 * MINUTE_MS
_ADA = SeriesName("binance", "ADA/USDT", "1h")
_SOL = SeriesName("binance", "SOL/USDT", "1h")
_PAST = walk(3_000, length_ms=_HOUR_MS)
_MAY, _JUNE = Month(2021, 5), Month(2021, 6)


class _Owner:
    """Reads what is recorded, as the agent's state does."""

    def __init__(self) -> None:
        self.told: list[ConditionChanged] = []
        self.is_disk_lost = False

    async def record(self, event: ConditionChanged) -> None:
        if self.is_disk_lost:
            raise StorageLost("disk full")
        self.told.append(event)

    @property
    def is_told(self) -> bool:
        return bool(self.told) and self.told[-1].is_active


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two series, of each of which May and June are damaged."""
    with writing(tmp_path) as writer:
        for name in (_ADA, _SOL):
            writer.store(name, _PAST, LATER_MS, "a test")
    for name in (_ADA, _SOL):
        for month in (_MAY, _JUNE):
            path = partition_path(tmp_path, name, month)
            path.write_bytes(path.read_bytes()[:-9])
    return tmp_path


def _watched(root: Path) -> tuple[LiveArchive, ArchiveWatch]:
    watch = ArchiveWatch(root, FakeClock())
    return LiveArchive(root, "binance", watch.note), watch


async def _told_again(live: LiveArchive, *names: SeriesName) -> None:
    """The exchange tells the past once more, as it does when a symbol is warmed."""
    for name in names:
        await live.append([(name.symbol, Timeframe("1h"), one) for one in rows_of(_PAST)])


async def test_months_found_damaged_are_told_together_and_once(archive: Path) -> None:
    live, watch = _watched(archive)
    owner = _Owner()
    for name in (_ADA, _SOL, _ADA):
        await live.load(name.symbol, Timeframe("1h"), 10_000)
    await watch.look(owner.record, owner.is_told)
    await live.load(_ADA.symbol, Timeframe("1h"), 10_000)
    await watch.look(owner.record, owner.is_told)
    (said,) = owner.told
    assert (said.condition, said.is_active, said.severity) == (ARCHIVE_DAMAGED, True, Severity.WARN)
    assert "binance ADA/USDT 1h 2021-05, 2021-06; binance SOL/USDT 1h 2021-05, 2021-06" in said.text
    assert "/data" in said.text
    await _told_again(live, _ADA)
    await watch.look(owner.record, owner.is_told)
    assert len(owner.told) == 1
    await _told_again(live, _SOL)
    await watch.look(owner.record, owner.is_told)
    await watch.look(owner.record, owner.is_told)
    assert [one.is_active for one in owner.told] == [True, False]
    assert "SOL/USDT 1h 2021-05, 2021-06; all of it is held again" in owner.told[1].text
    assert Archive(archive).set_aside(_ADA) == [_MAY, _JUNE]


async def test_what_was_replaced_before_anybody_was_told_is_one_message(archive: Path) -> None:
    live, watch = _watched(archive)
    owner = _Owner()
    await _told_again(live, _ADA, _SOL)
    await watch.look(owner.record, owner.is_told)
    (said,) = owner.told
    assert not said.is_active
    assert "ADA/USDT 1h 2021-05, 2021-06" in said.text
    assert "held again" in said.text


async def test_what_an_earlier_process_told_ends_once_it_is_back(archive: Path) -> None:
    with writing(archive) as writer:
        assert len(writer.quarantine_damaged()) == 4
    live, watch = _watched(archive)
    owner = _Owner()
    await watch.look(owner.record, True)
    assert owner.told == []
    await _told_again(live, _ADA, _SOL)
    await watch.look(owner.record, True)
    assert [one.is_active for one in owner.told] == [False]


async def test_a_lost_disk_keeps_nothing_from_being_told_later(archive: Path) -> None:
    live, watch = _watched(archive)
    owner = _Owner()
    await live.load(_ADA.symbol, Timeframe("1h"), 10_000)
    owner.is_disk_lost = True
    looks = 0

    async def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            owner.is_disk_lost = False
        if looks == 3:
            raise _EnoughError

    with pytest.raises(_EnoughError):
        await watch.run(owner.record, lambda: owner.is_told, sleep)
    assert [one.is_active for one in owner.told] == [True]


class _EnoughError(Exception):
    """The watch has looked often enough."""


async def test_of_many_series_some_are_named(tmp_path: Path) -> None:
    names = [SeriesName("binance", f"C{number}/USDT", "1h") for number in range(7)]
    with writing(tmp_path) as writer:
        for name in names:
            writer.store(name, walk(5, length_ms=_HOUR_MS), LATER_MS, "a test")
    live, watch = _watched(tmp_path)
    owner = _Owner()
    for name in names:
        partition_path(tmp_path, name, _MAY).write_bytes(b"torn")
        await live.load(name.symbol, Timeframe("1h"), 10)
    await watch.look(owner.record, owner.is_told)
    (said,) = owner.told
    assert "C3/USDT 1h 2021-05 and 3 more series" in said.text
