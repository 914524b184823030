"""A disk that breaks under a running agent: what has fired sells, and whoever meets it tells."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain.errors import StorageLost

pytestmark = pytest.mark.slow

GUARDED = "/track BTC/USDT stop 58000 all backstop 50000"
ENDS = "Umbra ENDS NOW"
BARE_S_MAX = 1.0


@pytest.mark.fault("S06", "SAID")
@pytest.mark.parametrize("reserve_takes", [0, 1, 2, 20])
def test_a_stop_sells_in_place_of_its_backstop_before_a_broken_disk_ends_umbra(
    reserve_takes: int,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(GUARDED)
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        world.machine.break_disk(reserve_takes)
        main = world.machine.main
        assert main is not None
        fell_s = stage.now_s
        stage.move("57900")
        await stage.until(lambda: world.held("BTC") == 0, BARE_S_MAX)
        await stage.until(main.done, 30)
        assert isinstance(main.exception(), StorageLost)
        [told] = stage.told(ENDS)
        assert "PRIVATE STOPS ARE NOT WATCHED" in told.content.text
        assert "no backstop rests on the exchange" in told.content.text
        # What the reserve has taken is told after the next start.
        is_kept, is_decided = reserve_takes > 2, reserve_takes > 0
        assert is_kept or "#1 BTC/USDT has fired and sold 0.5" in told.content.text
        assert [order.executed for order in stage.sales] == [0, Decimal("0.5")]
        ended_s = stage.now_s
        await world.machine.cut_power()
        world.machine.start()
        # An order that no record tells of asks for a look.
        done = "Sold 0.5 BTC" if is_decided else "had fired already, and sold 0.5 BTC"
        await stage.until_told(done)
        await world.pass_by(30)
        assert len(stage.sales) == 2
        assert world.agent.trackers.count() == 0
        # Its decision tells of the order, wherever that was kept.
        assert world.agent.state.mode.takes_entries is is_decided
        assert not stage.told("NO backstop for #1")
        fired(
            world.network.weather.fired.get("disk_broken", 0),
            words=f"writes in vain, ended {ended_s - fell_s:.1f} s after the fall",
        )

    play(1, story)


@pytest.mark.fault("S06", "SAID")
def test_a_broken_disk_is_told_by_whoever_meets_it_and_takes_no_backstop_off() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open(GUARDED)
        await stage.until(lambda: bool(stage.sales))
        await world.pass_by(5)
        main = world.machine.main
        assert main is not None
        world.agent._follow_ups.give_up()
        await stage.until(main.done, 30)
        [told] = stage.told(ENDS)
        assert "backstops on the exchange: #1 BTC/USDT at 50000" in told.content.text
        [backstop] = stage.sales
        assert not backstop.executed
        assert backstop.is_open
        fired([told], words=told.content.text)

    play(1, story)
