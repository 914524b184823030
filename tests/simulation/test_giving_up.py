"""A person's word that something is given up outlives a power cut at any moment after the tap."""

from decimal import Decimal

import pytest

from bot.localchat.facts import Message
from tests.simulation.facts import Facts
from tests.simulation.machine import CrashPlan
from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain.events import CommandExecuted
from trading.domain.order import OrderStatus

pytestmark = pytest.mark.slow
# More than are made from the tap to the end of what it gives up.
COMMITS = range(1, 8)


@pytest.mark.parametrize(
    "order", ["/buy BTC/USDT 200 USDT limit 59000", "/sell BTC/USDT 0.1 limit 61500"]
)
def test_an_order_that_was_given_up_is_cancelled_whenever_the_power_goes(order: str) -> None:
    def cut_after(commits: int) -> bool:
        async def story(world: World) -> None:
            nonlocal has_word
            stage = Stage(world)
            await stage.open()
            assert await world.confirm(order)
            await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
            await world.pass_by(5)
            has_word = await _cut_after_the_tap(stage, "/abort BTC/USDT", commits)
            await world.pass_by(60)
            [rested] = world.orders()
            # A tap that had not been written when the power went is handled by the start.
            assert rested.status is OrderStatus.CANCELED, (commits, rested.status)
            assert rested.executed == 0

        has_word = False
        play(1, story)
        return has_word

    words_durable = [cut_after(commits) for commits in COMMITS]
    assert any(words_durable), "the power never went behind the record of the word"


def test_a_blocked_exit_that_was_given_up_sells_nothing_whenever_the_power_goes() -> None:
    def cut_after(commits: int) -> bool:
        async def story(world: World) -> None:
            nonlocal has_word
            stage = Stage(world)
            await stage.open("/track BTC/USDT stop 58000 0.3")
            await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "0", "side": "bid"})
            stage.move("57900")
            await stage.until_told("BLOCKED", 60)
            await world.pass_by(5)
            has_word = await _cut_after_the_tap(stage, "/abort 1", commits)
            await world.pass_by(20)
            depth = {"symbol": "BTCUSDT", "quote_depth": "500000", "side": "bid"}
            await stage.control.shape_book(depth)
            await world.pass_by(30)
            assert sum(sale.executed for sale in stage.sales) == 0, commits
            assert world.held("BTC") == Decimal("0.5")
            assert world.agent.trackers.count() == 0

        has_word = False
        play(1, story)
        return has_word

    words_durable = [cut_after(commits) for commits in COMMITS]
    assert any(words_durable), "the power never went behind the record of the word"


