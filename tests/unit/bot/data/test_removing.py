"""Candles are deleted from the chat between two batches, by the command line when asked first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.data.removal import ArchiveRemoval
from bot.telegram.holdings import Removable
from storage.archive.archive import Archive
from storage.archive.lock import ArchiveLock
from storage.archive.writer import writing
from tests.unit.trading.candles.make import BITCOIN, LATER_MS, MINUTE_MS, walk
from trading.candles.series import SeriesName
from trading.domain.errors import NotInTime, Refused

HOURS = SeriesName(BITCOIN.exchange, BITCOIN.symbol, "1h")
MINUTES = Removable(BITCOIN.exchange, BITCOIN.symbol, BITCOIN.timeframe, 100)
REMOVE = ("data", "remove", "--exchange", "binance", "--symbol", "btc-usdt")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UMBRA_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "archive"
    with writing(root) as writer:
        writer.store(BITCOIN, walk(100), LATER_MS, "a test")
        writer.store(HOURS, walk(50, length_ms=60 * MINUTE_MS), LATER_MS, "a test")
    return root


async def test_what_would_go_is_counted_shortest_candles_first(root: Path) -> None:
    removal = ArchiveRemoval(root, "binance")
    hours = Removable("binance", "BTC/USDT", "1h", 50)
    assert await removal.found("BTCUSDT") == [MINUTES, hours]
    assert await removal.found("BTC/USDT", ("1h",)) == [hours]


@pytest.mark.parametrize(
    ("exchange", "symbol", "timeframes"),
    [("kraken", "BTC/USDT", ()), ("binance", "ETH/USDT", ()), ("binance", "BTC/USDT", ("4h",))],
)
async def test_what_is_not_held_cannot_go(
    exchange: str, symbol: str, timeframes: tuple[str, ...], root: Path
) -> None:
    with pytest.raises(Refused):
        await ArchiveRemoval(root, exchange).found(symbol, timeframes)


async def test_a_removal_waits_for_the_batch_that_is_being_written(root: Path) -> None:
    lock = ArchiveLock(root)
    lock.take()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            lock.release()

    await ArchiveRemoval(root, "binance", sleep).remove([MINUTES])
    assert len(waits) == 3
    assert Archive(root).series_known() == [HOURS]


async def test_a_removal_gives_up_while_somebody_else_keeps_writing(root: Path) -> None:
    lock = ArchiveLock(root)
    lock.take()

    async def sleep(_seconds: float) -> None:
        """Let no time pass."""

    with pytest.raises(NotInTime, match="is being written by"):
        await ArchiveRemoval(root, "binance", sleep).remove([MINUTES])
    lock.release()
    assert Archive(root).series_known() == [HOURS, BITCOIN]


def test_the_command_asks_before_it_deletes(root: Path) -> None:
    said = CliRunner().invoke(app, [*REMOVE], input="n\n")
    assert said.exit_code == 1
    assert "binance BTC/USDT 1m: 100 candles" in said.output
    assert len(Archive(root).series_known()) == 2
    said = CliRunner().invoke(app, [*REMOVE, "--timeframe", "1m"], input="y\n")
    assert said.exit_code == 0, said.output
    assert "100 candles are deleted" in said.output
    assert Archive(root).series_known() == [HOURS]


def test_the_command_asks_nothing_where_it_is_told_so(root: Path) -> None:
    said = CliRunner().invoke(app, [*REMOVE, "--yes"])
    assert said.exit_code == 0, said.output
    assert "150 candles are deleted" in said.output
    assert Archive(root).series_known() == []
