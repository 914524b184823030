"""Only the instrument rounds, and always in the safe direction."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bitcoin
from trading.domain.errors import Refused
from trading.domain.instrument import refuse_unknown_coins
from trading.domain.money import EXACT

QUANTITIES = st.decimals(min_value=0, max_value=1000, places=10)


@given(QUANTITIES)
def test_a_quantity_is_floored_and_never_raised(quantity: Decimal) -> None:
    instrument = bitcoin()
    floored = instrument.quantity(quantity)
    assert floored <= quantity
    assert quantity - floored < instrument.quantity_step


def test_prices_round_to_the_tick_in_the_direction_asked_for() -> None:
    instrument = bitcoin()
    assert instrument.price_down(Decimal("60000.019")) == Decimal("60000.01")
    assert instrument.price_up(Decimal("60000.011")) == Decimal("60000.02")


def test_dust_is_what_the_exchange_would_refuse_as_too_small() -> None:
    instrument = bitcoin()
    price = Decimal(60_000)
    # 5 USDT / 60,000 = 0.0000833: one step below that is worth 4.80.
    assert instrument.is_dust(Decimal("0.00008"), price)
    assert not instrument.is_dust(Decimal("0.00009"), price)
    assert instrument.is_dust(Decimal("0.000001"), price)
    assert instrument.is_dust(Decimal(0), price)


@pytest.mark.parametrize(
    ("step", "quantity_min", "least"),
    [
        ("0.00001", "0.00001", "5"),
        # A thousandth costs 61.2345, two of them 122.469: two digits, never too few.
        ("0.001", "0.001", "62"),
        ("0.001", "0.0015", "130"),
    ],
)
def test_an_order_is_worth_the_least_that_is_taken_or_the_least_that_there_is(
    step: str, quantity_min: str, least: str
) -> None:
    instrument = replace(bitcoin(), quantity_step=Decimal(step), quantity_min=Decimal(quantity_min))
    price = Decimal("61234.5")
    assert instrument.notional_least(price) == Decimal(least)
    assert not instrument.is_dust(EXACT.divide(Decimal(least) * 2, price), price)


@pytest.mark.parametrize(
    ("coin", "near"),
    [("USTD", ("USDT", "USDC")), ("DOGEE", ("DOGE",)), ("FOO", ())],
)
def test_a_coin_that_no_market_trades_is_refused_with_those_near(
    coin: str, near: tuple[str, ...]
) -> None:
    known = ("BTC", "DOGE", "USDC", "USDT")
    with pytest.raises(Refused, match=f"{coin} is none") as refused:
        refuse_unknown_coins(("BTC", coin), known, "balance")
    assert tuple(refused.value.near) == near
    refuse_unknown_coins(known, known, "balance")