@pytest.mark.parametrize(
    "order", ["/buy BTC/USDT 200 USDT limit 59000", "/sell BTC/USDT 0.1 limit 61500"]
)
def test_an_order_of_an_unknown_fate_that_was_given_up_does_not_rest_on_after_a_start(
    order: str,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open()
        world.network.on_request = lambda request: (
            world.loop.call_soon(setattr, world.network.weather, "is_black_hole", True)
            if (request.method, request.path) == ("POST", "/api/v3/order")
            else None
        )
        await stage.control.add_fault(
            {"kind": "stall_stream", "args": {"scope": "user", "seconds": 60}}
        )
        asked = world.telephone.say(order)
        await stage.until(lambda: world._tap_confirm(asked.message_id), 30)
        await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
        await world.pass_by(3)
        assert await world.confirm("/abort BTC/USDT"), world.telephone.text()
        await world.pass_by(8)
        await world.machine.cut_power()
        world.network.weather.is_black_hole = False
        await world.pass_by(2)
        world.machine.start()
        await stage.until_told("Watched again", 60)
        await world.pass_by(60)
        [rested] = world.orders()
        assert rested.status is OrderStatus.CANCELED

    play(1, story)


def test_reduced_entries_are_cancelled_whenever_the_power_goes_and_a_pause_keeps_them() -> None:
    def cut_after(commits: int, command: str) -> OrderStatus:
        async def story(world: World) -> None:
            nonlocal status
            stage = Stage(world)
            await stage.open()
            assert await world.confirm("/buy BTC/USDT 200 USDT limit 55000")
            await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
            await world.pass_by(5)
            world.machine.plan = CrashPlan("after", commits)
            world.telephone.say(command)
            await world.pass_by(6)
            await _start_again(stage)
            await world.pass_by(60)
            [rested] = world.orders()
            status = rested.status

        status = OrderStatus.NEW
        play(1, story)
        return status

    for commits in COMMITS:
        assert cut_after(commits, "/reduce") is OrderStatus.CANCELED, commits
    assert {cut_after(commits, "/pause") for commits in COMMITS} == {OrderStatus.NEW}


def test_a_panic_takes_a_resting_sale_back_and_sells_whenever_the_power_goes() -> None:
    def cut_after(commits: int) -> None:
        async def story(world: World) -> None:
            stage = Stage(world)
            await stage.open("/track BTC/USDT stop 58000 0.3")
            assert await world.confirm("/sell BTC/USDT 0.1 limit 70000")
            await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
            await world.pass_by(5)
            await _cut_after_the_tap(stage, "/panic", commits)
            await stage.until(lambda: world.held("BTC") == Decimal("0.2"), 60)
            await world.pass_by(20)
            assert not any(one.is_open for one in world.orders())
            assert sum(sale.executed for sale in stage.sales) == Decimal("0.3"), commits

        play(1, story)

    for commits in COMMITS:
        cut_after(commits)


async def _cut_after_the_tap(stage: Stage, text: str, commits: int) -> bool:
    """Ask, let the power go after so many commits behind the tap, and start anew.

    Returns whether the journal had the command by then.
    """
    world = stage.world
    asked = world.telephone.say(text)

    def questions() -> list[Message]:
        return world.telephone.messages(asked.message_id)

    await stage.until(lambda: bool(questions()), 30)
    await world.pass_by(1)
    world.machine.plan = CrashPlan("after", commits)
    await stage.until(lambda: world._tap_confirm(asked.message_id), 30)
    await world.pass_by(6)
    facts = Facts()
    written = facts.read(world.machine.disk.database)
    facts.close()
    await _start_again(stage)
    return any(isinstance(one, CommandExecuted) and "Abort" in one.command for one in written)


async def _start_again(stage: Stage) -> None:
    machine = stage.world.machine
    machine.plan = None
    if not machine.is_running:
        machine.start()
        await stage.until(
            lambda: hasattr(machine.process, "_agent") and stage.world.agent.is_ready, 60
        )


async def _blocked_beside_a_limit_sale(stage: Stage) -> None:
    """A limit sale of 0.1 rests, and a stop on the other 0.2 has fired with nobody bidding."""
    world = stage.world
    await stage.open("/track BTC/USDT stop 58000 0.3")
    await world.pass_by(2)
    assert await world.confirm("/sell BTC/USDT 0.1 limit 70000")
    await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
    await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "0", "side": "bid"})
    stage.move("57900")
    await stage.until_told("BLOCKED", 60)


@pytest.mark.parametrize("command", ["/panic", "/closeall", "/close BTC/USDT"])
def test_an_end_in_the_middle_of_a_closing_leaves_it_to_the_next_start(command: str) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await _blocked_beside_a_limit_sale(stage)
        stage.fault(
            "delay", None, seconds=4.0, when="before", path="/api/v3/order", method="DELETE"
        )
        assert await world.confirm(command)
        await world.pass_by(1)
        world.machine.stop()
        await stage.until(lambda: not world.machine.is_running, 30)
        assert not any(sale.executed for sale in stage.sales)
        world.exchange.faults.clear()
        world.machine.start()
        await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "500000"})
        await world.pass_by(30)
        assert sum(sale.executed for sale in stage.sales) == Decimal("0.3"), world.telephone.text()
        assert world.held("BTC") == Decimal("0.2")
        assert world.agent.trackers.count() == 0

    play(1, story)


@pytest.mark.parametrize("command", ["/panic", "/close BTC/USDT"])
def test_a_closing_sells_what_a_fired_stop_could_not_whenever_the_power_goes(command: str) -> None:
    def cut_after(commits: int) -> None:
        async def story(world: World) -> None:
            stage = Stage(world)
            await _blocked_beside_a_limit_sale(stage)
            await world.pass_by(5)
            await _cut_after_the_tap(stage, command, commits)
            # Nobody bids as it starts, and no price is known yet.
            await world.pass_by(20)
            assert not any(sale.executed for sale in stage.sales)
            await stage.control.shape_book({"symbol": "BTCUSDT", "quote_depth": "500000"})
            await world.pass_by(40)
            assert sum(sale.executed for sale in stage.sales) == Decimal("0.3"), commits
            assert world.agent.trackers.count() == 0

        play(1, story)

    for commits in range(2, 7):
        cut_after(commits)
