"""Quiet is not stale; a stopped event clock is; and what REST says about both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from tests.unit.trading.market.make import BASE_MS, quote, trade
from trading.market.settings import MarketSettings
from trading.market.staleness import Freshness, Suspicion
from trading.market.venue_clock import VenueClock
from trading.market.watched import WatchedSymbol


def _fresh() -> Freshness:
    fresh = Freshness(MarketSettings(), 1000.0)
    fresh.on_stream(BASE_MS, 1000.0)
    return fresh


def test_a_symbol_with_messages_is_beyond_suspicion() -> None:
    assert _fresh().suspicion(1001.0) is Suspicion.NONE


def test_three_seconds_of_silence_are_quiet_and_agreement_over_rest_ends_that() -> None:
    fresh = _fresh()
    assert fresh.suspicion(1003.0) is Suspicion.QUIET
    fresh.agree(1003.2)
    assert fresh.suspicion(1004.0) is Suspicion.NONE
    assert fresh.age_s(1004.2) == 1.0
    assert not fresh.is_missing(1010.0)


@pytest.mark.fault("W04", "SAID")
def test_w04_messages_whose_event_time_stands_still_are_frozen_after_three_seconds() -> None:
    fresh = _fresh()
    for second in range(1, 5):
        fresh.on_stream(BASE_MS, 1000.0 + second)
    found = [fresh.suspicion(1000.0 + second) for second in (3, 4)]
    assert found == [Suspicion.NONE, Suspicion.FROZEN]
    fired(found.count(Suspicion.FROZEN))


@pytest.mark.fault("W04", "SAID")
def test_w04_a_feed_that_falls_behind_is_frozen_too() -> None:
    fresh = _fresh()
    found = []
    for second in range(1, 10):
        fresh.on_stream(BASE_MS + second * 500, 1000.0 + second)
        found.append(fresh.suspicion(1000.0 + second))
    assert (found[0], found[-1]) == (Suspicion.NONE, Suspicion.FROZEN)
    fired(found.count(Suspicion.FROZEN))


def test_a_constant_way_and_a_wrong_clock_are_no_lag() -> None:
    fresh = Freshness(MarketSettings(), 0.0)
    for second in range(400):
        fresh.on_stream(BASE_MS + second * 1000, 5000.0 + second)
        assert fresh.suspicion(5000.0 + second) is Suspicion.NONE


def test_a_stopped_clock_does_not_become_the_normal_one() -> None:
    fresh = _fresh()
    for second in range(1, 200):
        fresh.on_stream(BASE_MS, 1000.0 + second)
        if second > 4:
            assert fresh.suspicion(1000.0 + second) is Suspicion.FROZEN


def test_a_late_message_of_a_symbol_that_was_quiet_for_long_is_no_news() -> None:
    venue = VenueClock()
    quiet, busy = (Freshness(MarketSettings(), 1000.0, venue) for _ in range(2))
    assert quiet.on_stream(BASE_MS, 1000.0)
    for second in range(1, 200):
        busy.on_stream(BASE_MS + second * 1000, 1000.0 + second)
        quiet.suspicion(1000.0 + second)
    # What it cost a message on its way it has no measure of its own for; the market has.
    assert not quiet.on_stream(BASE_MS + 187_000, 1199.0)
    assert not quiet.on_stream(BASE_MS + 187_500, 1199.0)
    assert quiet.on_stream(BASE_MS + 199_000, 1199.5)


def test_late_messages_do_not_become_the_markets_measure() -> None:
    venue = VenueClock()
    busy = Freshness(MarketSettings(), 1000.0, venue)
    for second in range(40):
        busy.on_stream(BASE_MS + second * 1000, 1000.0 + second)
    for number in range(1000):
        assert not busy.on_stream(BASE_MS + 40_000 + number, 1060.0)
    silent = Freshness(MarketSettings(), 1000.0, venue)
    assert silent.tells_age
    assert not silent.on_stream(BASE_MS + 41_000, 1060.0)


def test_messages_without_event_time_say_only_that_the_connection_lives() -> None:
    fresh = Freshness(MarketSettings(), 1000.0)
    for second in range(10):
        fresh.on_stream(0, 1000.0 + second)
    assert fresh.suspicion(1009.0) is Suspicion.NONE


def test_what_rest_knows_and_the_stream_does_not_is_missing_after_a_grace() -> None:
    fresh = _fresh()
    fresh.moved(1003.0)
    assert not fresh.is_missing(1003.5)
    assert fresh.is_missing(1004.0)
    fresh.moved(1004.5)
    assert fresh.age_s(1005.0) == 0.5


def test_a_message_that_was_under_way_ends_the_suspicion() -> None:
    fresh = _fresh()
    fresh.moved(1003.0)
    fresh.on_stream(BASE_MS + 3000, 1003.1)
    assert not fresh.is_missing(1009.0)


def test_messages_of_a_stopped_clock_do_not_refresh_the_age() -> None:
    fresh = _fresh()
    fresh.moved(1004.0)
    fresh.on_stream(BASE_MS, 1009.0)
    assert fresh.age_s(1009.0) == 5.0


def test_what_is_taken_for_the_past_keeps_no_price_young() -> None:
    fresh = _fresh()
    # The exchange's clock jumps 30 s ahead and comes back: all that follows looks 30 s late.
    assert fresh.on_stream(BASE_MS + 31_000, 1001.0)
    for second in range(2, 7):
        assert not fresh.on_stream(BASE_MS + second * 1000, 1000.0 + second)
        assert fresh.age_s(1000.0 + second) == second - 1
    assert fresh.suspicion(1003.0) is Suspicion.NONE
    assert fresh.suspicion(1004.0) is not Suspicion.NONE
    fresh.agree(1006.5)
    assert fresh.age_s(1007.0) == 0.5


def test_a_book_says_nothing_of_the_exchanges_clock_and_a_print_does() -> None:
    venue = VenueClock()
    watched = WatchedSymbol("BTC/USDT", MarketSettings(), 1000.0, lambda _: None, venue)
    watched.take_quote(quote(99, 101, 1))
    assert not venue.is_known
    watched.take_trade(trade(100, 2))
    assert venue.is_known


class _Exact(Freshness):
    """A measure to which no message is usual: each is looked at in full."""

    def on_stream(self, event_ms: int, received_s: float, is_timed: bool = True) -> bool:
        self._lag_usual = float("-inf")
        return super().on_stream(event_ms, received_s, is_timed)


_messages = st.tuples(
    st.sampled_from([0.0, 0.001, 0.4, 2.0, 31.0]),
    # Mostly a usual way, rarely one about which it may be late.
    st.one_of(st.integers(0, 1500), st.integers(0, 1500), st.integers(2_900, 4_600)),
    st.booleans(),
)


@given(st.lists(_messages, max_size=60))
def test_what_is_usual_is_judged_as_if_it_were_looked_at_in_full(
    messages: list[tuple[float, int, bool]],
) -> None:
    quick, exact = (kind(MarketSettings(), 1000.0) for kind in (Freshness, _Exact))
    now_s = 1000.0
    for wait_s, way_ms, is_swept in messages:
        now_s += wait_s
        said = [
            (
                fresh.on_stream(BASE_MS + int((now_s - 1000) * 1000) - way_ms, now_s),
                fresh.told_s,
                fresh.lag_s(now_s),
                fresh.suspicion(now_s) if is_swept else None,
                fresh.tells_age,
            )
            for fresh in (quick, exact)
        ]
        assert said[0] == said[1]
