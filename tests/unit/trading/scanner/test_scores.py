"""Scores: shares of what was possible, and what they ask for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.scanner.make import AT_MS, HOUR, candles, rated, reaches, running
from trading.domain.errors import Refused
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms
from trading.scanner.history import RankHistory
from trading.scanner.points import Method
from trading.scanner.rating import Monitored, rate
from trading.scanner.scores import (
    RankScore,
    ScoreSignal,
    Standing,
    Thresholds,
    shares,
    signal,
)

FOUR_HOURS, DAY, WEEK = Timeframe("4h"), Timeframe("1d"), Timeframe("1w")
OLD = [float(reach) for reach in range(1, 41)]


def over(histories: dict[Timeframe, RankHistory], change: float, at_ms: int = AT_MS) -> RankScore:
    candles_now = {each: running(change, each, at_ms) for each in histories}
    [score] = rate([Monitored("ADA/USDT", at_ms, 100 + change, histories, candles_now)])
    return score


def test_a_record_crash_scores_the_maximum() -> None:
    score = over({HOUR: reaches(OLD), FOUR_HOURS: reaches(OLD), DAY: reaches(OLD)}, -50)
    assert (score.bear, score.bull) == (1.0, 0.0)
    assert score.price == 50


def test_the_scale_does_not_depend_on_how_much_is_monitored() -> None:
    one = over({HOUR: reaches(OLD)}, -39.5)
    three = over({HOUR: reaches(OLD), FOUR_HOURS: reaches(OLD), DAY: reaches(OLD)}, -39.5)
    # One of 40 reached further: 100 * 2 / 40 = 5 %, so 5 of 6 points.
    assert one.bear == three.bear == pytest.approx(5 / 6)


def test_a_young_timeframe_says_so_and_is_left_out_of_the_normalisation() -> None:
    score = over({HOUR: reaches(OLD), WEEK: reaches(OLD[:39])}, -50)
    assert score.bear == 1.0
    assert score.too_young == (WEEK,)
    assert [each.timeframe for each in score.scored] == [HOUR]
    young = score.timeframes[1]
    assert (young.candles, young.down_rank, young.bear_points) == (39, None, 0)


def test_where_everything_is_young_nothing_is_guessed() -> None:
    score = over({HOUR: reaches(OLD[:39]), WEEK: RankHistory()}, -50)
    assert (score.bull, score.bear, score.change) == (None, None, None)
    assert score.too_young == (HOUR, WEEK)
    assert signal(score.bull, score.bear) is ScoreSignal.NONE


def test_a_candle_that_is_over_is_not_scored_as_if_it_were_running() -> None:
    # The ancestor went on scoring the candle of its start after it had closed.
    later_ms = candle_open_ms(AT_MS, HOUR.length_ms) + HOUR.length_ms
    score = rated(reaches(OLD), running(-50), at_ms=later_ms)
    assert score.bear is None
    assert score.timeframes[0].standing is Standing.NO_CANDLE
    assert rated(reaches(OLD), running(-50), at_ms=later_ms - 1).bear == 1.0


@pytest.mark.parametrize(
    "prices",
    [(100, 100, 50, math.nan), (100, 90, 50, 60), (0, 100, 50, 60), (100, math.inf, 50, 60)],
)
def test_a_broken_candle_is_not_scored_and_spoils_no_other(
    prices: tuple[float, float, float, float],
) -> None:
    opened_ms = candle_open_ms(AT_MS, HOUR.length_ms)
    broken = Candle(opened_ms, *prices, 1.0, False)
    sound = running(-50)
    made = rate(
        [
            Monitored("BAD/USDT", AT_MS, 1.0, {HOUR: reaches(OLD)}, {HOUR: broken}),
            Monitored("ADA/USDT", AT_MS, 50.0, {HOUR: reaches(OLD)}, {HOUR: sound}),
        ]
    )
    assert [score.bear for score in made] == [None, 1.0]


def test_a_closed_candle_is_not_scored() -> None:
    closed = Candle(candle_open_ms(AT_MS, HOUR.length_ms), 100, 100, 50, 50, 1.0, True)
    assert rated(reaches(OLD), closed).bear is None


def test_nothing_monitored_is_no_score() -> None:
    assert rate([]) == []
    [score] = rate([Monitored("ADA/USDT", AT_MS, 1.0, {}, {HOUR: running(1)})])
    assert (score.bull, score.timeframes) == (None, ())


def test_the_symbols_of_a_coin_add_up_within_the_same_scale() -> None:
    crashed, calm = over({HOUR: reaches(OLD)}, -50), over({HOUR: reaches(OLD)}, -1)
    bull, bear, _ = shares((*crashed.timeframes, *calm.timeframes))
    assert (bull, bear) == (0.0, 0.5)


@given(
    seed=st.integers(0, 10_000),
    counts=st.lists(st.integers(0, 120), min_size=1, max_size=4),
    change=st.floats(-99, 500),
    method=st.sampled_from(Method),
)
def test_scores_are_shares_and_timeframes_keep_their_order(
    seed: int, counts: list[int], change: float, method: Method
) -> None:
    timeframes = (HOUR, FOUR_HOURS, DAY, WEEK)[: len(counts)]
    histories = {
        timeframe: RankHistory(candles(count, seed))
        for timeframe, count in zip(timeframes, counts, strict=True)
    }
    now = {each: running(change, each) for each in timeframes}
    [score] = rate([Monitored("A/B", AT_MS, 1.0, histories, now)], method)
    assert tuple(each.timeframe for each in score.timeframes) == timeframes
    known = [value for value in (score.bull, score.bear, score.change) if value is not None]
    assert len(known) == (3 if max(counts) >= 40 else 0)
    assert all(0 <= value <= 1 for value in known)
    assert not (score.bull and score.bear), "all candles moved the same way"


@pytest.mark.parametrize(
    ("bull", "bear", "expected"),
    [
        (0.5, 0.0, ScoreSignal.SELL),
        (0.0, 0.5, ScoreSignal.BUY),
        (0.49, 0.0, ScoreSignal.NONE),
        (0.6, 0.7, ScoreSignal.INDECISION),
        (0.6, 0.6, ScoreSignal.INDECISION),
        (0.5, None, ScoreSignal.SELL),
        (None, 0.5, ScoreSignal.BUY),
        (None, None, ScoreSignal.NONE),
    ],
)
def test_a_rise_asks_to_sell_a_crash_to_buy_and_both_for_patience(
    bull: float | None, bear: float | None, expected: ScoreSignal
) -> None:
    assert signal(bull, bear) is expected


def test_each_side_has_its_own_threshold_and_the_higher_score_must_be_its_own() -> None:
    limits = Thresholds(bull=0.3, bear=0.8)
    assert signal(0.4, 0.7, limits) is ScoreSignal.NONE
    assert signal(0.4, 0.1, limits) is ScoreSignal.SELL
    assert signal(0.2, 0.9, limits) is ScoreSignal.BUY


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, math.nan, 15.0])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(Refused, match="threshold should be above 0 and at most 100"):
        Thresholds(bear=threshold)
