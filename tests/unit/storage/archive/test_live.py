"""The archive of a running agent: nothing of a batch is lost, and others get their turn."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from storage.archive import combinations
from storage.archive.archive import Archive
from storage.archive.layout import month_of, partition_path
from storage.archive.live import LiveArchive
from storage.archive.writer import writing
from trading.candles.rows import columns_of, rows_of
from trading.candles.series import SeriesName
from trading.domain.errors import InstanceConflict
from trading.domain.market import Candle
from trading.domain.time import Timeframe

MINUTE, HOUR = Timeframe("1m"), Timeframe("1h")
MINUTE_MS, DAY_MS = 60_000, 86_400_000
START_MS = 1_760_000_040_000
ADA, SOL = "ADA/USDT", "SOL/USDT"
NAME = SeriesName("binance", ADA, "1m")
Closed = tuple[str, Timeframe, Candle]


def candle(number: int, close: float = 100.0, *, timeframe: Timeframe = MINUTE) -> Candle:
    start_ms = START_MS // timeframe.length_ms * timeframe.length_ms
    return Candle(
        *(start_ms + number * timeframe.length_ms, 100.0, 110.0, 90.0, close, 5.0, True),
        quote_volume=500.0,
        trades=7,
        taker_buy_volume=2.0,
    )


def closed(*numbers: int, symbol: str = ADA) -> list[Closed]:
    return [(symbol, MINUTE, candle(number)) for number in numbers]


async def test_what_was_appended_is_loaded_with_all_its_numbers(tmp_path: Path) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append([*closed(0, 1, 2), (SOL, HOUR, candle(0, timeframe=HOUR))])
    await live.append(closed(3))
    assert rows_of(await live.load(ADA, MINUTE, 10)) == [candle(number) for number in range(4)]
    assert rows_of(await live.load(ADA, MINUTE, 2)) == [candle(2), candle(3)]
    assert rows_of(await live.load(SOL, HOUR, 10)) == [candle(0, timeframe=HOUR)]
    assert not len(await live.load("XRP/USDT", MINUTE, 10))
    again = LiveArchive(tmp_path, "binance")
    assert len(await again.load(ADA, MINUTE, 10)) == 4


async def test_what_a_person_has_combined_is_gathered_with_whose_candles_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live, other = LiveArchive(tmp_path, "binance"), SeriesName("kraken", "ADA/USD", "1m")
    await live.append(closed(*range(30, 60)))
    assert await live.gathered(ADA, MINUTE, 100) is None
    with writing(tmp_path) as writer:
        theirs = columns_of([candle(number) for number in range(40)])
        list(writer.store(other, theirs, START_MS + DAY_MS, "test"))
    combinations.keep(tmp_path, (NAME, other))
    found = await live.gathered(ADA, MINUTE, 100)
    assert found is not None
    assert rows_of(found.candles) == [candle(number) for number in range(60)]
    assert found.exchanges == ("binance", "kraken")
    assert found.source.tolist() == [1] * 30 + [0] * 30
    newest = await live.gathered(ADA, MINUTE, 35)
    assert newest is not None
    assert newest.source.tolist() == [1] * 5 + [0] * 30
    assert await live.gathered(SOL, MINUTE, 100) is None
    for path in (tmp_path / "kraken").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    assert await live.gathered(ADA, MINUTE, 100) is None
    assert "not_combined" in caplog.messages


async def test_order_and_doubles_are_no_matter_and_a_hole_stays_one(tmp_path: Path) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append(closed(5, 1, 0))
    await live.append(closed(5, 4))
    held = await live.load(ADA, MINUTE, 10)
    assert ((held.open_time_ms - START_MS) // MINUTE_MS).tolist() == [0, 1, 4, 5]
    await live.append(closed(2, 3))
    assert len(await live.load(ADA, MINUTE, 10)) == 6
    assert Archive(tmp_path).load(NAME).gaps == ()


async def test_months_are_read_from_the_newest_on_and_no_further_than_needed(
    tmp_path: Path,
) -> None:
    live = LiveArchive(tmp_path, "binance")
    month_minutes = 45 * 24 * 60
    await live.append(closed(0, 1, month_minutes, month_minutes + 1))
    with writing(tmp_path):
        pass
    assert len(Archive(tmp_path).months(NAME)) == 2
    assert len(await live.load(ADA, MINUTE, 3)) == 3
    # The older month is not even looked at when the newer one is enough.
    partition_path(tmp_path, NAME, month_of(START_MS)).write_bytes(b"torn")
    assert len(await live.load(ADA, MINUTE, 2)) == 2


async def test_a_damaged_month_is_a_hole_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveArchive(tmp_path, "binance")
    month_minutes = 45 * 24 * 60
    await live.append(closed(0, month_minutes))
    with writing(tmp_path):
        pass
    partition_path(tmp_path, NAME, month_of(START_MS)).write_bytes(b"torn")
    assert rows_of(await live.load(ADA, MINUTE, 5)) == [candle(month_minutes)]
    assert [one.message for one in caplog.records] == ["archive_month_damaged"]


async def test_while_somebody_downloads_batches_are_refused_and_none_is_lost(
    tmp_path: Path,
) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append(closed(0))
    with writing(tmp_path) as other:
        with pytest.raises(InstanceConflict, match="being written"):
            await live.append(closed(1))
        other.store(NAME, columns_of([candle(1), candle(2)]), START_MS + 10 * MINUTE_MS, "test")
    await live.append(closed(1, 2, 3))
    held = await live.load(ADA, MINUTE, 10)
    assert rows_of(held) == [candle(number) for number in range(4)]


async def test_between_batches_anybody_may_write(tmp_path: Path) -> None:
    live = LiveArchive(tmp_path, "binance")
    for number in range(0, 6, 2):
        await live.append(closed(number))
        with writing(tmp_path) as other:
            told = columns_of([candle(number + 1)])
            other.append([(NAME, told)], START_MS + 20 * MINUTE_MS, "test")
    assert len(await live.load(ADA, MINUTE, 10)) == 6


async def test_what_contradicts_the_archive_is_kept_apart_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append(closed(0, 1))
    await live.append([(ADA, MINUTE, candle(1, close=105.0)), *closed(2)])
    assert rows_of(await live.load(ADA, MINUTE, 10)) == [candle(0), candle(1), candle(2)]
    [record] = caplog.records
    assert record.message == "candles_quarantined"
    assert record.__dict__["rejected"] == {"disagrees": 1}


async def test_a_machine_whose_clock_is_behind_keeps_what_has_closed(tmp_path: Path) -> None:
    future = closed(3_000_000)
    live = LiveArchive(tmp_path, "binance")
    await live.append(future)
    assert len(await live.load(ADA, MINUTE, 1)) == 1


async def test_a_full_disk_loses_nothing_that_was_appended_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append(closed(0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("storage.archive.tail.TailFile.append", full)
        with pytest.raises(OSError, match="No space"):
            await live.append(closed(1))
    await live.append(closed(1, 2))
    assert len(await live.load(ADA, MINUTE, 10)) == 3


async def test_a_batch_that_nobody_waits_for_any_more_and_the_next_one_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveArchive(tmp_path, "binance")
    began, go_on = threading.Event(), threading.Event()
    take = live._lock.take

    def slowly() -> None:
        take()
        if not began.is_set():
            began.set()
            assert go_on.wait(10)

    monkeypatch.setattr(live._lock, "take", slowly)
    first = asyncio.ensure_future(live.append(closed(0)))
    await asyncio.to_thread(began.wait, 10)
    first.cancel()
    second = asyncio.ensure_future(live.append(closed(0, 1)))
    await asyncio.sleep(0)
    go_on.set()
    await second
    assert len(await live.load(ADA, MINUTE, 10)) == 2


async def test_a_past_goes_straight_into_its_months(tmp_path: Path) -> None:
    live = LiveArchive(tmp_path, "binance")
    await live.append([*closed(*range(500)), *closed(1, 2, symbol=SOL)])
    assert Archive(tmp_path).appended.names() == [SeriesName("binance", SOL, "1m")]
    await live.append(closed(500))
    held = await live.load(ADA, MINUTE, 1_000)
    assert rows_of(held) == [candle(number) for number in range(501)]


async def test_nothing_to_append_opens_nothing(tmp_path: Path) -> None:
    await LiveArchive(tmp_path / "archive", "binance").append([])
    assert not (tmp_path / "archive").exists()


async def test_what_an_exchange_lacks_is_made_of_the_longest_that_is_held(tmp_path: Path) -> None:
    live, day, three_days = LiveArchive(tmp_path, "kraken"), Timeframe("1d"), Timeframe("3d")
    days = [candle(number, 100.0 + number % 9, timeframe=day) for number in range(200)]
    await live.append([(ADA, day, one) for one in days])
    await live.append(closed(*range(50)))
    made = rows_of(await live.load(ADA, three_days, 1_000))
    assert 65 <= len(made) <= 66, "without what the days begin and end within"
    for one in made:
        own = [each for each in days if 0 <= each.open_time_ms - one.open_time_ms < 3 * DAY_MS]
        assert len(own) == 3
        assert (one.open_time_ms // DAY_MS) % 3 == 0
        assert (one.open, one.close) == (own[0].open, own[-1].close)
        assert (one.volume, one.trades, one.taker_buy_volume) == (15.0, 21, 6.0)
    assert rows_of(await live.load(ADA, three_days, 4)) == made[-4:]
    own_three = [replace(one, close=99.0) for one in made[-3:]]
    await live.append([(ADA, three_days, one) for one in own_three])
    assert rows_of(await live.load(ADA, three_days, 1_000)) == [*made[:-3], *own_three]
    assert len(await live.load(ADA, Timeframe("3m"), 10)) == 10
    assert not len(await live.load(SOL, three_days, 10))
