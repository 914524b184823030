"""What the archive holds, as the chat is told of it."""

from dataclasses import replace
from pathlib import Path

from bot.data.holdings import ArchiveHoldings
from bot.telegram.holdings import HeldCombination, HeldSeries
from storage.archive import combinations
from storage.archive.archive import Archive
from storage.archive.layout import month_of, partition_path
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, START_MS, walk

ETHER = replace(BITCOIN, symbol="ETH/USDT")
KRAKEN = replace(BITCOIN, exchange="kraken", symbol="BTC/USD")


async def _series(root: Path) -> list[HeldSeries]:
    found = await ArchiveHoldings(root).held(0, 5)
    series = [one for one in found if isinstance(one, HeldSeries)]
    assert len(series) == len(found)
    return series


async def test_an_archive_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    held = ArchiveHoldings(tmp_path / "archive")
    assert await held.counts() == (0, 0)
    assert await held.held(0, 5) == []


async def test_each_series_tells_its_span_its_gaps_and_its_size(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for name in (ETHER, BITCOIN):
            candles = walk(100)
            list(writer.store(name, candles.take([*range(40), *range(43, 100)]), LATER_MS, "test"))
    held = ArchiveHoldings(tmp_path)
    assert await held.counts() == (2, 0)
    assert len(await held.held(0, 1)) == 1
    bitcoin, ether = await _series(tmp_path)
    assert (bitcoin.symbol, ether.symbol) == ("BTC/USDT", "ETH/USDT")
    assert (bitcoin.exchange, bitcoin.timeframe) == (BITCOIN.exchange, BITCOIN.timeframe)
    assert (bitcoin.candles, bitcoin.gaps, bitcoin.missing, bitcoin.damaged) == (97, 1, 3, 0)
    assert (bitcoin.first_ms, bitcoin.last_ms) == (START_MS, START_MS + 99 * MINUTE_MS)
    file = partition_path(tmp_path, BITCOIN, month_of(START_MS))
    assert bitcoin.size_bytes == file.stat().st_size


async def test_a_month_that_cannot_be_believed_is_counted_and_left_out(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        list(writer.store(BITCOIN, walk(10), LATER_MS, "test"))
    file = partition_path(tmp_path, BITCOIN, month_of(START_MS))
    file.write_bytes(file.read_bytes()[:-20])
    [bitcoin] = await _series(tmp_path)
    assert (bitcoin.candles, bitcoin.damaged) == (0, 1)
    assert (bitcoin.first_ms, bitcoin.last_ms) == (None, None)


async def test_a_month_whose_file_vanished_is_told_as_lost(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        list(writer.store(BITCOIN, walk(10), LATER_MS, "test"))
    partition_path(tmp_path, BITCOIN, month_of(START_MS)).unlink()
    assert await ArchiveHoldings(tmp_path).counts() == (1, 0)
    [bitcoin] = await _series(tmp_path)
    assert (bitcoin.candles, bitcoin.lost) == (0, str(month_of(START_MS)))


async def test_a_combined_history_tells_whose_candles_it_has(tmp_path: Path) -> None:
    whole = walk(100)
    with writing(tmp_path) as writer:
        list(writer.store(BITCOIN, whole.take(slice(30, 100)), LATER_MS, "test"))
        list(writer.store(KRAKEN, whole.take(slice(0, 40)), LATER_MS, "test"))
    combinations.keep(tmp_path, (BITCOIN, KRAKEN))
    held = ArchiveHoldings(tmp_path)
    assert await held.counts() == (2, 1)
    assert await held.held(2, 5) == [
        HeldCombination(
            BITCOIN.symbol,
            BITCOIN.timeframe,
            ((BITCOIN.exchange, 70), ("kraken BTC/USD", 30)),
            START_MS,
            START_MS + 99 * MINUTE_MS,
        )
    ]


async def test_a_combined_history_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    combinations.keep(tmp_path, (BITCOIN, KRAKEN))
    [combined] = await ArchiveHoldings(tmp_path).held(0, 5)
    assert isinstance(combined, HeldCombination)
    assert "should have candles, has none" in combined.problem


async def test_damaged_months_are_told_apart_by_whether_they_are_held_again(tmp_path: Path) -> None:
    past = walk(3_000, length_ms=3_600_000)
    hours = replace(BITCOIN, timeframe="1h")
    with writing(tmp_path) as writer:
        list(writer.store(hours, past, LATER_MS, "test"))
    for month in Archive(tmp_path).months(hours)[:2]:
        partition_path(tmp_path, hours, month).write_bytes(b"torn")
    with writing(tmp_path) as writer:
        writer.quarantine_damaged()
        list(writer.store(hours, past.take(slice(0, 744)), LATER_MS, "test"))
    [held] = await _series(tmp_path)
    assert (held.set_aside, held.replaced, held.lost) == ("2021-06", "2021-05", "2021-06")
