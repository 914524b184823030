"""The world itself: the real agent runs in it, and a seed always tells the same story."""

from decimal import Decimal

import pytest

from tests.simulation.world import World, play

pytestmark = pytest.mark.slow


async def one_stop(world: World) -> None:
    """Protect half a Bitcoin and let the price fall through the stop."""
    world.machine.start()
    assert await world.until(lambda: bool(world.telephone.messages()))
    assert await world.confirm("/track BTC/USDT stop 58000 all")
    assert await world.until(lambda: world.agent.trackers.count() == 1)
    world.move("BTC/USDT", Decimal(57990))
    assert await world.until(lambda: "Sold 0.5 BTC" in world.telephone.text())


def test_a_private_stop_is_sold_once_in_a_world_without_threads_and_sockets() -> None:
    world = play(1, one_stop)
    [order] = world.orders()
    assert order.executed == Decimal("0.5")
    assert world.held("BTC") == 0


def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    first, second, other = play(7, one_stop), play(7, one_stop), play(8, one_stop)
    assert first.trace.digest == second.trace.digest
    assert first.trace.digest != other.trace.digest
