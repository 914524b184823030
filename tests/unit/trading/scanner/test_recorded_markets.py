"""The scanner on days that happened: three crashes, and what could be known of them at the time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from trading.candles.series import Candles, candles_of
from trading.domain.time import Timeframe, to_ms
from trading.scanner.aftermath import after_crashes, aftermath
from trading.scanner.points import Method
from trading.scanner.replay import ReplaySettings, ScoreHistory, replay
from trading.scanner.scores import ScoreSignal, signal
from trading.scanner.walk_forward import Costs, ScoredCandles, SearchSettings, best_thresholds

pytestmark = pytest.mark.uncounted

MINUTE_MS = 60_000
DAY_MS = 86_400_000


def read(folder: Path, name: str) -> dict[str, np.ndarray[Any, Any]]:
    path = folder / "ohlcv" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{name} is not among the recorded market data")
    table = parquet.read_table(path)
    return {column: table.column(column).to_numpy() for column in table.column_names}


def candles(columns: dict[str, np.ndarray[Any, Any]]) -> Candles:
    prices = {name: columns[name] for name in ("open", "high", "low", "close", "volume")}
    return candles_of({**prices, "open_time_ms": columns["timestamp_ms"]})


def timeframes(names: str) -> tuple[Timeframe, ...]:
    return tuple(Timeframe.parse(name) for name in names.split())


def worst_of(scores: ScoreHistory, day: datetime) -> int:
    """Where the bear score was highest on a day; of equals the first."""
    on_day = (scores.at_ms > to_ms(day)) & (scores.at_ms <= to_ms(day) + DAY_MS)
    assert on_day.any()
    return int(np.where(on_day, np.nan_to_num(scores.bear, nan=-1), -1).argmax())


@pytest.mark.parametrize("method", Method)
def test_2021_05_19_reaches_the_full_bear_score_and_asks_to_buy(
    shared_data: Path, method: Method
) -> None:
    columns = read(shared_data, "BINANCE_ADA-USDT_5m__2020-12_2021-07")
    setting = ReplaySettings(timeframes("1h 4h 12h 1d 3d"), method)
    scores = replay(candles(columns), 5 * MINUTE_MS, setting)
    worst = worst_of(scores, datetime(2021, 5, 19, tzinfo=UTC))
    assert scores.is_old_enough[:, worst].all()
    assert scores.bear_points[:, worst].tolist() == [6] * 5
    assert scores.bear[worst] == 1.0
    assert signal(scores.bull[worst], scores.bear[worst]) is ScoreSignal.BUY
    # Within an hour of the worst candle of that day, 12:50.
    assert abs(scores.at_ms[worst] - to_ms(datetime(2021, 5, 19, 12, 50, tzinfo=UTC))) <= 3_600_000


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("skipped_days", [0, 3])
def test_2025_10_10_reaches_the_full_score_over_the_timeframes_that_are_old_enough(
    shared_data: Path, method: Method, skipped_days: int
) -> None:
    columns = read(shared_data, "BINANCEFUT_BTC-USDT_5m__crash-2025-10-10")
    setting = ReplaySettings(
        timeframes("15m 1h 4h 12h 1d 3d"), method, skipped_days * DAY_MS, 21 * DAY_MS
    )
    scores = replay(candles(columns), 5 * MINUTE_MS, setting)
    worst = worst_of(scores, datetime(2025, 10, 10, tzinfo=UTC))
    old = scores.is_old_enough[:, worst]
    # 21 days and 21 hours: 43 candles of 12 hours, or 37 without the first three days.
    assert old.tolist() == [True, True, True, skipped_days == 0, False, False]
    assert (scores.bear_points[old, worst] == 6).all()
    assert scores.bear[worst] == 1.0
    assert scores.at_ms[worst] == to_ms(datetime(2025, 10, 10, 21, 15, tzinfo=UTC))


def test_2022_11_09_alerts_on_short_timeframes_and_calls_the_rest_too_young(
    shared_data: Path,
) -> None:
    columns = read(shared_data, "BINANCE_MULTI-USDT_1m__2022-11-09-ftx")
    setting = ReplaySettings(timeframes("1m 3m 5m 15m 30m 1h 4h 1d"), skipped_ms=0, taught_ms=0)
    alerted = []
    for pair in np.unique(columns["pair"]):
        rows = np.flatnonzero(columns["pair"] == pair)
        # The last candle of each pair had not closed.
        own = candles({name: column[rows[:-1]] for name, column in columns.items()})
        scores = replay(own, MINUTE_MS, setting)
        assert scores.is_old_enough[:, -1].tolist() == [True] * 4 + [False] * 4
        on_all_four = scores.is_old_enough[:4].all(axis=0)
        if np.nanmax(scores.bear[on_all_four]) >= 0.5:
            alerted.append(pair)
    assert len(alerted) >= 15, "a market that collapses is no quiet day for most of its coins"


def test_what_followed_the_crash_scores_of_half_a_year_is_told_with_its_sample(
    shared_data: Path,
) -> None:
    own = candles(read(shared_data, "BINANCE_ADA-USDT_5m__2020-12_2021-07"))
    setting = ReplaySettings(timeframes("1h 4h 12h 1d 3d"))
    scores = replay(own, 5 * MINUTE_MS, setting)
    *_, full = after_crashes(scores.bear, aftermath(own, 5 * MINUTE_MS))
    assert full.score == 1.0
    assert 1 < full.episodes <= full.moments[0]
    # The coin recovered after each of its worst crashes of that half year.
    assert all(best > 0 for best in full.best)
    found = best_thresholds(
        ScoredCandles(scores.bull, scores.bear, own.open, own.close),
        SearchSettings(timeframes=5, costs=Costs(fee=0.001, slippage=0.0005)),
    )
    assert found is not None
    assert found.in_sample.round_trips >= 3
    assert found.out_of_sample.round_trips == sum(one.outcome.round_trips for one in found.folds)
    assert found.in_sample.profit > found.out_of_sample.profit, "chosen with hindsight, so better"
    # Half a year of rising prices: holding did better than trading it, and that stands beside it.
    assert found.held > found.out_of_sample.profit


def test_a_market_that_hardly_trades_scores_only_what_moved(shared_data: Path) -> None:
    columns = read(shared_data, "BINANCEUS_BTC-USDC_1m__2023-03")
    own = candles(columns)
    assert (columns["volume"] == 0).sum() > 10_000, "minutes without a trade are the point"
    scores = replay(own, MINUTE_MS, ReplaySettings(timeframes("1m"), Method.RANK, 0, 0))
    stood_still = own.close == own.open
    assert stood_still.sum() > 10_000
    assert scores.bull_points[0, stood_still].max() == 0
    assert scores.bear_points[0, stood_still].max() == 0
    assert scores.bear_points[0].max() == 6
