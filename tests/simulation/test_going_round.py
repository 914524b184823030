"""Trackers that go round again beside others on the same coins: nobody's coins become another's."""

from decimal import Decimal

import pytest

from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain.tracker import TrackerState

pytestmark = pytest.mark.slow


def _slices(world: World) -> dict[int, Decimal]:
    return {each.tracker_id: each.quantity for each in world.agent.trackers.all()}


def _states(world: World) -> dict[int, TrackerState]:
    return {each.tracker_id: each.state for each in world.agent.trackers.all()}


@pytest.mark.parametrize("storage_s", [0.0, 0.7])
def test_a_cooldown_takes_no_coins_of_another_stop_when_its_own_are_sold(storage_s: float) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(
            "/track BTC/USDT trail 1% 0.1 then cooldown", "/track BTC/USDT stop 50000 0.2"
        )
        world.loop.storage_delay_s = lambda: storage_s
        stage.move("59300")
        await stage.until_told("Sold 0.1 BTC")
        await stage.until_told("Not again: BTC/USDT #1")
        await world.pass_by(20)
        # Of 0.5 coins 0.3 were under care, and the other tracker owns what is left of them.
        assert _slices(world) == {2: Decimal("0.2")}
        stage.move("49900")
        await stage.until_told("Sold 0.2 BTC")
        assert [sale.executed for sale in stage.sales] == [Decimal("0.1"), Decimal("0.2")]

    play(1, story)


@pytest.mark.parametrize("storage_s", [0.0, 0.7])
def test_a_cooldown_with_coins_left_rests_and_sells_again_after_the_price_was_back(
    storage_s: float,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 50000 0.3")
        # Its coins stay under care when it is ended.
        assert await world.confirm("/tracker 1 cancel")
        await stage.until(lambda: world.agent.trackers.count() == 0)
        assert await world.confirm("/track BTC/USDT trail 1% 0.1 then cooldown")
        await stage.until(lambda: world.agent.trackers.count() == 1)
        world.loop.storage_delay_s = lambda: storage_s
        stage.move("59300")
        await stage.until_told("Resting: BTC/USDT #2")
        await world.pass_by(20)
        assert _states(world) == {2: TrackerState.RESTING}
        stage.move("60500")
        await stage.until(lambda: _states(world) == {2: TrackerState.TRAILING})
        await world.pass_by(5)
        stage.move("59500")
        await stage.until(lambda: len(stage.sales) == 2)
        assert [sale.executed for sale in stage.sales] == [Decimal("0.1")] * 2

    play(1, story)


def test_a_hard_stop_sells_while_a_cooldown_rests_and_so_it_does_after_a_restart() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 50000 0.3")
        assert await world.confirm("/tracker 1 cancel")
        await stage.until(lambda: world.agent.trackers.count() == 0)
        rule = "/track BTC/USDT sell above 61000 trail 1% 0.1 stop 58000 then cooldown"
        assert await world.confirm(rule)
        await stage.until(lambda: world.agent.trackers.count() == 1)
        for price in ("63000", "62300"):
            stage.move(price)
            await world.pass_by(2)
        await stage.until_told("Sold 0.1 BTC")
        await stage.until_told("Resting: BTC/USDT #2")
        # It rests until the price is below its level again.
        assert _states(world) == {2: TrackerState.RESTING}
        await world.machine.cut_power()
        world.machine.start()
        await stage.until(lambda: world.machine.process is not None and world.agent.is_ready)
        stage.move("57900")
        await stage.until(lambda: len(stage.sales) == 2)
        await stage.until(lambda: world.agent.trackers.count() == 0)
        assert [sale.executed for sale in stage.sales] == [Decimal("0.1")] * 2

    play(1, story)


def test_a_stop_whose_coins_leave_is_told_in_a_message_of_its_own() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 50000 0.2", "/track BTC/USDT stop 51000 0.2")
        body = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.25"}
        await stage.control.foreign_order(body)
        await stage.until_told("#2 BTC/USDT has")
        await world.pass_by(60)
        assert sum(_slices(world).values()) == Decimal("0.25")

    play(1, story)


def test_what_has_just_been_sold_does_not_grow_a_stop_that_owns_the_rest() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.1", "/track BTC/USDT stop 50000 all")
        stage.move("57900")
        await stage.until_told("Sold 0.1 BTC")
        await world.pass_by(5)
        assert _slices(world) == {2: Decimal("0.4")}

    play(1, story)
