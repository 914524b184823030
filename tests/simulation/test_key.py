"""The exchange refuses the key: told in seconds, never for one answer, and stops are watched on."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play
from trading.domain.tracker import TrackerState

pytestmark = pytest.mark.slow

_REFUSED = "The exchange refuses the key"
_SIGNED = ("account", "rder", "myTrades")
# Three refusals over some ten seconds, one of them by a probe that may come five seconds late.
_TOLD_WITHIN_S = 15.5


async def _nobody_sells(_stage: Stage) -> None:
    return None


async def _a_stop_fires(stage: Stage) -> None:
    stage.move("57900")


async def _the_stream_is_cut(stage: Stage) -> None:
    await stage.control.add_fault({"kind": "disconnect", "args": {"scope": "user"}})


@pytest.mark.fault("X15", "STOP SAID")
@pytest.mark.parametrize("happens", [_nobody_sells, _a_stop_fires, _the_stream_is_cut])
def test_a_revoked_key_is_told_within_seconds_of_its_first_refusal_and_nothing_else_ends(
    happens: Callable[[Stage], Awaitable[None]],
) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.2", "/track ETH/USDT stop 2900 1")
        main = world.machine.main
        assert main is not None
        await stage.control.set_permissions({"revoked": True})
        revoked_s = stage.now_s
        await happens(stage)
        await stage.until_told(_REFUSED)
        refused = [
            at_s
            for at_s, what in stage.asked
            if at_s >= revoked_s and any(part in what for part in _SIGNED)
        ]
        fired(len(refused))
        assert len(refused) >= 3
        assert stage.now_s - refused[0] <= _TOLD_WITHIN_S
        # Prices need no key: the other stop is watched and fires, and its sale waits for a key.
        stage.move("2850", ETH)
        await stage.until(lambda: _state(world, 2) is TrackerState.BLOCKED)
        await world.pass_by(90)
        assert not main.done()
        assert len(stage.told(_REFUSED)) == 1
        assert not any(sale.executed for sale in stage.sales)
        await stage.control.set_permissions({"revoked": False})
        await stage.until_told("the key works again")
        await stage.until(lambda: _state(world, 2) is None)
        sold = [sale.executed for sale in stage.sales if sale.ticket.symbol == ETH]
        assert sold == [Decimal(1)]

    play(1, story)


@pytest.mark.fault("X15", "SAID")
@pytest.mark.parametrize("code", [-1022, -2014, -2015])
def test_one_answer_that_refuses_the_key_is_not_believed(code: int) -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 0.2")
        fault = stage.fault("error_code", 1, code=code, accept=False)
        stage.move("57900")
        await stage.until(lambda: fault.fired > 0)
        await stage.until(lambda: world.agent.trackers.count() == 0)
        await world.pass_by(60)
        assert not stage.told(_REFUSED)
        assert [sale.executed for sale in stage.sales if sale.executed] == [Decimal("0.2")]
        fired(fault.fired)

    play(1, story)


def _state(world: World, tracker_id: int) -> TrackerState | None:
    tracker = world.agent.trackers.get(tracker_id)
    return None if tracker is None else tracker.state
