"""Facts of the exchange that storage refuses stay in memory, in order, up to a bound."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.fakes.virtual_time import VirtualTime
from trading.domain.chat import Severity
from trading.domain.errors import StorageLost
from trading.domain.events import AlertRaised, Event, IntentChanged, IntentClosed, IntentOpened
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.execution.engine import writing
from trading.execution.engine.writing import Writer


def fact(number: int) -> AlertRaised:
    return AlertRaised(f"fact:{number}", Severity.INFO, "something", NOON)


async def test_what_storage_refused_is_written_first_and_in_order() -> None:
    store = MemoryStore(SettableClock(NOON))
    writer = Writer(store, lambda *_: None)
    store.lose(reserve_too=True)
    for number in range(3):
        await writer.keep(fact(number))
    assert writer.unsaved == 3
    store.heal()
    await writer.keep(fact(3))
    assert [one.alert_id for one in store.of(AlertRaised)] == [f"fact:{n}" for n in range(4)]
    assert writer.unsaved == 0


@pytest.mark.fault("P13", "SAID")
async def test_more_facts_than_memory_should_hold_end_the_process_and_none_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "_UNSAVED_MAX", 5)
    ends: list[int] = []
    store = MemoryStore(SettableClock(NOON))
    writer = Writer(store, lambda *_: None, lambda: ends.append(writer.unsaved))
    store.lose(reserve_too=True)
    for number in range(5):
        await writer.keep(fact(number))
    assert ends == []
    await writer.keep(fact(5))
    assert ends == [6]
    store.heal()
    await writer.flush()
    assert len(store.of(AlertRaised)) == 6
    fired(store.appends_lost, words=f"{ends[0]} facts for 5 places")


SALE = Intent("one", "BTC/USDT", Side.SELL, Purpose.CLOSE, Decimal(1), NOON, Decimal(1))


class _Queue(MemoryStore):
    """A store that takes appends one after the other, the next one when it is told to."""

    def __init__(self) -> None:
        super().__init__(SettableClock(NOON))
        self.turn = asyncio.Lock()
        self.fates: asyncio.Queue[bool] = asyncio.Queue()

    async def append(self, *new: Event, reserve: bool = False, urgent: bool = False) -> int:
        async with self.turn:
            if not await self.fates.get():
                raise StorageLost("the disk is full")
            return await super().append(*new, reserve=reserve, urgent=urgent)


@pytest.mark.parametrize(
    "newer",
    [
        IntentChanged(replace(SALE, given_up=""), NOON),
        IntentClosed(replace(SALE, state=IntentState.DONE), NOON),
    ],
)
async def test_a_record_of_a_decision_is_not_written_behind_a_newer_one_of_it(
    newer: Event,
) -> None:
    store = _Queue()
    writer = Writer(store, lambda *_: None)
    store.fates.put_nowait(True)
    await writer.keep(IntentOpened(SALE, NOON))
    older = IntentChanged(replace(SALE, given_up="by hand"), NOON)
    words = [
        asyncio.create_task(writer.keep(older, fact(1))),
        asyncio.create_task(writer.keep(newer)),
    ]
    await asyncio.sleep(0)
    store.fates.put_nowait(False)
    await words[0]
    # What memory holds is written while the newer one is still on its way.
    words.append(asyncio.create_task(writer.keep(fact(2))))
    for _ in range(4):
        store.fates.put_nowait(True)
    await asyncio.gather(*words)
    assert store.all_events == [IntentOpened(SALE, NOON), newer, fact(1), fact(2)]
    assert (writer.unsaved, writer._newest) == (0, {})


async def test_where_both_were_refused_the_newer_one_is_written_last() -> None:
    store = _Queue()
    writer = Writer(store, lambda *_: None)
    changes = [IntentChanged(replace(SALE, given_up=word), NOON) for word in ("first", "second")]
    words = [asyncio.create_task(writer.keep(change)) for change in changes]
    await asyncio.sleep(0)
    for is_taken in (False, False, True, True):
        store.fates.put_nowait(is_taken)
    await asyncio.gather(*words)
    await writer.flush()
    assert store.all_events == changes


async def test_a_write_does_not_wait_for_another_one_once_nothing_is_left_to_save() -> None:
    store = _Queue()
    writer = Writer(store, lambda *_: None)
    store.fates.put_nowait(False)
    await writer.keep(fact(1))
    begun, append = list[Event](), store.append

    async def noted(*new: Event, reserve: bool = False, urgent: bool = False) -> int:
        begun.extend(new)
        return await append(*new, reserve=reserve, urgent=urgent)

    store.append = noted  # type: ignore[method-assign]
    stops = [asyncio.create_task(writer.write(fact(n), is_exit=True)) for n in (2, 3)]
    await _a_while()
    store.fates.put_nowait(True)
    await _a_while()
    assert begun == [fact(1), fact(2), fact(3)]
    for _ in stops:
        store.fates.put_nowait(True)
    await asyncio.gather(*stops)


async def test_of_many_stops_at_once_one_alone_tries_to_write_what_memory_holds() -> None:
    time = VirtualTime()
    store = MemoryStore(time)
    tried = list[Event]()

    async def refused(*new: Event, **_: bool) -> int:
        tried.extend(new)
        await time.sleep(1)
        raise StorageLost("the disk is full")

    store.append = refused  # type: ignore[method-assign]
    writer = Writer(store, lambda *_: None)
    writer.hold([fact(1)])

    async def stop(number: int) -> float:
        with pytest.raises(StorageLost):
            await writer.write(fact(number), is_exit=True)
        return time.monotonic()

    began_s, numbers = time.monotonic(), range(2, 22)
    stops = asyncio.gather(*map(stop, numbers))
    ended_s = await time.finish(stops)
    assert tried.count(fact(1)) == 1
    assert max(ended_s) - began_s == 2
    assert sorted(map(tried.count, map(fact, numbers))) == [1] * 20


async def test_a_write_that_is_begun_anew_is_waited_for_to_its_end() -> None:
    store = _Queue()
    writer = Writer(store, lambda *_: None)
    for _ in range(2):
        store.fates.put_nowait(True)
    await writer.keep(IntentOpened(SALE, NOON))
    await writer.keep(fact(1))
    older, newer = (
        IntentChanged(replace(SALE, given_up=word), NOON) for word in ("first", "second")
    )
    # Its first try meets what is known already.
    words = [
        asyncio.create_task(writer.keep(older)),
        asyncio.create_task(writer.keep(fact(1), newer)),
    ]
    await _a_while()
    store.fates.put_nowait(False)
    await words[0]
    words.append(asyncio.create_task(writer.keep(fact(2))))
    await _a_while()
    for _ in range(5):
        store.fates.put_nowait(True)
        await _a_while()
    await asyncio.gather(*words)
    assert store.all_events == [IntentOpened(SALE, NOON), fact(1), newer, fact(2)]


async def _a_while() -> None:
    for _ in range(9):
        await asyncio.sleep(0)
