"""An end that comes while a decision is being written: nothing leaves, and no start searches."""

import asyncio

import pytest

from storage.unbroken import unbroken
from tests.catalogue import fired
from tests.fakes.memory_store import MemoryStore
from tests.fakes.virtual_time import VirtualTime
from tests.unit.trading.execution.desk import Desk
from trading.domain.events import Event
from trading.domain.order import Attempt
from trading.execution.engine.case import Case
from trading.risk.gate import Approved

# What is maybe sent is searched for at least so long before it is sold anew.
SEARCH_S = 5.0


class HeldStore(MemoryStore):
    """A journal whose appends take as long as another program holds the database."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(time)
        self.held_s = 0.0
        self.writing = 0
        self._time = time

    async def append(self, *new: Event, reserve: bool = False, urgent: bool = False) -> int:
        if not self.held_s:
            return await super().append(*new, reserve=reserve, urgent=urgent)
        return await unbroken(self._write(*new, reserve=reserve, urgent=urgent))

    async def _write(self, *new: Event, reserve: bool, urgent: bool) -> int:
        self.writing += 1
        await self._time.sleep(self.held_s)
        return await super().append(*new, reserve=reserve, urgent=urgent)


async def _ended_and_sold_after(desk: Desk, sent: int) -> None:
    """End while something is being written: nothing leaves, and the next start need not search."""
    assert isinstance(desk.store, HeldStore)
    await desk.time.until(lambda: desk.store.writing > 0)  # type: ignore[attr-defined]
    await desk.time.finish(desk.engine.stop())
    assert len(desk.exchange.sent) == sent
    desk.store.held_s = 0.0
    stored = await desk.store.state()
    [intent] = stored.intents
    assert not intent.state.is_terminal
    assert [one.state for one in stored.attempts if not one.state.is_terminal] == []
    again = desk.restarted()
    began_s = again.time.monotonic()
    await again.time.finish(again.engine.recover(stored))
    again.engine.go_on()
    await again.time.until(lambda: not again.engine.intents)
    assert again.time.monotonic() - began_s < SEARCH_S
    assert again.exchange.coins["BTC"] == 0
    await again.time.finish(again.engine.stop())


@pytest.mark.fault("P02")
async def test_a_sale_that_is_being_written_when_the_end_comes_leaves_after_the_next_start() -> (
    None
):
    time = VirtualTime()
    store = HeldStore(time)
    desk = Desk(store=store, time=time)
    store.held_s = 3.0
    opening = asyncio.create_task(desk.engine.open(Approved(desk.exit())))
    await _ended_and_sold_after(desk, sent=0)
    await opening
    fired(store.writing)


@pytest.mark.fault("P02")
async def test_a_second_order_that_is_being_written_when_the_end_comes_does_not_leave() -> None:
    time = VirtualTime()
    store = HeldStore(time)
    desk = Desk(store=store, time=time)
    desk.exchange.fail("expire_half")
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.states() == ["expired"])
    store.held_s = 3.0
    await _ended_and_sold_after(desk, sent=1)
    fired(store.writing)


@pytest.mark.fault("P02")
async def test_a_request_that_leaves_in_the_turn_of_the_end_counts_as_sent() -> None:
    desk = Desk()
    release = desk.engine._sending.release

    def release_and_end(case: Case, attempt: Attempt) -> None:
        release(case, attempt)
        desk.engine.send_nothing_new()

    desk.engine._sending.release = release_and_end  # type: ignore[method-assign]
    opened = await desk.engine.open(Approved(desk.exit()))
    await desk.time.finish(desk.engine.stop())
    assert len(desk.exchange.sent) == 1
    assert desk.states() == ["filled"]
    assert opened.intent_id == desk.exit().intent_id
    fired(desk.exchange.ids)


async def test_an_end_that_nobody_has_patience_for_leaves_no_task_behind() -> None:
    desk = Desk()
    desk.exchange.on_report = None
    desk.exchange.fail("hang", after_s=60)
    await desk.open(desk.exit())
    stopping = asyncio.create_task(desk.engine.stop())
    await desk.time.settle()
    stopping.cancel()
    await desk.time.pass_by(100)
    assert stopping.cancelled()
    assert desk.engine._tasks == set()
