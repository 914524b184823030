"""The listed markets and the liquidity around their prices."""

from decimal import Decimal

import pytest

from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.sim.catalogue import catalogue, coins, with_market
from trading.sim.liquidity import Liquidity


def test_the_house_lists_nine_markets() -> None:
    symbols = [i.symbol for i in catalogue(9, 7).instruments]
    assert sorted(symbols) == sorted(
        [
            "BTC/USDT",
            "ETH/USDT",
            "SOL/USDT",
            "ADA/USDT",
            "DOGE/USDT",
            "ADA/USDC",
            "BTC/USDC",
            "ETH/BTC",
            "ADA/BTC",
        ]
    )


def test_bitcoin_has_binances_rules() -> None:
    btc = catalogue(9, 7).instruments[0]
    assert (btc.price_tick, btc.quantity_step) == (Decimal("0.01"), Decimal("0.00001"))
    assert btc.market_quantity_max >= 100
    assert (btc.notional_min, btc.notional_max) == (5, 9_000_000)
    assert (btc.price_ratio_min, btc.price_ratio_max) == (Decimal("0.2"), 5)


def test_five_hundred_markets_have_rules_that_fit_their_prices() -> None:
    listed = catalogue(500, 7)
    assert len(listed.instruments) == len({i.symbol for i in listed.instruments}) == 500
    for i in listed.instruments:
        price = listed.coin_prices[i.base] / listed.coin_prices[i.quote]
        assert i.price_tick / price < Decimal("0.001")
        assert i.quantity_step * price < i.notional_min
        # Eight decimals hold every notional exactly.
        assert i.price_tick * i.quantity_step >= Decimal("1e-10")
        assert i.market_quantity_max % i.quantity_step == 0
    assert catalogue(500, 7) == listed
    assert len(coins(listed.instruments)) == 498


@pytest.mark.parametrize("markets", [0, -1, 501])
def test_more_markets_than_there_are_is_refused(markets: int) -> None:
    with pytest.raises(Refused, match="from 1 to 500"):
        catalogue(markets, 7)


def test_a_tapes_market_is_added_once() -> None:
    listed = catalogue(9, 7)
    assert with_market(listed, "BTC", "USDT", Decimal(20_000)).coin_prices["BTC"] == 20_000
    added = with_market(listed, "LTC", "BTC", Decimal("0.002"))
    assert added.coin_prices["LTC"] == 120
    assert [i.symbol for i in added.instruments][-1] == "LTC/BTC"


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("side", Side)
def test_each_side_holds_enough_near_the_touch(number: int, side: Side) -> None:
    listed = catalogue(12, 7)
    i = listed.instruments[number]
    price = i.price_down(listed.coin_prices[i.base] / listed.coin_prices[i.quote])
    levels = Liquidity(i, 7).levels(side, price)
    near = [level for level in levels if abs(level.price - price) <= price / 1000]
    assert sum(level.price * level.quantity for level in near) >= 100_000
    distances = [(level.price - price) * side.sign for level in levels]
    assert all(distance < 0 for distance in distances)
    assert distances == sorted(distances, reverse=True)
    assert Liquidity(i, 7).touch(side, price) == levels[0]
    assert all(level.price % i.price_tick == 0 for level in levels)
    assert all(level.quantity % i.quantity_step == 0 for level in levels)


def test_levels_stay_where_they_are_while_the_price_wanders() -> None:
    i = catalogue(1, 7).instruments[0]
    liquidity = Liquidity(i, 7)
    before = {level.price: level.quantity for level in liquidity.levels(Side.BUY, Decimal(60_000))}
    after = {level.price: level.quantity for level in liquidity.levels(Side.BUY, Decimal(60_001))}
    same = [price for price in before if after.get(price) == before[price]]
    assert len(same) > 0.9 * len(before)


def test_a_spread_can_be_made_wide() -> None:
    i = catalogue(1, 7).instruments[0]
    liquidity = Liquidity(i, 7)
    liquidity.set_spread(Decimal("0.3"))
    bid, ask = (liquidity.levels(side, Decimal(60_000))[0].price for side in Side)
    assert (bid, ask) == (51_000, 69_000)


def test_a_price_of_one_tick_has_no_bids() -> None:
    i = catalogue(1, 7).instruments[0]
    liquidity = Liquidity(i, 7)
    assert liquidity.levels(Side.BUY, Decimal("0.01")) == []
    assert liquidity.touch(Side.BUY, Decimal("0.01")) is None


@pytest.mark.parametrize("share", ["-0.1", "1"])
def test_impossible_shapes_are_refused(share: str) -> None:
    liquidity = Liquidity(catalogue(1, 7).instruments[0], 7)
    with pytest.raises(Refused, match="spread"):
        liquidity.set_spread(Decimal(share))
    with pytest.raises(Refused, match="depth"):
        liquidity.set_depth(Decimal(-1))
