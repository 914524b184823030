"""Replays in another process: the archive's best past, or one that is told, and the way back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot import replaying
from bot.replaying import ReplayWorker, past_of, report_as_json, report_from_json
from storage.archive.archive import Archive
from storage.archive.writer import writing
from tests.unit.trading.scanner.make import walk
from trading.candles.lengthening import lengthened
from trading.candles.series import Candles, series_name
from trading.domain.time import Timeframe
from trading.scanner.engine import ToldPast
from trading.scanner.reporting import report_of

ADA = "ADA/USDT"
SHORT = (Timeframe("15m"), Timeframe("1h"))
FIVE_MINUTES_MS, HOUR_MS = 300_000, 3_600_000
PAST = walk(40 * 288)


def store(root: Path, candles: Candles, timeframe: str, exchange: str = "binance") -> None:
    name = series_name(exchange, ADA, timeframe)
    with writing(root) as writer:
        writer.store(name, candles, int(candles.open_time_ms[-1]) + name.length_ms, "test")


def test_a_report_survives_the_way_back() -> None:
    report = report_of(ADA, SHORT, PAST, FIVE_MINUTES_MS)
    assert report is not None
    again = report_from_json(json.loads(json.dumps(report_as_json(report))))
    assert repr(again) == repr(report)
    mute = replace(report, best=None)
    assert repr(report_from_json(json.loads(json.dumps(report_as_json(mute))))) == repr(mute)


async def test_a_past_that_is_told_is_replayed_in_another_process(tmp_path: Path) -> None:
    worker = ReplayWorker(tmp_path, "binance", deadline_s=60)
    try:
        told = ToldPast(PAST, FIVE_MINUTES_MS)
        report = await worker.replay(ADA, SHORT, told)
        assert repr(report) == repr(report_of(ADA, SHORT, PAST, FIVE_MINUTES_MS))
        assert await worker.replay(ADA, SHORT) is None
        assert worker._child.pid is None, "it ends with its answer"
    finally:
        await worker.close()


async def test_the_archive_is_read_by_the_other_process(tmp_path: Path) -> None:
    store(tmp_path, PAST, "5m")
    worker = ReplayWorker(tmp_path, "binance", deadline_s=60)
    try:
        report = await worker.replay(ADA, SHORT)
        assert repr(report) == repr(report_of(ADA, SHORT, PAST, FIVE_MINUTES_MS))
    finally:
        await worker.close()


def test_the_finest_past_counts_unless_it_is_much_shorter(tmp_path: Path) -> None:
    hours = lengthened(walk(300 * 288), HOUR_MS)
    store(tmp_path, hours, "1h")
    store(tmp_path, walk(300 * 288).take(slice(-10 * 288, None)), "5m")
    assert past_of(Archive(tmp_path), "binance", ADA, (Timeframe("1h"),))[1] == HOUR_MS
    store(tmp_path, walk(300 * 288).take(slice(-200 * 288, None)), "5m")
    candles, length_ms = past_of(Archive(tmp_path), "binance", ADA, (Timeframe("1h"),))
    assert length_ms == FIVE_MINUTES_MS
    assert len(candles) == 200 * 288


def test_what_no_timeframe_can_be_made_of_or_another_market_is_passed_by(tmp_path: Path) -> None:
    store(tmp_path, lengthened(PAST, HOUR_MS), "1h")
    store(tmp_path, PAST, "5m", exchange="kraken")
    candles, length_ms = past_of(Archive(tmp_path), "binance", ADA, SHORT)
    assert (len(candles), length_ms) == (0, 900_000)
    assert len(past_of(Archive(tmp_path), "kraken", ADA, SHORT)[0]) == len(PAST)
    assert len(past_of(Archive(tmp_path / "none"), "kraken", ADA, SHORT)[0]) == 0


def test_a_long_past_is_put_together_month_by_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, PAST, "5m")
    monkeypatch.setattr(replaying, "CANDLES_MAX", 9_000)
    candles, length_ms = past_of(Archive(tmp_path), "binance", ADA, SHORT)
    assert length_ms == 900_000
    assert candles.equals(lengthened(PAST, 900_000))


def test_a_damaged_month_is_a_hole(tmp_path: Path) -> None:
    store(tmp_path, PAST, "5m")
    first, *rest = sorted(tmp_path.rglob("*.parquet"))
    assert rest
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 0xFF
    first.write_bytes(content)
    candles, _ = past_of(Archive(tmp_path), "binance", ADA, SHORT)
    assert 0 < len(candles) < len(PAST)
    assert np.isin(candles.open_time_ms, PAST.open_time_ms).all()
