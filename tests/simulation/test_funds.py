"""Deposits and withdrawals on the simulated exchange, seen by the whole agent."""

from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.facts import Facts
from tests.simulation.stage import Stage
from tests.simulation.world import World, play
from trading.domain.events import FundsMoved
from trading.domain.position import TradingMode

pytestmark = pytest.mark.slow


def _lost(world: World) -> Decimal:
    """What the day has cost, as a person is told it."""
    state = world.agent.state
    assert state.equity_base is not None
    return state.equity_base - state.book.equity()


def _moved(world: World) -> list[FundsMoved]:
    facts = Facts()
    written = facts.read(world.machine.disk.database)
    facts.close()
    return [event for event in written if isinstance(event, FundsMoved)]


@pytest.mark.fault("M09", "SAID")
def test_what_comes_and_goes_is_no_profit_and_a_real_loss_still_reaches_its_limit() -> None:
    async def story(world: World) -> None:
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 30000 all")
        await world.pass_by(70)
        before, mode = _lost(world), lambda: world.agent.state.mode
        for asset, delta in (("ETH", "50"), ("USDT", "300000"), ("USDT", "-300000")):
            await stage.control.transfer({"asset": asset, "delta": delta})
            await world.pass_by(1)
            assert abs(_lost(world) - before) < 1_000, (asset, delta)
        await world.pass_by(130)
        assert mode() is TradingMode.ACTIVE
        # Of which the journal knows after a death, too.
        await world.machine.cut_power()
        # Nobody tells of it: it is found by what is there after the start.
        await stage.control.transfer({"asset": "ETH", "delta": "30"})
        world.machine.start()
        await stage.until(lambda: world.machine.process is not None and world.agent.is_ready)
        await world.pass_by(130)
        await stage.control.transfer({"asset": "ETH", "delta": "-40"})
        await world.pass_by(70)
        assert abs(_lost(world) - before) < 1_000
        assert await world.confirm("/buy BTC/USDT 100 USDT"), world.telephone.text()
        assert mode() is TradingMode.ACTIVE
        base = world.agent.state.equity_base
        assert base is not None
        share = Decimal("0.12") * base / (world.held("BTC") * world.price("BTC/USDT"))
        fallen = world.price("BTC/USDT") * (1 - share)
        stage.move(str(round(fallen, 2)))
        await world.pass_by(1)
        stage.move(str(round(fallen, 2)))
        waited_s = await stage.until(lambda: mode() is TradingMode.REDUCING, 130)
        quantities = [one.movement.quantity for one in _moved(world)]
        assert quantities == [50, 300_000, -300_000, 30, -40]
        fired(
            len(quantities),
            words=f"movements, and a real loss ended entries after {waited_s:.0f} s",
        )

    play(1, story)
