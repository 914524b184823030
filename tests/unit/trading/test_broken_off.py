"""An error of our own between a decision's record and its order: nothing is lost, nothing twice."""

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import Panic, PlaceOrder
from trading.domain.errors import Fatal
from trading.domain.events import Event, IntentOpened
from trading.domain.order import Side
from trading.domain.position import TradingMode
from trading.domain.tracker import Amount, AmountKind
from trading.execution.engine.case import Case
from trading.execution.engine.reporting import Reporting

BTC = "BTC/USDT"


class Failing:
    """Fails once: before a decision is recorded, after that, or before its order may leave."""

    def __init__(self, world: AgentWorld, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self._moment = moment
        self._append, self._register = world.store.append, Reporting.register
        monkeypatch.setattr(world.store, "append", self.append)
        failing = self

        def register(reporting: Reporting, case: Case, stem: str = "") -> None:
            failing.fail("registered")
            failing._register(reporting, case, stem)

        monkeypatch.setattr(Reporting, "register", register)

    def fail(self, moment: str) -> None:
        if moment == self._moment and not self.times:
            self.times += 1
            raise MemoryError

    async def append(self, *events: Event, **more: Any) -> int:
        is_decision = any(isinstance(event, IntentOpened) for event in events)
        if is_decision:
            self.fail("before")
        seq = await self._append(*events, **more)
        if is_decision:
            self.fail("after")
        return seq


async def kept(world: AgentWorld) -> None:
    """Run what watches trackers as its supervisor does; raises what ends the process."""
    while True:
        try:
            await world.agent.trackers.run()
        except ExceptionGroup as died:
            if (fatal := died.subgroup(Fatal)) is not None:
                raise fatal from died
            await world.time.sleep(0.2)


@pytest.mark.parametrize(
    ("moment", "ends"), [("before", False), ("after", True), ("registered", True)]
)
async def test_a_trigger_that_an_error_of_our_own_broke_off_sells_once(
    monkeypatch: pytest.MonkeyPatch, moment: str, ends: bool
) -> None:
    async with AgentWorld() as world:
        await world.protect()
        await world.stop_watching()
        failing = Failing(world, moment, monkeypatch)
        watching = asyncio.create_task(kept(world))
        await world.move("57900")
        await world.time.pass_by(5)
        assert watching.done() is ends
        if ends:
            with pytest.raises(ExceptionGroup) as ended:
                watching.result()
            assert ended.group_contains(Fatal, match="only a new start can find out")
            assert world.exchange.filled() == 0
            await world.kill()
            await world.start()
        await world.until_sold("0.5")
        await world.time.pass_by(60)
        assert len(world.exchange.orders) == 1
        assert world.exchange.filled() == Decimal("0.5")
        assert failing.times == 1


async def test_a_closing_that_an_error_of_our_own_broke_off_ends_the_process_and_sells_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AgentWorld() as world:
        await world.protect()
        failing = Failing(world, "registered", monkeypatch)
        with pytest.raises(Fatal, match="only a new start can find out"):
            await world.do(Panic())
        assert failing.times == 1
        await world.kill()
        await world.start()
        await world.until_sold("0.5")
        await world.time.pass_by(60)
        assert len(world.exchange.orders) == 1
        assert world.agent.state.mode is TradingMode.HALTED


async def test_what_a_stop_gave_up_stays_given_up_through_an_error_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AgentWorld() as world:
        await world.protect()
        world.exchange.depth[BTC] = Decimal("0.004")
        money = Amount(AmountKind.QUOTE, Decimal(585))
        await world.do(PlaceOrder(BTC, Side.BUY, money, Decimal(58_500)))
        await world.move("58400")
        await world.time.pass_by(2)
        await world.stop_watching()
        failing = Failing(world, "registered", monkeypatch)
        watching = asyncio.create_task(kept(world))
        await world.time.settle()
        await world.move("57900")
        # The purchase buys on before the process ends.
        world.exchange.depth[BTC] = Decimal("0.002")
        world.exchange.set_price(BTC, "57900")
        await world.time.pass_by(1)
        assert watching.done()
        assert failing.times == 1
        with contextlib.suppress(ExceptionGroup):
            watching.result()
        await world.kill()
        await world.start()
        await world.time.pass_by(60)
        orders = world.exchange.orders.values()
        assert not any(one.is_open and one.request.side is Side.BUY for one in orders)
