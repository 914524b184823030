"""A process that stands still while the world goes on: blocked, stopped, or asleep."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.stage import BTC, Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow

STOP = "/track BTC/USDT stop 58000 all"
BLOCKED_S = 30.0
STOPPED_S = 600.0
PROTECTED_WITHIN_S = 10.0


async def fall_unseen(world: World, seconds: float, *, has_slept: bool = False) -> None:
    """Let the price fall through the stop and recover while the process stands still."""
    await world.pass_by(3)
    world.loop.freeze()
    try:
        await world.pass_by(seconds / 3)
        world.move(BTC, Decimal(57_000))
        await world.pass_by(seconds / 3)
        world.move(BTC, Decimal(60_000))
        await world.pass_by(seconds / 3)
    finally:
        world.loop.thaw(has_slept=has_slept)


@pytest.mark.fault("P04", "SAID")
def test_prices_from_before_the_end_of_a_block_fire_nothing_and_later_ones_do() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        began_s = stage.now_s
        await fall_unseen(world, BLOCKED_S)
        blocked_s = stage.now_s - began_s
        await world.pass_by(20)
        assert world.held("BTC") == Decimal("0.5")
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, PROTECTED_WITHIN_S)
        assert len(stage.sales) == 1
        fired(world.loop.held_back, words=f"calls held back for {blocked_s:g} s")

    play(1, story)


@pytest.mark.fault("P09", "PROT SAID")
def test_after_ten_minutes_stopped_a_fallen_price_sells_at_once() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        world.loop.freeze()
        await world.pass_by(STOPPED_S / 2)
        stage.move("57000")
        await world.pass_by(STOPPED_S / 2)
        world.loop.thaw()
        woke_s = stage.now_s
        await stage.until(lambda: world.held("BTC") == 0, PROTECTED_WITHIN_S)
        asked = stage.requests(woke_s)
        sent = asked.index("POST /api/v3/order")
        # Nothing of before is believed: clock, prices and account are asked for anew.
        assert "GET /api/v3/ticker/bookTicker" in asked[:sent]
        assert "GET /api/v3/account" in asked
        assert "GET /api/v3/time" in asked
        fired(world.loop.held_back, words=f"calls held back for {STOPPED_S:g} s")

    play(1, story)


@pytest.mark.fault("C06", "SAID")
def test_a_host_that_slept_finds_its_prices_old_and_judges_the_time_without_eyes() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(STOP)
        slept_s = stage.now_s
        await fall_unseen(world, STOPPED_S, has_slept=True)
        assert world.agent.market.is_stale(BTC)
        # Crossed and back: nothing is sold, and the person is told.
        await stage.until_told("58000 was crossed while nobody watched", 30)
        assert world.held("BTC") == Decimal("0.5")
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, PROTECTED_WITHIN_S)
        assert len(stage.sales) == 1
        fired(world.loop.held_back, words=f"calls, {stage.now_s - slept_s:.0f} s until it sold")

    play(1, story)


def test_no_price_from_before_a_trail_rose_counts_as_a_crossing_of_where_it_rose_to() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT trail 2% all")
        await world.pass_by(5)
        # Its stop rises above all that was paid before, and the process dies within a second.
        stage.move("62000")
        await world.pass_by(1)
        await world.machine.cut_power()
        stage.move("62500")
        await world.pass_by(2)
        world.machine.start()
        await stage.until_told("Watched again: 1")
        await world.pass_by(10)
        assert not stage.told("while nobody watched")
        stop = world.agent.trackers.all()[0].stop_price
        assert stop is not None
        assert stop > 60_700
        assert world.held("BTC") == Decimal("0.5")

    play(1, story)
