"""Closing: once per candle, whoever sees its end first, and only when it has ended."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.candles.series import candles_of
from trading.candles.spans import Span
from trading.domain.market import Candle
from trading.domain.time import Timeframe, to_ms
from trading.market.closing import Closing, LiveSeries

MINUTE_MS = 60_000
MINUTE, MONTH = Timeframe("1m"), Timeframe("1M")


def candle(minute: int, close: float = 100.0, *, is_closed: bool = True) -> Candle:
    return Candle(minute * MINUTE_MS, 100.0, 110.0, 90.0, close, 2.0, is_closed)


def end_ms(minute: int) -> int:
    return (minute + 1) * MINUTE_MS


def series(*minutes: int, kept: int = 50) -> LiveSeries:
    made = LiveSeries(MINUTE, kept)
    for minute in minutes:
        assert made.take(candle(minute), end_ms(minute)).is_first
    return made


def held(made: LiveSeries) -> list[int]:
    return [opened_ms // MINUTE_MS for opened_ms in made.ring.candles().open_time_ms.tolist()]


@given(
    told=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["stream", "sweep"])), max_size=80),
    kept=st.integers(1, 12),
)
def test_a_candle_closes_once_whoever_tells_it_and_in_whatever_order(
    told: list[tuple[int, str]], kept: int
) -> None:
    made = LiveSeries(MINUTE, kept)
    closed: list[int] = []
    for minute, source in told:
        if source == "stream":
            judged = [(candle(minute), made.take(candle(minute), end_ms(minute)))]
        else:
            span = Span((minute - 1) * MINUTE_MS, minute * MINUTE_MS)
            candles = [candle(each) for each in (minute - 1, minute)]
            judged = list(made.sweep(candles, span, end_ms(minute)))
        closed += [each.open_time_ms // MINUTE_MS for each, verdict in judged if verdict.is_first]
    assert len(closed) == len(set(closed))
    assert set(held(made)) <= set(closed)
    assert held(made) == sorted(closed)[-kept:], "and nothing that was told newest is missing"


def test_the_stream_and_then_the_sweep_close_a_candle_once() -> None:
    made = series(1, 2)
    assert made.take(candle(2), end_ms(2)) is Closing.KNOWN
    [(_, verdict)] = made.sweep([candle(2)], Span(120_000, 120_000), end_ms(2))
    assert verdict is Closing.KNOWN


def test_a_hole_is_found_asked_for_and_filled_at_its_place() -> None:
    made = series(1, 2, 5)
    assert made.missing(end_ms(5)) == (Span(3 * MINUTE_MS, 4 * MINUTE_MS),)
    judged = made.sweep([candle(3), candle(4)], Span(180_000, 240_000), end_ms(5))
    assert [verdict for _, verdict in judged] == [Closing.FILLED, Closing.FILLED]
    assert held(made) == [1, 2, 3, 4, 5]
    assert made.missing(end_ms(5)) == ()


def test_what_should_have_closed_by_now_is_missing_too() -> None:
    made = series(1, 2)
    assert made.missing(end_ms(2) + 59_999) == ()
    assert made.missing(end_ms(3)) == (Span(3 * MINUTE_MS, 3 * MINUTE_MS),)


def test_a_hole_of_the_exchange_is_not_asked_for_again_and_nothing_is_invented() -> None:
    made = series(1, 2, 5, 8)
    first, second = made.missing(end_ms(8))
    # An answer about the later hole leaves the earlier one open.
    made.sweep([], second, end_ms(8))
    assert made.missing(end_ms(8)) == (first, second)
    made.sweep([], first, end_ms(8))
    assert made.missing(end_ms(8)) == (second,)
    made.sweep([], second, end_ms(8))
    assert made.missing(end_ms(8)) == ()
    assert held(made) == [1, 2, 5, 8]
    assert made.missing(end_ms(9)) == (Span(9 * MINUTE_MS, 9 * MINUTE_MS),)


def test_asking_for_what_has_not_ended_proves_nothing_about_it() -> None:
    made = series(1)
    made.sweep([], Span(120_000, 600_000), end_ms(2))
    assert made.missing(end_ms(4)) == (Span(3 * MINUTE_MS, 4 * MINUTE_MS),)


def test_a_series_that_knows_nothing_misses_nothing() -> None:
    assert LiveSeries(MINUTE).missing(end_ms(9)) == ()


def test_a_second_account_of_a_closed_candle_that_differs_is_told_and_the_first_stays() -> None:
    made = series(1, 2)
    assert made.take(candle(2, close=105.0), end_ms(3)) is Closing.DISAGREES
    assert made.ring.at(120_000).close.tolist() == [100.0]


def test_a_candle_that_has_not_ended_does_not_close_though_it_says_so() -> None:
    made = series(1)
    assert made.take(candle(2), end_ms(2) - 1_001) is Closing.REFUSED
    assert made.take(candle(2), end_ms(2) - 1_000) is Closing.CLOSED, "two clocks may differ"


def test_the_running_candle_is_never_part_of_the_closed_ones() -> None:
    made = series(1)
    running = candle(2, is_closed=False)
    assert made.take(running, end_ms(1) + 5_000) is Closing.RUNNING
    assert made.running == running
    assert held(made) == [1]
    assert made.take(candle(2), end_ms(2)) is Closing.CLOSED
    assert made.running is None


def test_an_older_state_of_the_running_candle_does_not_come_back() -> None:
    made = series(1)
    newer, older = candle(2, 105.0, is_closed=False), candle(2, 104.0, is_closed=False)
    made.take(newer, end_ms(1) + 5_000)
    assert made.take(older, end_ms(1) + 4_000) is Closing.OUTDATED
    assert made.running == newer
    made.take(candle(3, is_closed=False), end_ms(2) + 1_000)
    assert made.take(older, end_ms(2) + 1_000) is Closing.OUTDATED


def test_a_candle_whose_time_is_over_is_not_running() -> None:
    made = series(1)
    assert made.take(candle(2, is_closed=False), end_ms(2)) is Closing.OUTDATED
    assert made.take(candle(1, is_closed=False), end_ms(1) - 1) is Closing.OUTDATED
    assert made.take(candle(9, is_closed=False), end_ms(2)) is Closing.REFUSED
    assert made.running is None


@pytest.mark.parametrize(
    "broken",
    [
        replace(candle(2), high=95.0),
        replace(candle(2), close=float("nan")),
        replace(candle(2), low=-1.0),
        replace(candle(2), volume=-1.0),
        replace(candle(2), open_time_ms=120_001),
    ],
)
def test_a_candle_that_cannot_be_is_refused(broken: Candle) -> None:
    made = series(1)
    assert made.take(broken, end_ms(9)) is Closing.REFUSED
    assert held(made) == [1]


def test_what_is_older_than_all_that_is_kept_never_closes() -> None:
    made = series(5, 6, kept=2)
    assert made.take(candle(4), end_ms(9)) is Closing.TOO_OLD


def test_a_time_in_seconds_is_not_taken_for_one_in_milliseconds() -> None:
    now_ms = 1_700_000_040_000
    made = LiveSeries(MINUTE)
    # On the grid of minutes by chance, and within a year of 1970.
    in_seconds = replace(candle(0), open_time_ms=1_699_980_000)
    assert made.take(in_seconds, now_ms) is Closing.TOO_OLD
    assert held(made) == []


def test_the_candle_that_was_running_at_the_start_closes_too() -> None:
    # The ancestor compared the time of its start with the time the candle had opened.
    made = series(1, 2)
    started_ms = 3 * MINUTE_MS + 30_000
    assert made.missing(started_ms) == ()
    assert made.take(candle(3, is_closed=False), started_ms) is Closing.RUNNING
    assert made.take(candle(3), end_ms(3)) is Closing.CLOSED


def test_candles_of_the_archive_are_known_and_do_not_close_again() -> None:
    opens_ms = [MINUTE_MS * minute for minute in (1, 2, 4)]
    flat = dict.fromkeys(("open", "high", "low", "close"), [100.0] * 3)
    past = candles_of({"open_time_ms": opens_ms, **flat, "volume": [2.0] * 3})
    made = LiveSeries(MINUTE)
    made.warm(past)
    assert made.take(Candle(240_000, 100.0, 100.0, 100.0, 100.0, 2.0, True), end_ms(5)) is (
        Closing.KNOWN
    )
    # The hole at minute 3 is known to the archive; what has closed since is asked for.
    assert made.missing(end_ms(6)) == (Span(5 * MINUTE_MS, 6 * MINUTE_MS),)


def test_a_week_closes_on_its_own_grid() -> None:
    week = Timeframe("1w")
    made = LiveSeries(week)
    monday_ms = 4 * 86_400_000 + 2_700 * week.length_ms
    weekly = replace(candle(0), open_time_ms=monday_ms)
    assert made.take(weekly, monday_ms + week.length_ms) is Closing.CLOSED
    thursday = replace(candle(0), open_time_ms=2_701 * week.length_ms)
    assert made.take(thursday, monday_ms + 3 * week.length_ms) is Closing.REFUSED


def month(year: int, number: int, *, is_closed: bool = True) -> Candle:
    opened_ms = to_ms(datetime(year, number, 1, tzinfo=UTC))
    return Candle(opened_ms, 100.0, 110.0, 90.0, 105.0, 2.0, is_closed)


def test_a_month_closes_with_the_calendar_and_not_after_a_mean_length() -> None:
    made = LiveSeries(MONTH)
    february, march = month(2026, 2), month(2026, 3)
    early_ms = march.open_time_ms - 60_000
    assert made.take(february, early_ms) is Closing.REFUSED, "28 days are not over"
    assert made.take(february, march.open_time_ms) is Closing.CLOSED
    running = replace(march, is_closed=False)
    last_ms = to_ms(datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    assert made.take(running, last_ms) is Closing.RUNNING, "31 days are longer than the mean"
    assert made.missing(last_ms) == ()
    april_ms = to_ms(datetime(2026, 4, 1, tzinfo=UTC))
    assert made.missing(april_ms) == (Span(march.open_time_ms, march.open_time_ms),)
    [(_, verdict)] = made.sweep([march], Span(march.open_time_ms, march.open_time_ms), april_ms)
    assert verdict is Closing.CLOSED
    assert made.missing(april_ms) == ()
