"""A stop that fires ends the purchases of its coins, whenever the power goes."""

from decimal import Decimal

import pytest

from tests.simulation.machine import CrashPlan
from tests.simulation.stage import BTC, Stage
from tests.simulation.world import World, play
from trading.domain.order import OrderStatus, Side

pytestmark = pytest.mark.slow
# More than are made from the trigger to the end of its purchase, or of the sale of what came late.
COMMITS = range(1, 9)
HELD = Decimal("0.5")


async def _with_a_stop_on_a_part(world: World) -> Stage:
    """Let a purchase fill in part, and a stop watch all that is held."""
    stage = Stage(world)
    await stage.open()
    assert await world.confirm("/buy BTC/USDT 3000 USDT limit 59000")
    await stage.until(lambda: any(one.is_open for one in world.orders()), 30)
    await world.pass_by(3)
    venue = world.exchange.venue
    venue.exchange.trade(BTC, Decimal(59_000), Decimal("0.01"), Side.SELL, venue.now_ms())
    await world.pass_by(1)
    stage.move("60000")
    await world.pass_by(3)
    assert await world.confirm("/track BTC/USDT stop 59500 all")
    await world.pass_by(3)
    return stage


async def _start_again(world: World) -> None:
    world.machine.plan = None
    if not world.machine.is_running:
        world.machine.start()
    await world.pass_by(60)


def _managed(world: World) -> Decimal:
    return world.agent.state.book.managed(BTC)


def test_a_purchase_does_not_rest_on_behind_the_stop_of_its_coins_whenever_the_power_goes() -> None:
    def cut_after(commits: int) -> bool:
        async def story(world: World) -> None:
            nonlocal is_cut
            stage = await _with_a_stop_on_a_part(world)
            [purchase] = world.orders()
            world.machine.plan = CrashPlan("after", commits)
            for _ in range(8):
                stage.move("59400")
                await world.pass_by(1)
            is_cut = not world.machine.is_running
            await _start_again(world)
            assert purchase.status is OrderStatus.CANCELED, commits
            stage.move("58900")
            await world.pass_by(30)
            assert purchase.executed == Decimal("0.01")
            assert (world.agent.trackers.count(), _managed(world)) == (0, 0)
            assert sum(sale.executed for sale in stage.sales) == HELD + Decimal("0.00999")

        is_cut = False
        play(1, story)
        return is_cut

    assert cut_after(1)
    later_cuts = [cut_after(commits) for commits in COMMITS[1:]]
    assert any(later_cuts), "the power went at the first commit alone"


def test_what_is_bought_after_the_stop_has_fired_is_sold_whenever_the_power_goes() -> None:
    def cut_after(commits: int) -> bool:
        async def story(world: World) -> None:
            nonlocal is_cut
            stage = await _with_a_stop_on_a_part(world)
            [purchase] = world.orders()
            stage.fault(
                "status", None, status=503, accept=False, path="/api/v3/order", method="DELETE"
            )
            for _ in range(6):
                stage.move("59400")
                await world.pass_by(1)
            assert purchase.is_open
            world.machine.plan = CrashPlan("after", commits)
            stage.move("58900")
            await world.pass_by(6)
            is_cut = not world.machine.is_running
            world.exchange.faults.clear()
            await _start_again(world)
            assert purchase.status is OrderStatus.FILLED
            # What is left of it is less than an order sells.
            assert _managed(world) < Decimal("0.00001"), commits
            assert sum(sale.executed for sale in stage.sales) == Decimal("0.55078")
            assert len(stage.told("its stop had fired")) == 1
            # The next start has nothing more to sell.
            await world.machine.cut_power()
            await _start_again(world)
            assert sum(sale.executed for sale in stage.sales) == Decimal("0.55078")

        is_cut = False
        play(1, story)
        return is_cut

    assert cut_after(1)
    later_cuts = [cut_after(commits) for commits in COMMITS[1:]]
    assert any(later_cuts), "the power went at the first commit alone"
