"""The account is looked at before coins change hands: what came, what went, and who has to wait."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld, stop_spec
from trading.domain.commands import ArmTracker, Panic, PlaceOrder
from trading.domain.errors import Refused
from trading.domain.events import AlertRaised, Event
from trading.domain.order import OrderReport, Side
from trading.domain.position import Balance
from trading.domain.tracker import Amount, AmountKind

ADA = "ADA/USDT"
BTC = "BTC/USDT"
BUY = PlaceOrder(BTC, Side.BUY, Amount(AmountKind.QUOTE, Decimal(3_000)), Decimal(59_000))


def coins(quantity: str) -> Amount:
    return Amount(AmountKind.BASE, Decimal(quantity))


def sell(quantity: str, symbol: str = BTC, limit: str | None = None) -> PlaceOrder:
    price = None if limit is None else Decimal(limit)
    return PlaceOrder(symbol, Side.SELL, coins(quantity), price)


@pytest.fixture
async def world() -> AsyncIterator[AgentWorld]:
    async with AgentWorld() as running:
        await running.time.pass_by(5)
        yield running


async def sold_after_a_purchase_rests(world: AgentWorld) -> None:
    """A stop on 0.3 BTC, a purchase that rests, and a sale that no read has shown yet."""
    await world.do(ArmTracker(stop_spec("50000", coins("0.3"))))
    await world.do(BUY)
    await world.time.pass_by(2)
    await world.do(sell("0.1"))
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 60)
    await world.time.settle()
    assert world.agent.state.book.has_sold("BTC")


def fill_unheard(world: AgentWorld) -> Decimal:
    """Fill the purchase that rests, and tell nobody; returns what it bought."""
    heard, world.exchange.on_report = world.exchange.on_report, None
    world.exchange.set_price(BTC, "58999")
    world.exchange.on_report = heard
    return world.exchange.filled(Side.BUY)


@pytest.mark.fault("X07", "EQ")
async def test_a_panic_takes_over_nothing_that_a_purchase_has_bought_untold(
    world: AgentWorld,
) -> None:
    await world.do(BUY)
    await world.time.pass_by(2)
    world.exchange.end_account_stream()
    await world.time.settle()
    assert fill_unheard(world)
    await world.do(Panic(everything=True))
    await world.time.pass_by(20)
    await world.time.finish(world.agent.jobs()["open_attempts"]())
    assert world.exchange.coins["BTC"] == world.agent.state.book.managed(BTC) == 0
    assert [one.text for one in world.store.of(AlertRaised)] == []
    fired(world.exchange.unheard)


async def test_a_panic_takes_over_nothing_that_is_sold_while_the_account_is_read(
    world: AgentWorld,
) -> None:
    await world.do(sell("100", ADA, "0.95"))
    await world.do(sell("0.1"))
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.1"), 60)
    await world.time.settle()
    read = world.exchange.balances

    async def overtaken() -> Mapping[str, Balance]:
        shown = await read()
        world.exchange.balances = read  # type: ignore[method-assign]
        world.exchange.move(ADA, "0.96")
        await world.time.sleep(0.5)
        return shown

    world.exchange.balances = overtaken  # type: ignore[method-assign]
    await world.do(Panic(everything=True))
    await world.time.pass_by(20)
    assert (world.exchange.coins["ADA"], world.exchange.coins["BTC"]) == (0, 0)
    assert world.agent.execution.intents == []
    assert [one.text for one in world.store.of(AlertRaised)] == []


async def test_what_is_managed_is_sold_while_a_purchase_that_rests_cannot_be_asked_for(
    world: AgentWorld,
) -> None:
    await sold_after_a_purchase_rests(world)
    asked: list[str] = []

    async def hang(symbol: str, _: str) -> OrderReport | None:
        asked.append(symbol)
        await world.time.sleep(1_000)
        return None

    world.exchange.order = hang  # type: ignore[method-assign]
    await world.do(sell("0.1"))
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.2"), 60)
    # What nobody manages is another matter: some of it may have been sold.
    with pytest.raises(Refused, match="what the account holds of BTC is not known"):
        await world.do(sell("0.2"))
    assert asked


@pytest.mark.fault("S07")
async def test_no_booking_is_broken_off_by_who_has_no_patience_with_it(world: AgentWorld) -> None:
    await sold_after_a_purchase_rests(world)
    bought, append = fill_unheard(world), world.store.append
    managed, slow = world.agent.state.book.managed(BTC), list[Event]()

    async def slowly(*new: Event, **how: bool) -> int:
        slow.extend(new)
        await world.time.sleep(3)
        return await append(*new, **how)

    world.store.append = slowly  # type: ignore[method-assign]
    await world.do(sell("0.1"))
    world.store.append = append  # type: ignore[method-assign]
    await world.time.until(lambda: world.exchange.filled() == Decimal("0.2"), 60)
    await world.time.pass_by(10)
    assert world.agent.state.book.managed(BTC) == managed - Decimal("0.1") + bought
    fired(slow)
