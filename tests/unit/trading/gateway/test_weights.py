"""What candles cost an account: never what exits need, nor what quotes need without a stream."""

import pytest

from tests.fakes.clock import FakeClock
from trading.domain.errors import RateLimited
from trading.gateway.binance import BinanceVenue
from trading.gateway.settings import GatewaySettings
from trading.gateway.throttle import Throttle, Urgency, Weight
from trading.gateway.unified import UnifiedVenue
from trading.gateway.venue import WEIGHTS
from trading.market.settings import CandleSettings, MarketSettings

ACCOUNT = GatewaySettings()


@pytest.mark.parametrize("kind", [BinanceVenue, UnifiedVenue])
def test_candles_leave_exits_their_share(kind: type[BinanceVenue] | type[UnifiedVenue]) -> None:
    weight = kind(ACCOUNT, FakeClock()).weight("candles")
    throttle = Throttle(ACCOUNT.weight_per_minute, ACCOUNT.weight_share_for_exits)
    with pytest.raises(RateLimited):
        _ask_until_refused(throttle, weight)
    for _ in range(int(ACCOUNT.weight_per_minute * ACCOUNT.weight_share_for_exits) // 4):
        throttle.take(Weight(4, Urgency.EXIT), 0.0)


def test_candles_and_quotes_without_a_stream_fit_into_what_exits_leave() -> None:
    market, candles = MarketSettings(), CandleSettings()
    polled = market.reads_per_s_max * WEIGHTS["quote"] * 60
    asked = candles.requests_per_s_max * WEIGHTS["candles"] * 60
    left = ACCOUNT.weight_per_minute * (1 - ACCOUNT.weight_share_for_exits)
    assert polled + asked <= left * 0.8


def test_w03_the_sweep_of_a_start_leaves_every_symbol_its_price_for_a_minute() -> None:
    venue = BinanceVenue(ACCOUNT, FakeClock())
    throttle = Throttle(
        ACCOUNT.weight_per_minute,
        ACCOUNT.weight_share_for_exits,
        ACCOUNT.weight_share_for_orders,
        ACCOUNT.weight_share_for_prices,
    )
    for call in ("orders_since", "candles"):
        with pytest.raises(RateLimited):
            _ask_until_refused(throttle, venue.weight(call))
    for second in range(60):
        for _ in range(400 // venue.quotes_max):
            throttle.take(venue.weight("quotes"), float(second))


def _ask_until_refused(throttle: Throttle, weight: Weight) -> None:
    for _ in range(ACCOUNT.weight_per_minute):
        throttle.take(weight, 0.0)
