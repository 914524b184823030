"""Facts of the exchange that storage refuses stay in memory, in order, up to a bound."""

import pytest

from tests.builders import NOON
from tests.catalogue import fired
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import Severity
from trading.domain.events import AlertRaised
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
