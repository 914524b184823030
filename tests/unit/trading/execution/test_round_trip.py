"""What exits earned is what came in less what went out, whatever coin fees are taken in."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.codec import decode, encode
from storage.fold import Fold
from tests import builders
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.money import ZERO
from trading.domain.order import Fees, Fill, Intent, Purpose, Side
from trading.domain.position import Position, RoundTrip
from trading.execution.round_trip import round_trip, valued, with_cost

PRICES = {"BNB": Decimal(600), "ADA": Decimal("0.5")}
NEAR = Decimal("1E-15")


class Hand:
    """The same trades as sums of money, worked out by hand: no positions and no averages."""

    def __init__(self) -> None:
        self.money = ZERO
        self.fees = ZERO
        self.unpriced = ZERO

    def take(self, fill: Fill) -> None:
        self.money -= fill.side.sign * fill.notional
        if fill.fee_asset == "USDT":
            self.money -= fill.fee
            self.fees += fill.fee
        elif fill.fee_asset in PRICES:
            self.money -= fill.fee * PRICES[fill.fee_asset]
            self.fees += fill.fee * PRICES[fill.fee_asset]
        elif fill.fee_asset == "BTC":
            # A fee in coins takes no money: there is less to sell.
            self.fees += fill.fee * fill.price
        else:
            self.unpriced += fill.fee


class Trades:
    """Purchases and sales of one instrument as they are booked, each event through storage."""

    def __init__(self) -> None:
        self.position = Position(BTC)
        self.trips: list[RoundTrip] = []
        self.told: list[events.Event] = []

    def book(self, fills: Sequence[Fill], intent: Intent | None = None) -> None:
        """Book each of these on its own, and for a sale what it came to."""
        done: list[Fill] = []
        for fill in fills:
            [known] = valued([fill], self.position, PRICES.get)
            if intent is not None:
                intent = with_cost(intent, known.quantity, self.position)
                intent = replace(intent, filled_quantity=intent.filled_quantity + known.quantity)
            done.append(known)
            self.position = self.position.apply(known, "BTC", "USDT")
            self.told.append(events.FillBooked(known, "i", "BTC", "USDT", builders.NOON))
        if intent is not None:
            trip = round_trip(intent, done, self.position, builders.NOON)
            assert trip is not None
            self.trips.append(trip)
            self.told.append(events.RoundTripClosed(trip, builders.NOON))


def sale() -> Intent:
    return Intent("i", BTC, Side.SELL, Purpose.CLOSE, Decimal(1), builders.NOON)


FEE_ASSETS = st.sampled_from(["USDT", "BTC", "BNB", "ADA", "XYZ"])


@given(
    st.lists(st.tuples(FEE_ASSETS, st.integers(1, 9)), min_size=1, max_size=6),
    st.lists(st.tuples(FEE_ASSETS, st.integers(1, 9)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_all_profits_together_are_the_money_that_came_in_less_what_went_out(
    bought: list[tuple[str, int]], sold: list[tuple[str, int]], chance: random.Random
) -> None:
    trades, hand = Trades(), Hand()
    for number, (asset, size) in enumerate(bought):
        fill = _fill(Side.BUY, Decimal(size), asset, number, chance)
        trades.book([fill])
        hand.take(fill)
    left = len(sold)
    for number, (asset, parts) in enumerate(sold, start=100):
        # The last sale takes all that is left, and each is done in parts.
        whole = trades.position.quantity / left
        fills = []
        for part in range(parts):
            fill = _fill(Side.SELL, whole / parts, asset, number * 10 + part, chance)
            if asset == "BTC":
                # What is sold and what is charged have to be there.
                taken = fill.quantity / (1 + fill.fee / fill.quantity)
                fill = replace(fill, quantity=taken, fee=fill.quantity - taken)
            fills.append(fill)
        trades.book(fills, sale())
        for fill in fills:
            hand.take(fill)
        left -= 1
    trips = trades.trips
    assert trades.position.quantity < NEAR
    assert abs(sum(trip.profit for trip in trips) - hand.money) < NEAR
    if all(asset != "BTC" for asset, _ in sold):
        # Coins that a sale is charged cost what they cost, the fees of their purchase in it.
        unpriced = sum((sum(dict(trip.fees_unpriced).values()) for trip in trips), ZERO)
        assert abs(unpriced - hand.unpriced) < NEAR
        assert abs(sum(trip.fees_quote for trip in trips) - hand.fees) < NEAR
    _replay(trades)


def _fill(side: Side, size: Decimal, asset: str, number: int, chance: random.Random) -> Fill:
    price = Decimal(chance.randrange(30_000, 90_000))
    share = Decimal(chance.randrange(1, 20)) / 10_000
    unit = {"USDT": Decimal(1), "BTC": price, **PRICES}.get(asset, Decimal(7))
    fee = size * price * share / unit
    blank = builders.fill(side, "1", "1", "0", asset, trade_id=str(number))
    return replace(blank, quantity=size, price=price, fee=fee)


def _replay(trades: Trades) -> None:
    """Events read back from storage make the same position, without a price of any coin."""
    fold = Fold()
    again = Position(BTC)
    for seq, event in enumerate(trades.told, start=1):
        stored = decode(event.kind, encode(event))
        assert stored == event
        fold.add(seq, stored)
        if isinstance(stored, events.FillBooked):
            again = again.apply(stored.fill, stored.base, stored.quote)
    assert again == trades.position
    assert abs(fold.positions[BTC].cost - trades.position.cost) < NEAR


def test_a_purchase_that_paid_in_another_coin_is_dearer_by_its_fee() -> None:
    # As on an account that pays fees in ADA: 0.01 at 50,000 for 1 ADA, sold at 49,000 for 0.98.
    trades = Trades()
    trades.book([builders.fill(Side.BUY, "0.01", "50000", "1", "ADA", trade_id="1")])
    trades.book([builders.fill(Side.SELL, "0.01", "49000", "0.98", "ADA", trade_id="2")], sale())
    [trip] = trades.trips
    # 490 - 0.49 fee - 500 - 0.5 fee
    assert trip.profit == Decimal("-10.99")
    assert trip.fees_quote == Decimal("0.99")
    assert trip.entry_price == Decimal(50_050)
    assert trip.fees_unpriced == ()


def test_fees_that_nobody_can_value_are_named_for_the_whole_round_trip() -> None:
    trades = Trades()
    trades.book([builders.fill(Side.BUY, "2", "100", "0.4", "XYZ", trade_id="1")])
    trades.book([builders.fill(Side.SELL, "1", "110", "0.3", "XYZ", trade_id="2")], sale())
    [trip] = trades.trips
    assert (trip.profit, trip.fees_quote) == (10, 0)
    # Half of what the purchase was charged, and all that the sale was.
    assert trip.fees_unpriced == (("XYZ", Decimal("0.5")),)


def test_a_fill_of_an_older_version_counts_as_it_did_and_its_fee_is_named() -> None:
    older = (
        '{"fill":{"symbol":"BTC/USDT","trade_id":"1","client_order_id":"c","side":"buy",'
        '"quantity":"1","price":"100","fee":"0.1","fee_asset":"BNB",'
        '"at":"2026-11-20T12:00:00Z"},"intent_id":"i","base":"BTC","quote":"USDT",'
        '"at":"2026-11-20T12:00:00Z"}'
    )
    event = decode("FillBooked", older)
    assert isinstance(event, events.FillBooked)
    position = Position(BTC).apply(event.fill, event.base, event.quote)
    assert position.cost == 100
    assert position.fees == Fees(unpriced=(("BNB", Decimal("0.1")),))


async def test_both_fees_in_a_third_coin_count_at_the_price_of_their_moment() -> None:
    desk = Desk(managed="0")
    desk.exchange.fee_share, desk.exchange.fee_asset = Decimal("0.001"), "BNB"
    desk.exchange.coins["BNB"] = Decimal(10)
    desk.exchange.prices["BNB/USDT"] = Decimal(600)
    await desk.run(desk.entry("6000"))
    desk.exchange.prices["BNB/USDT"] = Decimal(300)
    # Another process knows of the purchase what was written.
    desk = desk.restarted()
    await desk.time.finish(desk.engine.recover(await desk.store.state()))
    held = desk.managed
    await desk.run(desk.exit(str(held)))
    [trip] = [one.round_trip for one in desk.store.of(events.RoundTripClosed)]
    # The fake exchange charges a thousandth of the coins: 600 for each of them, and then 300.
    assert trip.fees_quote == held / 1000 * (600 + 300)
    booked = [one.fill for one in desk.store.of(events.FillBooked)]
    spent = sum((-fill.side.sign * fill.notional for fill in booked), ZERO)
    assert trip.profit == spent - trip.fees_quote


@pytest.mark.parametrize("quote", ["BTC", "TRY"])
async def test_a_fee_is_valued_over_two_markets_where_no_single_one_does(quote: str) -> None:
    symbol = f"ETH/{quote}"
    desk = Desk(
        instruments=[replace(builders.coin("ETH", quote), notional_min=Decimal("0.001"))],
        balances={"ETH": "5", "BNB": "1", quote: "0"},
    )
    desk.exchange.set_price(symbol, "0.05")
    desk.exchange.fee_share, desk.exchange.fee_asset = Decimal("0.001"), "BNB"
    desk.exchange.prices["BNB/USDT"] = Decimal(600)
    desk.book.load({symbol: Position(symbol, Decimal(5), Decimal("0.2"))})
    await desk.run(desk.exit("5", symbol=symbol))
    [trip] = [one.round_trip for one in desk.store.of(events.RoundTripClosed)]
    if quote == "BTC":
        # 5 x 0.001 BNB of 600 USDT each, at 60,000 USDT a BTC.
        assert abs(trip.fees_quote - Decimal("0.00005")) < NEAR
        assert trip.fees_unpriced == ()
    else:
        assert trip.fees_quote == 0
        assert trip.fees_unpriced == (("BNB", Decimal("0.005")),)
