"""A series comes to its past with few requests, and to nothing that was not told."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.candle_market import CandleMarket
from tests.fakes.clock import FakeClock
from trading.candles.rows import columns_of, rows_of
from trading.candles.series import Candles, no_candles
from trading.domain.market import Candle
from trading.domain.time import Timeframe, candle_open_ms, from_ms
from trading.market.past import Past, Request

pytestmark = pytest.mark.uncounted

ADA = "ADA/USDT"
MINUTE = Timeframe("1m")
MINUTE_MS = 60_000


async def gather(
    market: CandleMarket, stored: Candles, kept: int, page: int = 1_000, pages: int = 8
) -> tuple[Past, list[Request]]:
    """Ask until nothing is left to ask for."""
    past = Past(MINUTE_MS, stored, kept, market.now_ms(), page_candles=page, pages_extra=pages)
    asked: list[Request] = []
    while (request := past.next_request()) is not None:
        asked.append(request)
        since = from_ms(request.since_ms) if request.since_ms is not None else None
        told = await market.candles(ADA, MINUTE, request.limit, since)
        past.take(request, told, market.now_ms())
    return past, asked


def market() -> CandleMarket:
    return CandleMarket(FakeClock(datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)))


def true(found: CandleMarket, kept: int) -> list[Candle]:
    first_ms = candle_open_ms(found.now_ms(), MINUTE_MS) - kept * MINUTE_MS
    return found.all_closed(ADA, MINUTE, first_ms)


async def test_one_page_is_one_request() -> None:
    past, asked = await gather(market(), no_candles(), 500)
    assert asked == [Request(501, None)]
    assert past.held.equals(columns_of(true(market(), 500)))


async def test_more_than_a_page_is_read_backwards() -> None:
    past, asked = await gather(market(), no_candles(), 2_500)
    assert [request.limit for request in asked] == [1_000, 1_000, 501]
    assert past.held.equals(columns_of(true(market(), 2_500)))


async def test_an_exchange_with_smaller_pages_is_read_to_the_end() -> None:
    small = market()
    small.page_max = 300
    past, asked = await gather(small, no_candles(), 1_000)
    assert past.held.equals(columns_of(true(small, 1_000)))
    assert len(asked) == 4


async def test_a_young_coin_takes_one_request_more_and_no_other() -> None:
    young = market()
    young.listed_ms[ADA] = young.now_ms() - 30 * MINUTE_MS
    past, asked = await gather(young, no_candles(), 2_000)
    assert past.held.equals(columns_of(true(young, 2_000)))
    assert len(past.held) == 29
    assert len(asked) == 2


async def test_what_the_archive_holds_is_not_asked_for() -> None:
    found = market()
    past, asked = await gather(found, columns_of(true(found, 2_000)), 2_000)
    assert asked == [Request(2, None)]
    assert len(past.held) == 2_000


async def test_a_hole_of_the_exchange_is_asked_for_once() -> None:
    found = market()
    now_ms = candle_open_ms(found.now_ms(), MINUTE_MS)
    found.holes = {(ADA, MINUTE, now_ms - number * MINUTE_MS) for number in range(40, 50)}
    stored = columns_of(true(found, 100))
    past, asked = await gather(found, stored, 100)
    assert past.held.equals(stored)
    assert len(asked) == 2


async def test_requests_end_though_much_is_missing() -> None:
    found = market()
    now_ms = candle_open_ms(found.now_ms(), MINUTE_MS)
    found.holes = {(ADA, MINUTE, now_ms - number * MINUTE_MS) for number in range(2, 2_000, 2)}
    _, asked = await gather(found, no_candles(), 2_000, page=100, pages=5)
    assert len(asked) <= 26


async def test_prices_of_another_unit_in_between_are_left_out() -> None:
    found = market()
    candles = true(found, 100)
    wrong = columns_of(candles[40:60])
    stored = columns_of(candles)
    for name in ("open", "high", "low", "close"):
        stored.column(name)[40:60] = wrong.column(name) * 1_000
    past, _ = await gather(found, stored, 100)
    assert float(past.held.high.max()) < 200


def test_what_was_running_when_it_was_asked_for_is_no_past() -> None:
    found = market()
    past = Past(MINUTE_MS, no_candles(), 10, found.now_ms(), page_candles=10, pages_extra=1)
    request = past.next_request()
    assert request is not None
    early = found.closed(ADA, MINUTE, candle_open_ms(found.now_ms(), MINUTE_MS))
    assert not len(past.take(request, [early], found.now_ms()))


@settings(max_examples=60)
@given(
    held=st.sets(st.integers(1, 60)),
    holes=st.sets(st.integers(1, 60), max_size=10),
    kept=st.integers(1, 60),
    page=st.integers(12, 30),
    listed=st.integers(1, 80),
)
async def test_whatever_is_held_all_that_the_exchange_tells_is_there(
    held: set[int], holes: set[int], kept: int, page: int, listed: int
) -> None:
    found = market()
    found.page_max = page
    now_ms = candle_open_ms(found.now_ms(), MINUTE_MS)
    found.listed_ms[ADA] = now_ms - listed * MINUTE_MS
    found.holes = {(ADA, MINUTE, now_ms - number * MINUTE_MS) for number in holes}
    told = {one.open_time_ms: one for one in true(found, kept)}
    opens = (now_ms - number * MINUTE_MS for number in sorted(held, reverse=True))
    stored = columns_of([told[opened_ms] for opened_ms in opens if opened_ms in told])
    past, _ = await gather(found, stored, kept, page=page, pages=100)
    assert past.held.equals(columns_of(list(told.values())))


@pytest.mark.parametrize("extra", [(None, None, None), (1.5, 3, 0.5)])
def test_candles_become_columns_and_come_back(
    extra: tuple[float | None, int | None, float | None],
) -> None:
    candles = [
        Candle(number * MINUTE_MS, 1.0, 2.0, 0.5, 1.5, 3.0, True, *extra) for number in range(1, 4)
    ]
    assert rows_of(columns_of(candles)) == candles
    assert not rows_of(columns_of([]))
    assert np.isnan(columns_of(candles).quote_volume).all() == (extra[0] is None)
