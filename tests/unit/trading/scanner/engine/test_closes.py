"""Closes: every moment once, in order of time, whichever of its candles was told first."""

from itertools import permutations

import pytest

from trading.domain.market import Candle
from trading.domain.time import Timeframe
from trading.scanner.engine.closes import Close, Closes

ADA = "ADA/USDT"
MINUTE, QUARTER, HOUR = Timeframe("1m"), Timeframe("15m"), Timeframe("1h")
WATCHED = (MINUTE, QUARTER, HOUR)
NOON_MS = 1_700_049_600_000


def candle(
    timeframe: Timeframe, ends_ms: int, close: float = 100.0, *, is_closed: bool = True
) -> Candle:
    opened_ms = ends_ms - timeframe.length_ms
    return Candle(opened_ms, 100.0, 104.0, 96.0, close, 1.0, is_closed)


class Market:
    """What is told of the candles that run, by series."""

    def __init__(self) -> None:
        self.running: dict[Timeframe, Candle] = {}

    def at(self, _symbol: str, timeframe: Timeframe, at_ms: int) -> Candle | None:
        held = self.running.get(timeframe)
        if held is None or not 0 <= at_ms - held.open_time_ms < timeframe.length_ms:
            return None
        return held


def taken(closes: Closes, now_ms: int) -> list[Close]:
    return list(closes.take(ADA, WATCHED, now_ms))


@pytest.mark.parametrize("order", list(permutations((MINUTE, QUARTER, HOUR))))
def test_what_ends_together_is_one_moment_in_whatever_order_it_is_told(
    order: tuple[Timeframe, ...],
) -> None:
    market = Market()
    closes = Closes(market.at)
    for timeframe in order:
        closes.add(ADA, timeframe, candle(timeframe, NOON_MS), WATCHED)
    [close] = taken(closes, NOON_MS + 1_000)
    assert close.at_ms == NOON_MS
    assert close.held == {one: candle(one, NOON_MS) for one in WATCHED}
    assert dict(close.ended) == dict(close.held)
    assert taken(closes, NOON_MS + 1_000) == [], "it is told once"


def test_longer_candles_stand_at_the_price_of_the_close_and_enter_no_past() -> None:
    market = Market()
    market.running = {QUARTER: candle(QUARTER, NOON_MS, 99.0, is_closed=False)}
    market.running[HOUR] = candle(HOUR, NOON_MS, 99.0, is_closed=False)
    closes, ends_ms = Closes(market.at), NOON_MS - 600_000
    closes.add(ADA, MINUTE, Candle(ends_ms - 60_000, 99.0, 99.0, 50.0, 51.0, 1.0, True), WATCHED)
    # A second later it has recovered, which nobody knew at the close.
    market.running[HOUR] = candle(HOUR, NOON_MS, 99.0, is_closed=False)
    [close] = taken(closes, ends_ms + 4_000)
    assert list(close.ended) == [MINUTE]
    assert [(one.close, one.low, one.high) for one in close.held.values()] == [
        (51.0, 50.0, 99.0),
        (51.0, 50.0, 104.0),
        (51.0, 50.0, 104.0),
    ]


def test_a_moment_waits_a_little_for_what_ended_with_it_and_is_then_not_scored() -> None:
    closes = Closes(Market().at)
    closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS), WATCHED)
    closes.add(ADA, QUARTER, candle(QUARTER, NOON_MS), WATCHED)
    assert taken(closes, NOON_MS + 10_000) == []
    [close] = taken(closes, NOON_MS + 15_000)
    assert close.held == {}, "of the hour nothing is known, and nothing is guessed"
    assert set(close.ended) == {MINUTE, QUARTER}


def test_what_came_while_nobody_listened_is_scored_moment_by_moment() -> None:
    closes = Closes(Market().at)
    minutes = [NOON_MS - 60_000, NOON_MS, NOON_MS + 60_000]
    market = Market()
    market.running = {one: candle(one, NOON_MS + one.length_ms) for one in (QUARTER, HOUR)}
    closes = Closes(market.at)
    for ends_ms, price in zip(minutes, (97.0, 98.0, 99.0), strict=True):
        closes.add(ADA, MINUTE, candle(MINUTE, ends_ms, price), WATCHED)
    for timeframe in (QUARTER, HOUR):
        closes.add(ADA, timeframe, candle(timeframe, NOON_MS, 98.0), WATCHED)
    found = taken(closes, NOON_MS + 90_000)
    assert [close.at_ms for close in found] == minutes
    assert [list(close.ended) for close in found] == [[MINUTE], [MINUTE, QUARTER, HOUR], [MINUTE]]
    assert [[one.close for one in close.held.values()] for close in found] == [
        [97.0] * 3,
        [98.0] * 3,
        [99.0] * 3,
    ]
    before = found[0].held[HOUR]
    assert (before.high, before.low) == (104.0, 96.0), "as far as the minute went, and no further"


def test_of_a_long_outage_the_newest_closes_are_scored_and_all_enter_their_pasts() -> None:
    closes = Closes(Market().at)
    for minute in range(20):
        closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS + minute * 60_000), (MINUTE,))
    newest_ms = NOON_MS + 19 * 60_000
    found = list(closes.take(ADA, (MINUTE,), newest_ms + 1_000))
    assert [list(close.ended) for close in found] == [[MINUTE]] * 20
    assert [bool(close.held) for close in found] == [False] * 15 + [True] * 5
    closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS - 60_000), (MINUTE,))
    [filled] = closes.take(ADA, (MINUTE,), newest_ms + 2_000)
    assert filled.held == {}, "a hole that is filled later is no news"


def test_a_series_that_begins_anew_brings_its_own_past() -> None:
    closes = Closes(Market().at)
    closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS), (MINUTE, HOUR))
    closes.add(ADA, HOUR, candle(HOUR, NOON_MS), (MINUTE, HOUR))
    closes.forget(ADA, HOUR)
    [close] = closes.take(ADA, (MINUTE,), NOON_MS)
    assert list(close.ended) == [MINUTE]
    closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS + 60_000), (MINUTE,))
    closes.forget(ADA, MINUTE)
    assert list(closes.take(ADA, (MINUTE,), NOON_MS + 60_000)) == []
    closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS + 120_000), (MINUTE,))
    closes.keep(set())
    assert list(closes.take(ADA, (MINUTE,), NOON_MS + 120_000)) == []


def test_it_says_when_so_much_waits_that_it_should_be_taken() -> None:
    closes = Closes(Market().at)
    told = [
        closes.add(ADA, MINUTE, candle(MINUTE, NOON_MS + minute * 60_000), (MINUTE,))
        for minute in range(1_000)
    ]
    assert told == [False] * 999 + [True]
