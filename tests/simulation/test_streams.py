"""The user stream breaks while an order rests: a fill that it would have told is found soon."""

import pytest

from tests.catalogue import fired
from tests.simulation.stage import Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow

FOUND_WITHIN_S = 5.0


@pytest.mark.fault("W01", "SAID")
@pytest.mark.parametrize("phase_s", [0.0, 3.0, 6.0])
def test_a_fill_that_a_broken_stream_did_not_tell_is_found_within_five_seconds(
    phase_s: float,
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track ETH/USDT stop 2900 all")
        assert await world.confirm("/buy BTC/USDT 300 USDT limit 59500")
        await stage.until(lambda: bool(world.orders()))
        await world.pass_by(20 + phase_s)
        world.network.weather.user_dropped = 1.0
        await stage.control.add_fault({"kind": "disconnect", "args": {"scope": "user"}})
        stage.move("59400")
        [order] = world.orders()
        assert order.executed > 0
        took_s = await stage.until(
            lambda: bool(world.agent.state.book.snapshot().managed("BTC/USDT")), 30
        )
        assert took_s <= FOUND_WITHIN_S
        fired([one.effects for one in world.exchange.faults.known])

    play(1, story)
