"""Coins of one market are money of another: what a stop protects, no purchase spends."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON, bitcoin, coin, fill
from tests.catalogue import fired
from tests.unit.trading.agent_world import OWNER, AgentWorld
from tests.unit.trading.trackers.make import armed
from trading.domain.chat import Severity
from trading.domain.commands import ArmTracker, ClosePosition, EditTracker, Panic, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.events import (
    ConditionChanged,
    Event,
    FillBooked,
    PositionAdjusted,
    TrackerChanged,
)
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.market import OrderBook
from trading.domain.order import Side
from trading.domain.position import AdjustReason, Balance, Portfolio, Position
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.proposals.holding import Holding
from trading.proposals.tracking import slice_for
from trading.reachability import EXCHANGE_DOWN

ETH_BTC = replace(
    coin("ETH", "BTC"),
    price_tick=Decimal("0.00001"),
    quantity_step=Decimal("0.0001"),
    quantity_min=Decimal("0.0001"),
    notional_min=Decimal("0.0001"),
)
ALL = Amount(AmountKind.ALL)


def base(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


def quote(quantity: str) -> Amount:
    return Amount(AmountKind.QUOTE, Decimal(quantity))


def stop(amount: Amount = ALL, symbol: str = "BTC/USDT") -> ArmTracker:
    return ArmTracker(TrackerSpec(TrackerKind.STOP, symbol, amount, level=Decimal(58_000)))


def breakout(amount: Amount) -> ArmTracker:
    return ArmTracker(TrackerSpec(TrackerKind.BREAKOUT, "ETH/BTC", amount, level=Decimal("0.0505")))


def buy(amount: Amount) -> PlaceOrder:
    return PlaceOrder("ETH/BTC", Side.BUY, amount)


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    running = AgentWorld()
    exchange = running.exchange
    dollar = replace(bitcoin(), symbol="BTC/USDC", exchange_symbol="BTCUSDC", quote="USDC")
    exchange.rules |= {"ETH/BTC": ETH_BTC, "BTC/USDC": dollar}
    exchange.prices |= {"ETH/BTC": Decimal("0.05"), "BTC/USDC": Decimal(60_000)}
    exchange.coins["USDC"] = Decimal(1000)
    async with running:
        yield running


async def refused(world: AgentWorld, command: ArmTracker | PlaceOrder | EditTracker) -> Refused:
    with pytest.raises(Refused) as caught:
        await world.do(command)
    return caught.value


async def test_no_purchase_spends_coins_that_a_stop_protects_and_the_stop_is_named(
    world: AgentWorld,
) -> None:
    await world.do(stop())
    for command in (breakout(quote("0.2")), breakout(ALL), buy(quote("0.2")), buy(base("1"))):
        told = await refused(world, command)
        assert "0.5 BTC are managed as BTC/USDT, for #1 to sell, and no purchase" in told.words
    assert world.exchange.sent == []


async def test_a_purchase_spends_what_is_beside_the_coins_that_are_managed(
    world: AgentWorld,
) -> None:
    await world.do(stop(base("0.3")))
    told = await refused(world, breakout(quote("0.4")))
    assert "at most 0.2 BTC, was 0.4 BTC; 0.3 BTC are managed as BTC/USDT" in told.words
    assert told.example == "0.2 BTC"
    await world.do(breakout(ALL))
    assert world.desk.tracker(2).tracker.quote == Decimal("0.2")
    told = await refused(world, buy(quote("0.1")))
    assert "0.1 BTC is more than what is free: 0; 0.2 BTC #2 has reserved; 0.3 BTC" in told.words


async def test_coins_that_a_purchase_has_reserved_come_under_no_stop(world: AgentWorld) -> None:
    await world.do(breakout(quote("0.2")))
    await world.do(stop())
    assert world.desk.tracker(2).tracker.quantity == Decimal("0.3")
    told = await refused(world, stop())
    assert "all 0.5 BTC already belong to #1 #2" in told.words
    # The other market of the coin shares the same ones.
    told = await refused(world, stop(symbol="BTC/USDC"))
    assert "#1" in told.words


async def test_who_owns_the_rest_is_named_on_the_other_market_of_a_coin(world: AgentWorld) -> None:
    await world.do(stop(base("0.3")))
    told = await refused(world, stop(base("0.4"), "BTC/USDC"))
    assert told.words.startswith("amount should be at most 0.2 BTC, was 0.4 BTC; 0.3 BTC are")
    assert told.words.endswith("managed as BTC/USDT, for #1 to sell")
    assert told.example == "0.2"
    told = await refused(world, PlaceOrder("BTC/USDC", Side.SELL, base("0.4")))
    assert "can be sold: 0.2; 0.3 BTC are managed as BTC/USDT, for #1 to sell" in told.words


async def test_a_crumb_beside_what_another_market_manages_is_not_called_all_there_is(
    world: AgentWorld,
) -> None:
    await world.do(stop())
    world.exchange.coins["BTC"] += Decimal("0.0000015")
    await world.time.finish(world.agent.jobs()["balances"]())
    told = await refused(world, stop(symbol="BTC/USDC"))
    assert "0.0000015 BTC are too little to use: 0.5 BTC are managed as BTC/USDT" in told.words
    assert "for #1 to sell" in told.words


async def test_coins_that_a_purchase_has_reserved_are_not_sold(world: AgentWorld) -> None:
    await world.do(breakout(quote("0.2")))
    told = await refused(world, PlaceOrder("BTC/USDT", Side.SELL, base("0.4")))
    assert "more than can be sold: 0.3; 0.2 BTC #1 has reserved" in told.words
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, ALL))
    await world.until_sold("0.3")


async def test_a_purchase_that_fires_leaves_coins_alone_that_came_under_care_since(
    world: AgentWorld,
) -> None:
    await world.do(breakout(quote("0.2")))
    reason = AdjustReason.ADOPTED
    price = Decimal(60_000)
    await world.agent.record(
        PositionAdjusted("BTC/USDT", Decimal("0.4"), price, reason, "", world.time.now())
    )
    await world.move("0.0506", "ETH/BTC")
    await world.time.until(lambda: not world.desk.trackers(), 30)
    assert world.exchange.sent == []
    last = world.store.of(TrackerChanged)[-1]
    assert last.change is TrackerChange.EXPIRED
    assert "more than what is free: 0.1, the rest is managed under BTC/USDT" in last.reason


async def test_a_stop_on_the_exchange_does_not_count_twice(world: AgentWorld) -> None:
    spec = replace(stop(base("0.3")).spec, backstop=Decimal(50_000))
    await world.do(ArmTracker(spec))
    await world.time.finish(world.agent.jobs()["tracker_sweep"]())
    await world.time.settle()
    assert world.exchange.locked["BTC"] == Decimal("0.3")
    world.exchange.tell_balance("BTC")
    await world.do(breakout(ALL))
    assert world.desk.tracker(2).tracker.quote == Decimal("0.2")


def _portfolio(free: str, locked: str, *managed: str) -> Portfolio:
    names = ("BTC/USDT", "BTC/USDC")
    positions = {
        symbol: Position(symbol, Decimal(quantity))
        for symbol, quantity in zip(names, managed, strict=False)
    }
    return Portfolio({"BTC": Balance("BTC", Decimal(free), Decimal(locked))}, positions)


@pytest.mark.parametrize(
    ("free", "locked", "managed", "offered", "spendable"),
    [
        ("1", "0", ("0.3", "0.2"), "0", "0.5"),
        ("0.4", "0.6", ("0.6",), "0.6", "0.4"),
        # What somebody else's order locks may be any of them.
        ("0.4", "0.6", ("0.6",), "0", "0"),
        # An order that just left, and whose lock no balance shows yet.
        ("1", "0", ("0.6",), "0.6", "0.4"),
        ("0.2", "0", ("0.6",), "0", "0"),
    ],
)
def test_what_may_be_spent_is_free_and_stands_in_for_nothing_managed(
    free: str, locked: str, managed: tuple[str, ...], offered: str, spendable: str
) -> None:
    portfolio = _portfolio(free, locked, *managed)
    assert portfolio.spendable("BTC", Decimal(offered)) == Decimal(spendable)


_MARKETS = {
    "BTC/USDT": bitcoin(),
    "BTC/USDC": replace(bitcoin(), symbol="BTC/USDC", quote="USDC"),
    "ETH/BTC": ETH_BTC,
    "ADA/BTC": replace(ETH_BTC, symbol="ADA/BTC", base="ADA"),
}
_WISHES = st.lists(
    st.tuples(
        st.sampled_from(sorted(_MARKETS)),
        st.one_of(
            st.just(ALL),
            st.decimals("0.01", "1", places=2).map(lambda part: Amount(AmountKind.SHARE, part)),
            st.decimals("0.01", "1", places=2).map(lambda coins: Amount(AmountKind.BASE, coins)),
        ),
    ),
    max_size=8,
)


@given(_WISHES, st.decimals("0", "2", places=3), st.decimals("0", "1", places=3))
def test_whatever_is_wished_for_no_coin_has_two_owners_on_all_markets_of_it(
    wishes: list[tuple[str, Amount]], free: Decimal, locked: Decimal
) -> None:
    balances = {"BTC": Balance("BTC", free, locked)}
    positions: dict[str, Position] = {}
    trackers: list[Tracker] = []
    for symbol, amount in wishes:
        instrument, side = _MARKETS[symbol], _side(symbol)
        portfolio = Portfolio(balances, positions)
        holding = Holding(instrument, portfolio, trackers)
        is_money = side is Side.BUY and amount.kind is AmountKind.BASE
        wanted = Amount(AmountKind.QUOTE, amount.value) if is_money else amount
        try:
            owned = slice_for(wanted, side, holding, Decimal(60_000))
        except Refused:
            continue
        if owned.adopted:
            before = positions.get(symbol, Position(symbol))
            positions[symbol] = before.adopt(owned.adopted, Decimal(1), NOON)
        trackers.append(_owner(instrument, len(trackers) + 1, owned.quantity, owned.quote))
        _check(trackers, Portfolio(balances, positions))


def _side(symbol: str) -> Side:
    return Side.SELL if base_and_quote(symbol)[0] == "BTC" else Side.BUY


def _owner(instrument: Instrument, number: int, quantity: Decimal, money: Decimal) -> Tracker:
    kind = TrackerKind.BREAKOUT if money else TrackerKind.STOP
    level = 61_000 if money else 58_000
    one = armed(kind, 60_000, number, level=level, symbol="BTC/USDT")
    return replace(
        one,
        spec=replace(one.spec, symbol=instrument.symbol),
        quantity=quantity,
        quote=money,
        state=TrackerState.TRAILING,
    )


def _check(trackers: Iterable[Tracker], portfolio: Portfolio) -> None:
    spent = sum((one.quote for one in trackers), Decimal(0))
    sold: dict[str, Decimal] = {}
    for one in trackers:
        sold[one.symbol] = sold.get(one.symbol, Decimal(0)) + one.quantity
    assert all(own <= portfolio.managed(symbol) for symbol, own in sold.items())
    assert portfolio.managed_of("BTC") + spent <= portfolio.total("BTC")


async def test_no_stop_takes_over_coins_that_were_sold_while_the_balances_are_old(
    world: AgentWorld,
) -> None:
    book, clock = world.agent.state.book, world.agent.clock
    await world.do(stop(base("0.3")))
    stale = dict(book.snapshot().balances)
    await world.do(ClosePosition("BTC/USDT"))
    await world.until_sold("0.3")
    # As the exchange said before the sale.
    book.set_balances(stale, clock.monotonic(), 0)
    world.exchange.is_down = True
    words = str(await refused(world, stop()))
    assert "what the account holds of BTC is not known" in words
    world.exchange.is_down = False
    await world.do(stop())
    assert sum(one.quantity for one in world.agent.trackers.all()) == world.exchange.coins["BTC"]


async def test_what_is_managed_is_protected_and_changed_while_the_exchange_says_nothing(
    world: AgentWorld,
) -> None:
    await world.do(stop(base("0.4")))
    world.exchange.is_down = True
    down = ConditionChanged(EXCHANGE_DOWN, None, True, Severity.WARN, "silent", world.time.now())
    await world.agent.record(down)
    await world.do(EditTracker(1, level=Decimal(58_500)))
    await world.do(EditTracker(1, amount=base("0.1")))
    await world.do(stop(base("0.3")))
    assert [(one.quantity, one.spec.level) for one in world.agent.trackers.all()] == [
        (Decimal("0.1"), Decimal(58_500)),
        (Decimal("0.3"), Decimal(58_000)),
    ]
    words = str(await refused(world, stop(base("0.1"))))
    assert "what the account holds of BTC is not known" in words


BUY = PlaceOrder("BTC/USDT", Side.BUY, base("0.1"))


async def _account_is_read_anew(world: AgentWorld) -> None:
    """Lose the stream: whatever comes under care from here on is asked for."""
    world.exchange.end_account_stream()
    await world.time.settle()


@pytest.mark.fault("X01", "EQ")
async def test_no_stop_takes_over_what_a_purchase_has_bought_before_it_is_known(
    world: AgentWorld,
) -> None:
    lost = world.exchange.fail("lost_after", lag_s=5)
    buying = asyncio.ensure_future(world.desk.execute(BUY, OWNER, "buy", None))
    await world.time.until(lambda: bool(lost.fired))
    await _account_is_read_anew(world)
    await world.do(stop())
    [tracker] = world.agent.trackers.all()
    assert tracker.quantity == Decimal("0.5")
    await world.time.finish(buying)
    await world.time.pass_by(30)
    await world.time.finish(world.agent.jobs()["full_reconcile"]())
    # The stop owns all: what was bought grows it once.
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    assert world.desk.status().alerts == ()
    fired(lost.fired)


async def test_a_panic_takes_over_nothing_that_was_just_sold_and_that_no_stream_told_of(
    world: AgentWorld,
) -> None:
    world.exchange.is_line_silent = True
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, base("0.3")))
    await world.until_sold("0.3")
    assert world.agent.state.book.snapshot().total("BTC") == Decimal("0.5")
    await world.do(Panic(everything=True))
    taken = [one for one in world.store.of(PositionAdjusted) if one.symbol == "BTC/USDT"]
    assert [one.quantity for one in taken] == [Decimal("0.3"), Decimal("0.2")]


@pytest.mark.fault("S07")
async def test_no_stop_takes_over_what_was_bought_while_that_is_being_written(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, append = list[Event](), world.store.append

    async def slowly(*new: Event, **how: bool) -> int:
        if any(isinstance(one, FillBooked) for one in new):
            written.extend(new)
            await world.time.sleep(3)
        return await append(*new, **how)

    monkeypatch.setattr(world.store, "append", slowly)
    buying = asyncio.ensure_future(world.desk.execute(BUY, OWNER, "buy", None))
    await world.time.until(lambda: bool(written))
    await _account_is_read_anew(world)
    await world.do(stop())
    assert world.agent.trackers.all()[0].quantity == Decimal("0.5")
    await world.time.finish(buying)
    await world.time.pass_by(30)
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    fired(written)


@pytest.mark.fault("X07", "EQ")
async def test_no_stop_takes_over_what_a_resting_purchase_has_bought_untold(
    world: AgentWorld,
) -> None:
    await world.do(PlaceOrder("BTC/USDT", Side.BUY, base("0.1"), Decimal(50_000)))
    await world.time.pass_by(2)
    await _account_is_read_anew(world)
    world.exchange.on_report = None
    world.exchange.set_price("BTC/USDT", "49900")
    assert world.exchange.coins["BTC"] == Decimal("0.6")
    world.exchange.set_price("BTC/USDT", "60000")
    await world.do(stop())
    assert world.agent.state.book.managed("BTC/USDT") == Decimal("0.6")
    await world.time.pass_by(30)
    assert world.agent.state.book.managed("BTC/USDT") == world.exchange.coins["BTC"]
    fired(world.exchange.unheard)


async def test_a_limit_sale_of_more_than_is_managed_rests_with_all_of_it(
    world: AgentWorld,
) -> None:
    await world.do(stop(base("0.1")))
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, base("0.3"), Decimal(70_000)))
    await world.time.pass_by(2)
    [order] = world.exchange.orders.values()
    assert (order.is_open, order.request.quantity) == (True, Decimal("0.3"))
    world.exchange.move("BTC/USDT", "70100")
    await world.until_sold("0.3")


async def test_no_sale_takes_over_coins_that_were_sold_while_the_exchange_says_nothing(
    world: AgentWorld,
) -> None:
    book, clock = world.agent.state.book, world.agent.clock
    await world.do(stop(base("0.4")))
    stale = dict(book.snapshot().balances)
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, base("0.3")))
    await world.until_sold("0.3")
    book.set_balances(stale, clock.monotonic(), 0)
    world.exchange.is_down = True
    told = await refused(world, PlaceOrder("BTC/USDT", Side.SELL, base("0.3")))
    assert "what the account holds of BTC is not known" in told.words
    # What is managed is there, and who sells it waits for nobody.
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, base("0.1")))
    world.exchange.is_down = False
    await world.until_sold("0.4")


async def test_no_stop_takes_over_coins_that_others_sold_while_no_stream_told_of_it(
    world: AgentWorld,
) -> None:
    await world.time.pass_by(5)
    world.exchange.end_account_stream()
    await world.time.settle()
    world.exchange.sell_by_hand("BTC/USDT", "0.2")
    # The next connection has not begun yet.
    await world.do(stop())
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.3")]


async def test_no_stop_takes_over_coins_that_others_sold_while_a_stream_was_being_subscribed(
    world: AgentWorld,
) -> None:
    await world.time.pass_by(5)
    world.exchange.end_account_stream()
    await world.time.pass_by(1)
    world.exchange.sell_by_hand("BTC/USDT", "0.2")
    await world.do(stop())
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.3")]


async def test_no_stop_takes_over_coins_that_others_sold_while_nothing_came_over_any_line(
    world: AgentWorld,
) -> None:
    await world.time.pass_by(5)
    down = ConditionChanged(EXCHANGE_DOWN, None, True, Severity.WARN, "silent", world.time.now())
    await world.agent.record(down)
    # The stream is not known to be lost yet.
    world.exchange.sell_by_hand("BTC/USDT", "0.2")
    await world.do(stop())
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.3")]


@pytest.mark.parametrize("sales", [2, 9])
async def test_no_stop_takes_over_coins_whose_sale_is_booked_while_the_account_is_read(
    sales: int, world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.time.pass_by(5)
    book, read, left = world.agent.state.book, world.exchange.balances, [sales]

    async def overtaken() -> Mapping[str, Balance]:
        found = await read()
        if left[0]:
            left[0] -= 1
            world.exchange.coins["BTC"] -= Decimal("0.01")
            sold = fill(quantity="0.01", trade_id=str(left[0]))
            book.apply(FillBooked(sold, "exit", "BTC", "USDT", NOON))
        return found

    monkeypatch.setattr(world.exchange, "balances", overtaken)
    book.hear(None)
    if sales > 2:
        assert "a sale of it is being booked" in str(await refused(world, stop()))
        return
    await world.do(stop())
    assert [one.quantity for one in world.agent.trackers.all()] == [Decimal("0.48")]


async def test_no_sale_takes_over_coins_whose_sale_is_booked_while_the_book_is_read(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, read, sales = world.agent.state.book, world.exchange.order_book, itertools.count()

    async def overtaken(symbol: str) -> OrderBook:
        world.exchange.coins["BTC"] -= Decimal("0.01")
        sold = fill(quantity="0.01", trade_id=str(next(sales)))
        book.apply(FillBooked(sold, "exit", "BTC", "USDT", NOON))
        return await read(symbol)

    monkeypatch.setattr(world.exchange, "order_book", overtaken)
    await world.do(PlaceOrder("BTC/USDT", Side.SELL, ALL))
    await world.until_sold(format(Decimal("0.5") - Decimal("0.01") * next(sales), "f"))
    assert world.exchange.coins["BTC"] == 0
