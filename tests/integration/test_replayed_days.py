"""Days that happened, from the file through `umbra data import` to what a person is told."""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from storage.archive.archive import Archive
from tests.forking import process as forking
from trading.candles.series import Candles, SeriesName, candles_of
from trading.domain.time import Timeframe, to_ms
from trading.domain.watching import AlertKind, ScoreAlert, ScoreKind, Wishes
from trading.scanner.alerting import AlertRule
from trading.scanner.attention import Present
from trading.scanner.replay import ReplaySettings, ScoreHistory, replay
from trading.scanner.scores import RankScore, Standing, TimeframeScore
from trading.scanner.telling import Told, tell

_PATIENCE_S = 60.0
_DAY_MS = 86_400_000
_COLUMNS = ("open", "high", "low", "close", "volume")


async def imported(shared_data: Path, stem: str, tmp_path: Path) -> Archive:
    """Import one recorded file by the command, and return the archive that it made."""
    file = shared_data / "ohlcv" / f"{stem}.parquet"
    if not file.exists():
        pytest.skip(f"{stem} is not among the recorded market data")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / file.name).symlink_to(file)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}
    environment = kept | {"UMBRA_DATA_DIR": str(tmp_path / "data")}
    async with asyncio.timeout(_PATIENCE_S):
        code, said = await forking.run(("data", "import", str(folder)), environment)
    assert code == 0, said
    return Archive(tmp_path / "data" / "archive")


def recorded(shared_data: Path, stem: str, pair: str = "") -> Candles:
    """The candles as they stand in the file, of one pair where there are several."""
    table = parquet.read_table(shared_data / "ohlcv" / f"{stem}.parquet")
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    rows = columns["pair"] == pair if pair else np.ones(table.num_rows, np.bool_)
    prices = {name: columns[name][rows] for name in _COLUMNS}
    return candles_of({**prices, "open_time_ms": columns["timestamp_ms"][rows]})


def assert_same(stored: Candles, own: Candles) -> None:
    """What was stored is what was recorded, to the last bit."""
    for name in ("open_time_ms", *_COLUMNS):
        assert np.array_equal(getattr(stored, name), getattr(own, name)), name


def scores_of(symbol: str, history: ScoreHistory) -> Iterator[RankScore]:
    """Each moment of a replay as the running scanner would have handed it on."""
    for place in range(len(history)):
        rows = tuple(
            TimeframeScore(timeframe, Standing.SCORED if is_old else Standing.TOO_YOUNG, 40)
            for timeframe, is_old in zip(
                history.timeframes, history.is_old_enough[:, place].tolist(), strict=True
            )
        )
        bull, bear, change = (
            None if isnan(line[place]) else float(line[place])
            for line in (history.bull, history.bear, history.change)
        )
        at_ms, price = int(history.at_ms[place]), float(history.price[place])
        yield RankScore(symbol, at_ms, price, bull, bear, change, rows)


def told_on(symbol: str, history: ScoreHistory, day: datetime) -> list[ScoreAlert]:
    """The crash alerts of a day, to somebody who wishes nothing unusual and is never asleep."""
    told, heard = Told(), []
    for score in scores_of(symbol, history):
        present = Present(score.at_ms, False, {})
        told, messages = tell([(score, AlertRule())], told, Wishes(), present)
        if to_ms(day) < score.at_ms <= to_ms(day) + _DAY_MS:
            heard += [alert for message in messages for alert in message.alerts]
    return [alert for alert in heard if alert.kind is ScoreKind.BEAR]


def timeframes(names: str) -> tuple[Timeframe, ...]:
    return tuple(Timeframe(name) for name in names.split())


@pytest.mark.slow
async def test_2021_05_19_is_told_as_it_crosses_and_up_to_the_full_score(
    shared_data: Path, tmp_path: Path
) -> None:
    stem = "BINANCE_ADA-USDT_5m__2020-12_2021-07"
    archive = await imported(shared_data, stem, tmp_path)
    stored = archive.load(SeriesName("binance", "ADA/USDT", "5m")).candles
    assert_same(stored, recorded(shared_data, stem))
    history = replay(stored, 300_000, ReplaySettings(timeframes("1h 4h 12h 1d 3d")))
    told = told_on("ADA/USDT", history, datetime(2021, 5, 19, tzinfo=UTC))
    assert told[0].reason is AlertKind.CROSSED
    assert max(alert.score for alert in told) == 1.0
    assert all(alert.too_young == () for alert in told)
    # A further rise is one, and whoever was told of the full score hears it once.
    rises = [alert for alert in told if alert.reason is AlertKind.ROSE]
    assert rises
    assert all(alert.score > (alert.before or 0) for alert in rises)


@pytest.mark.slow
async def test_2025_10_10_is_told_in_full_over_what_is_old_enough_with_the_rest_named(
    shared_data: Path, tmp_path: Path
) -> None:
    stem = "BINANCEFUT_BTC-USDT_5m__crash-2025-10-10"
    archive = await imported(shared_data, stem, tmp_path)
    own = recorded(shared_data, stem)
    [name] = archive.series()
    stored = archive.load(name).candles
    assert_same(stored, own)
    setting = ReplaySettings(timeframes("15m 1h 4h 12h 1d 3d"), skipped_ms=0)
    history = replay(stored, 300_000, setting)
    told = told_on("BTC/USDT", history, datetime(2025, 10, 10, tzinfo=UTC))
    assert max(alert.score for alert in told) == 1.0
    assert {alert.too_young for alert in told} == {timeframes("1d 3d")}


@pytest.mark.slow
async def test_2022_11_09_is_told_up_to_a_quarter_of_an_hour_and_calls_the_rest_too_young(
    shared_data: Path, tmp_path: Path
) -> None:
    stem = "BINANCE_MULTI-USDT_1m__2022-11-09-ftx"
    archive = await imported(shared_data, stem, tmp_path)
    setting = ReplaySettings(timeframes("1m 3m 5m 15m 30m 1h 4h 1d"), skipped_ms=0, taught_ms=0)
    crashed = []
    for name in archive.series():
        stored = archive.load(name).candles
        pair = recorded(shared_data, stem, name.symbol.replace("/", "-"))
        # The last candle of each pair had not closed, so it is not stored.
        assert_same(stored, pair.take(slice(0, len(pair) - 1)))
        history = replay(stored, 60_000, setting)
        told = told_on(name.symbol, history, datetime(2022, 11, 9, tzinfo=UTC))
        young = timeframes("30m 1h 4h 1d")
        if any(alert.too_young == young for alert in told):
            crashed.append(name.symbol)
        assert all(set(young) <= set(alert.too_young) for alert in told)
    assert len(crashed) >= 15
