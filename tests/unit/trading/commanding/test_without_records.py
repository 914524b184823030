"""A person's sale that left while nothing could be written, and whose tap is handled once more."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from bot.on_the_way import SALES, MarkedOnTheWay
from tests.catalogue import fired
from tests.unit.trading import agent_world
from tests.unit.trading.agent_world import OWNER, AgentWorld, stop_spec
from trading.domain.commands import ArmTracker, ClosePosition, Command, PlaceOrder
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind
from trading.installation import Ports

BTC = "BTC/USDT"
FIFTH = Amount(AmountKind.BASE, Decimal("0.2"))


@pytest.mark.fault("S03", "ONE")
@pytest.mark.parametrize("lag_s", [0, 5, 14])
@pytest.mark.parametrize(
    "command", [PlaceOrder(BTC, Side.SELL, FIFTH), ClosePosition(BTC, Decimal("0.4"))]
)
async def test_one_tap_sells_once_through_a_death_before_anything_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag_s: int, command: Command
) -> None:
    def marking(*parts: object, **others: object) -> Ports:
        marks = MarkedOnTheWay(tmp_path, SALES)
        return Ports(*parts, unrecorded=marks, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(agent_world, "Ports", marking)
    async with AgentWorld() as world:
        await world.time.pass_by(5)
        await world.do(ArmTracker(stop_spec("40000")))
        await world.time.pass_by(30)
        asked = await world.time.finish(world.desk.propose(command, OWNER))
        world.store.lose(reserve_too=True)
        lost = world.exchange.fail("lost_after", lag_s=lag_s, after_s=20)
        selling = asyncio.ensure_future(world.desk.execute(asked.command, OWNER, "tap-1", None))
        await world.time.pass_by(1)
        assert selling.done()
        await world.kill()
        world.store.heal()
        await world.start()
        await world.time.finish(world.desk.execute(asked.command, OWNER, "tap-1", None))
        await world.time.pass_by(60)
        assert len(world.exchange.sent) == 1
        assert world.exchange.coins["BTC"] == Decimal("0.3")
        assert world.agent.state.book.managed(BTC) == Decimal("0.3")
        fired(lost.fired, words=f"listed after {lag_s} s")
