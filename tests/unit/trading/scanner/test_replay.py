"""Replay: what it says of a moment is what a running scanner would have said then."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import walk, with_holes
from trading.candles.series import Candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
from trading.scanner.history import RankHistory
from trading.scanner.metrics import metrics
from trading.scanner.points import Method
from trading.scanner.rating import Monitored, rate
from trading.scanner.replay import ReplaySettings, ScoreHistory, replay
from trading.scanner.scores import RankScore

FIVE_MINUTES_MS = 300_000
DAY_MS = 86_400_000
SHORT = (Timeframe("5m"), Timeframe("15m"), Timeframe("1h"))
AT_ONCE = ReplaySettings(SHORT, skipped_ms=0, taught_ms=0)


class Incremental:
    """A scanner that learns of one five-minute candle after the other."""

    def __init__(self, timeframes: tuple[Timeframe, ...], method: Method, began_ms: int) -> None:
        self._method = method
        self._began_ms = began_ms
        self._histories = {timeframe: RankHistory() for timeframe in timeframes}
        self._running: dict[Timeframe, Candle] = {}

    def take(self, candle: Candle) -> RankScore:
        for timeframe in self._histories:
            self._running[timeframe] = self._continued(timeframe, candle)
        moment = (candle.open_time_ms + FIVE_MINUTES_MS - 1, candle.close)
        asked = Monitored("A/B", *moment, self._histories, self._running)
        [score] = rate([asked], self._method)
        return score

    def _continued(self, timeframe: Timeframe, candle: Candle) -> Candle:
        opened_ms = candle_open_ms(candle.open_time_ms, timeframe.length_ms)
        before = self._running.get(timeframe)
        high, low, open_ = candle.high, candle.low, candle.open
        if before is not None and before.open_time_ms == opened_ms:
            open_, high, low = before.open, max(before.high, high), min(before.low, low)
        elif before is not None and before.open_time_ms >= self._began_ms:
            prices = (before.open, before.high, before.low, before.close)
            self._histories[timeframe].add(metrics(*(np.array([price]) for price in prices))[:, 0])
        return Candle(opened_ms, open_, high, low, candle.close, candle.volume, False)


def told_one_by_one(candles: Candles, method: Method) -> list[RankScore]:
    scanner = Incremental(SHORT, method, int(candles.open_time_ms[0]))
    columns = (candles.open_time_ms, candles.open, candles.high, candles.low, candles.close)
    return [
        scanner.take(Candle(int(opened_ms), *map(float, prices), 1.0, False))
        for opened_ms, *prices in zip(*columns, strict=True)
    ]


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(Method), began=st.integers(0, 20))
def test_a_replay_equals_the_scores_of_a_scanner_that_ran(
    seed: int, method: Method, began: int
) -> None:
    whole = walk(700, seed, began_ms=1_699_920_000_000 + began * FIVE_MINUTES_MS)
    candles = with_holes(whole, seed, share=0.1)
    replayed = replay(candles, FIVE_MINUTES_MS, ReplaySettings(SHORT, method, 0, 0))
    scores = told_one_by_one(candles, method)
    assert replayed.at_ms.tolist() == [score.at_ms + 1 for score in scores]
    for name in ("bull", "bear", "change"):
        expected = [np.nan if (value := getattr(one, name)) is None else value for one in scores]
        assert np.array_equal(getattr(replayed, name), expected, equal_nan=True), name
    assert not np.isnan(replayed.bull[-1]), "nothing was scored, so nothing was compared"


def _equal(one: ScoreHistory, other: ScoreHistory) -> bool:
    names = ("at_ms", "price", "bull", "bear", "change", "bull_points", "bear_points")
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names
    )


@pytest.mark.slow
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 599))
def test_changing_the_future_changes_nothing_before_it(seed: int, cut: int) -> None:
    known = walk(600, seed)
    factor = np.where(np.arange(600) < cut, 1.0, 3.0)
    other = known.replace(
        **{name: known.column(name) * factor for name in ("open", "high", "low", "close")}
    )
    before = replay(known.take(slice(0, cut)), FIVE_MINUTES_MS, AT_ONCE)
    after = replay(other, FIVE_MINUTES_MS, AT_ONCE)
    for name in ("bull", "bear", "change"):
        ours, theirs = getattr(before, name), getattr(after, name)[:cut]
        assert np.array_equal(ours, theirs, equal_nan=True)
    assert (after.bull_points[:, :cut] == before.bull_points).all()


def test_a_candle_is_never_ranked_against_itself() -> None:
    # Each candle is the largest so far: were it in its own past, it would tie with a record.
    count = 60
    opens = np.full(count, 100.0)
    growing = walk(count).replace(
        open=opens,
        close=opens + np.arange(1, count + 1),
        high=opens + np.arange(1, count + 1),
        low=opens,
    )
    scores = replay(growing, FIVE_MINUTES_MS, ReplaySettings(SHORT[:1], Method.QUANTILE, 0, 0))
    assert np.isnan(scores.bull[:40]).all()
    assert (scores.bull[40:] == 1.0).all()


def test_the_first_days_teach_nothing_and_the_first_weeks_are_not_scored() -> None:
    whole = walk(24 * 288)
    wild = walk(3 * 288, seed=9)
    # A wild listing: were its three days part of the past, later candles would look tame.
    listing = whole.replace(
        high=np.concatenate((wild.high * 5, whole.high[3 * 288 :])),
        low=np.concatenate((wild.low / 5, whole.low[3 * 288 :])),
    )
    setting = ReplaySettings((Timeframe("1h"), Timeframe("4h")))
    scores, calm = (replay(each, FIVE_MINUTES_MS, setting) for each in (listing, whole))
    scored = ~np.isnan(scores.bull)
    assert scores.at_ms[scored].min() == whole.open_time_ms[0] + 21 * DAY_MS
    assert np.array_equal(scores.bull, calm.bull, equal_nan=True)
    assert np.nanmax(scores.bull) > 0


def test_the_candle_in_which_a_past_begins_is_no_part_of_it() -> None:
    # Begins at 00:55, so its first hour is five minutes long.
    began_ms = 1_699_920_000_000 + 11 * FIVE_MINUTES_MS
    candles = walk(1 + 41 * 12, began_ms=began_ms)
    scores = replay(candles, FIVE_MINUTES_MS, ReplaySettings((Timeframe("1h"),), Method.RANK, 0, 0))
    scored = np.flatnonzero(~np.isnan(scores.bull))
    assert scored[0] == 1 + 40 * 12


def test_young_timeframes_are_marked_and_left_out_of_the_possible_points() -> None:
    candles = walk(45 * 12)
    setting = ReplaySettings((Timeframe("5m"), Timeframe("1h"), Timeframe("1d")), Method.RANK, 0, 0)
    scores = replay(candles, FIVE_MINUTES_MS, setting)
    assert scores.is_old_enough[:, -1].tolist() == [True, True, False]
    assert scores.is_old_enough[:, 41].tolist() == [True, False, False]
    reached = scores.bull_points[:2].sum(axis=0)
    assert scores.bull[-100:] == pytest.approx(
        reached[-100:] / np.where(np.arange(440, 540) < 480, 6, 12)
    )


def test_nothing_replays_to_nothing() -> None:
    scores = replay(walk(0), FIVE_MINUTES_MS, AT_ONCE)
    assert len(scores) == 0
    assert scores.bull_points.shape == (3, 0)


def test_a_timeframe_that_candles_cannot_make_up_is_an_error() -> None:
    with pytest.raises(ValueError, match="3m should be a multiple of 300000 ms"):
        replay(walk(10), FIVE_MINUTES_MS, ReplaySettings((Timeframe("3m"),)))
