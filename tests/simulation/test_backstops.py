"""While a backstop's sale is being written: it is sold once, and its stop ends for good."""

from decimal import Decimal

import pytest

from tests.simulation.facts import Facts
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow


def test_a_record_that_is_due_while_a_backstop_sells_does_not_bring_its_tracker_back() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT trail 2% all backstop 2500")
        await _backstop_sells_unseen(stage)
        # While its end is being written the record moves on, and wants to be written as well.
        await stage.climb(ETH)
        world.loop.storage_delay_s = lambda: 0.0
        await world.pass_by(30)
        assert world.agent.trackers.count() == 0
        assert [sale.executed for sale in stage.sales] == [Decimal(2)]
        await stage.stays_ended()

    play(1, story)


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.9])
def test_a_stop_that_fires_while_its_backstops_sale_is_written_sells_no_other_coins(
    after_s: float,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        # Of two coins one is under care.
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500")
        await _backstop_sells_unseen(stage)
        await world.pass_by(after_s)
        stage.move("2800", ETH)
        await world.pass_by(5)
        world.loop.storage_delay_s = lambda: 0.0
        await stage.until(lambda: world.agent.trackers.count() == 0)
        assert [sale.executed for sale in stage.sales] == [Decimal(1)]
        assert world.held("ETH") == 1

    play(1, story)


@pytest.mark.parametrize("is_dead", [False, True])
def test_a_backstop_that_is_moved_while_no_cancel_is_answered_sells_its_slice_once(
    is_dead: bool,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500")
        await stage.until(lambda: bool(stage.sales))
        closed = stage.fault("status", None, status=503, path="/api/v3/order", method="DELETE")
        await world.confirm("/tracker 1 backstop 2400")
        await world.pass_by(6)
        assert [order.status.name for order in stage.sales] == ["NEW"]
        if is_dead:
            await world.machine.cut_power()
        stage.move("2300", ETH)
        await world.pass_by(5)
        world.exchange.faults.clear()
        if is_dead:
            world.machine.start()
        await stage.until_told("Sold 1 ETH", 60)
        await world.pass_by(30)
        assert world.agent.trackers.count() == 0
        assert [sale.executed for sale in stage.sales if sale.executed] == [Decimal(1)]
        assert world.held("ETH") == 1
        assert closed.fired

    play(1, story)


@pytest.mark.parametrize("storage_s", [0.0, 0.7])
@pytest.mark.parametrize("is_alive", [True, False])
def test_a_fall_through_the_stop_and_its_backstop_at_once_sells_once_and_says_what_it_cost(
    storage_s: float, is_alive: bool
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        # Of two coins one is under care.
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500")
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        if not is_alive:
            await world.machine.cut_power()
        world.loop.storage_delay_s = lambda: storage_s
        stage.move("2400", ETH)
        if not is_alive:
            await world.pass_by(5)
            world.machine.start()
        await stage.until_told("Sold 1 ETH")
        await stage.until(lambda: world.agent.trackers.count() == 0)
        world.loop.storage_delay_s = lambda: 0.0
        await world.pass_by(30)
        assert [sale.executed for sale in stage.sales if sale.executed] == [Decimal(1)]
        assert world.held("ETH") == 1
        [sold] = stage.told("Sold 1 ETH")
        assert "P&L -60" in sold.content.text, sold.content.text
        assert not stage.told("BLOCKED")

    play(1, story)


@pytest.mark.parametrize("storage_s", [0.0, 0.7])
@pytest.mark.parametrize("blind", ["not", "user", "all", "stopped", "dead"])
def test_a_fall_through_the_stop_and_its_backstop_leaves_the_coins_of_another_stop(
    blind: str, storage_s: float
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        # Each owns one of two coins, and the second stop is far away.
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500", "/track ETH/USDT stop 1500 1")
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        world.loop.storage_delay_s = lambda: storage_s
        await _fall(stage, blind, "2400")
        await stage.until_told("Sold 1 ETH")
        await stage.until(lambda: world.agent.trackers.count() == 1)
        world.loop.storage_delay_s = lambda: 0.0
        await world.pass_by(60)
        _is_second_untouched(stage)

    play(1, story)


@pytest.mark.parametrize("fills_s", [0.0, 3.0])
def test_a_start_books_what_a_backstop_sold_before_it_judges_its_stop(fills_s: float) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500", "/track ETH/USDT stop 1500 1")
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        await world.machine.cut_power()
        stage.move("2400", ETH)
        await world.pass_by(5)
        # The level was crossed while nobody watched, and the price is back.
        stage.move("3000", ETH)
        late = stage.fault("delay", 2, path="/api/v3/myTrades", method="GET", seconds=fills_s)
        world.machine.start()
        await stage.until_told("Watched again: 1")
        await world.pass_by(60)
        assert late.fired
        assert not stage.told("price is back")
        assert not stage.told("are missing on the exchange")
        assert not stage.told("shows less")
        assert not world.agent.state.alerts
        _is_second_untouched(stage)

    play(1, story)


def test_a_backstop_that_is_still_selling_takes_no_coins_of_another_stop() -> None:
    async def story(world: World) -> None:
        stage, venue = Stage(world), world.exchange.venue
        await stage.open("/track ETH/USDT stop 2900 1 backstop 2500", "/track ETH/USDT stop 2800 1")
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        # Both stops fire with the print that has a part of the backstop filled.
        venue.world.markets[ETH].liquidity.set_depth(Decimal(1000))
        stage.move("2400", ETH)
        await stage.until(lambda: world.agent.trackers.count() == 0)
        await world.pass_by(60)
        assert world.held("ETH") == 0
        assert sum(sale.executed for sale in stage.sales) == Decimal(2)
        executed = _executed_by_tracker(stage)
        assert executed == {1: Decimal(1), 2: Decimal(1)}

    play(1, story)


async def _fall(stage: Stage, blind: str, price: str) -> None:
    """Let the price of ETH jump while the agent hears nothing of its orders, or of anything."""
    world = stage.world
    if blind in {"user", "all"}:
        stall = {"kind": "stall_stream", "args": {"scope": blind, "seconds": 25}}
        await stage.control.add_fault(stall)
    if blind == "stopped":
        world.loop.freeze()
    if blind == "dead":
        await world.machine.cut_power()
    stage.move(price, ETH)
    if blind == "stopped":
        await world.pass_by(20)
        world.loop.thaw()
    if blind == "dead":
        await world.pass_by(5)
        world.machine.start()


def _is_second_untouched(stage: Stage) -> None:
    world = stage.world
    assert [sale.executed for sale in stage.sales if sale.executed] == [Decimal(1)]
    assert world.held("ETH") == 1
    [second] = world.agent.trackers.all()
    assert (second.tracker_id, second.quantity) == (2, Decimal(1))
    assert world.agent.state.book.managed(ETH) == 1
    assert not stage.told("its coins are gone")


def _executed_by_tracker(stage: Stage) -> dict[int, Decimal]:
    facts = Facts()
    facts.read(stage.world.machine.disk.database)
    facts.close()
    found: dict[int, Decimal] = {}
    for intent in facts.intents.values():
        number = intent.tracker_id or 0
        found[number] = found.get(number, Decimal(0)) + intent.filled_quantity
    return found


async def _backstop_sells_unseen(stage: Stage) -> None:
    """Let a backstop sell at a price that no message shows, while the disk is slow."""
    world, venue = stage.world, stage.world.exchange.venue
    await stage.until(lambda: bool(stage.sales))
    await world.pass_by(5)
    world.loop.storage_delay_s = lambda: 0.7
    seconds = 0.05
    await stage.control.add_fault(
        {"kind": "stall_stream", "args": {"scope": "market", "seconds": seconds}}
    )
    for price in (Decimal(2490), world.price(ETH)):
        venue.world.set_price(ETH, price, venue.now_ms())
        world.exchange.settle(venue.now_ms())
    await world.pass_by(seconds)
    assert stage.sales[0].executed
