"""Positions follow fills exactly, fees in any coin included."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON, fill
from trading.domain.order import Fees, Side
from trading.domain.position import Balance, Portfolio, Position, TradingMode

PARTS = st.lists(st.decimals(min_value="0.00001", max_value=10, places=5), min_size=1, max_size=20)


def test_a_fee_in_base_costs_coins() -> None:
    bought = Position("BTC/USDT").apply(fill(Side.BUY, "1", "60000", "0.001", "BTC"), "BTC", "USDT")
    assert bought.quantity == Decimal("0.999")
    assert bought.cost == Decimal(60_000)
    assert bought.average_price == Decimal(60_000) / Decimal("0.999")


def test_a_fee_in_quote_costs_money() -> None:
    bought = Position("BTC/USDT").apply(fill(Side.BUY, "1", "60000", "60", "USDT"), "BTC", "USDT")
    assert bought.quantity == 1
    assert bought.cost == Decimal(60_060)


def test_a_fee_in_a_third_coin_costs_its_worth_at_the_time() -> None:
    paid = replace(fill(Side.BUY, "1", "60000", "0.1", "BNB"), fee_worth=Decimal(60))
    bought = Position("BTC/USDT").apply(paid, "BTC", "USDT")
    assert (bought.quantity, bought.cost, bought.fees) == (1, 60_060, Fees(Decimal(60)))


def test_a_fee_that_nobody_could_value_stays_beside_the_cost() -> None:
    paid = fill(Side.BUY, "1", "60000", "0.1", "XYZ")
    bought = Position("BTC/USDT").apply(paid, "BTC", "USDT").apply(paid, "BTC", "USDT")
    assert bought.cost == 120_000
    assert bought.fees == Fees(unpriced=(("XYZ", Decimal("0.2")),))
    assert bought.release(Decimal("0.5")).fees == Fees(unpriced=(("XYZ", Decimal("0.15")),))


def test_a_sale_takes_its_share_of_the_cost_and_of_the_fees_in_it() -> None:
    held = Position("BTC/USDT").apply(fill(Side.BUY, "2", "50000", "100", "USDT"), "BTC", "USDT")
    sold = held.apply(fill(Side.SELL, "1", "60000", "60", "USDT"), "BTC", "USDT")
    assert (sold.quantity, sold.cost, sold.fees.quote) == (1, 50_050, 50)


def test_selling_everything_ends_the_position() -> None:
    held = Position("BTC/USDT").adopt(Decimal("0.5"), Decimal(50_000), NOON)
    sold = held.apply(fill(Side.SELL, "0.5"), "BTC", "USDT")
    assert sold.quantity == 0
    assert sold.cost == 0
    assert sold.opened_at is None
    assert sold.average_price is None


def test_releasing_coins_takes_their_share_of_the_cost_and_no_profit() -> None:
    held = Position("BTC/USDT").adopt(Decimal(2), Decimal(50_000), NOON)
    assert held.release(Decimal(1)) == Position(
        "BTC/USDT", Decimal(1), Decimal(50_000), opened_at=NOON, changed_at=NOON
    )
    assert held.release(Decimal(5)).quantity == 0
    assert Position("BTC/USDT").release(Decimal(1)).quantity == 0


def test_more_than_the_position_never_makes_it_negative() -> None:
    held = Position("BTC/USDT").adopt(Decimal(1), Decimal(50_000), NOON)
    assert held.apply(fill(Side.SELL, "2"), "BTC", "USDT").quantity == 0
    assert Position("BTC/USDT").apply(fill(Side.SELL, "2"), "BTC", "USDT").quantity == 0


@given(PARTS)
def test_one_fill_or_the_same_in_parts_gives_the_same_position(parts: list[Decimal]) -> None:
    whole = Position("BTC/USDT").apply(
        fill(Side.BUY, str(sum(parts)), "60000", "0", "USDT"), "BTC", "USDT"
    )
    split = Position("BTC/USDT")
    for part in parts:
        split = split.apply(fill(Side.BUY, str(part), "60000", "0", "USDT"), "BTC", "USDT")
    assert split == whole


def test_an_unknown_asset_is_an_empty_one() -> None:
    portfolio = Portfolio({"BTC": Balance("BTC", Decimal(1), Decimal(2))})
    assert portfolio.free("BTC") == 1
    assert portfolio.total("BTC") == 3
    assert portfolio.free("ETH") == portfolio.total("ETH") == portfolio.managed("ETH/USDT") == 0


def test_only_the_active_mode_takes_entries() -> None:
    assert [mode for mode in TradingMode if mode.takes_entries] == [TradingMode.ACTIVE]
