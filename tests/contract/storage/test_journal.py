"""What every journal promises, whatever it is made of."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.codec import decode, encode
from tests.contract.storage import samples, strategies
from trading.domain import events
from trading.domain.errors import AlreadyRecorded
from trading.ports.storage import Recorded


@pytest.mark.parametrize("kind", samples.KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_kind_of_event_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    event = data.draw(strategies.any_event(kind))
    payload = encode(event)
    back = decode(kind.__name__, payload)
    assert back == event
    # Equal is not enough for decimals: 0.10 must not become 0.1.
    assert encode(back) == payload


async def test_a_history_with_every_kind_is_read_back_in_order(store: Any) -> None:
    written: list[Any] = []
    for appended in samples.History(1).appends(120):
        if appended:
            assert await store.journal.append(*appended) == len(written) + len(appended)
        written += appended
    missing = set(samples.KINDS) - {type(event) for event in written}
    assert len(missing) < 5
    for kind in sorted(missing, key=str):
        written.append(samples.minimal(kind))
        assert await store.journal.append(written[-1]) == len(written)
    found = await store.journal.events(limit=10_000)
    assert list(found) == [Recorded(seq, event) for seq, event in enumerate(written, start=1)]
    assert await store.journal.verify() == len(written)


async def test_events_are_paged_and_filtered(store: Any) -> None:
    for minute in range(10):
        await store.journal.append(samples.heartbeat(minute), samples.update(minute))
    page = await store.journal.events(after_seq=4, limit=3)
    assert [one.seq for one in page] == [5, 6, 7]
    beats = await store.journal.events(after_seq=4, limit=2, kinds=["Heartbeat"])
    assert [one.seq for one in beats] == [5, 7]
    newest = await store.journal.latest(2, kinds=["Heartbeat", "JobRan"])
    assert [one.seq for one in newest] == [19, 17]
    assert [one.seq for one in await store.journal.latest(3)] == [20, 19, 18]


async def test_an_empty_append_changes_nothing(store: Any) -> None:
    assert await store.journal.append() == 0
    assert await store.journal.append(samples.heartbeat()) == 1
    assert await store.journal.append() == 1


async def test_how_far_the_journal_was_written_is_told_where_it_is_certain(store: Any) -> None:
    assert store.journal.written_seq == 0
    first = await store.journal.append(samples.armed(1))
    assert store.journal.written_seq == first
    last = await store.journal.append(samples.armed(2), samples.armed(3))
    assert store.journal.written_seq == last == first + 2


async def test_a_known_key_refuses_the_whole_append(store: Any) -> None:
    await store.journal.append(*samples.transaction_a(1))
    before = await store.records.state()
    again = samples.transaction_a(2)
    with pytest.raises(AlreadyRecorded) as refused:
        await store.journal.append(
            samples.heartbeat(),
            *again,
            samples.update(5),
            samples.fill(1),
            *samples.transaction_a(1),
        )
    assert (refused.value.kind, refused.value.key) == ("TrackerChanged", "triggered:1:1")
    assert await store.records.state() == before
    assert await store.journal.append(*again) == before.last_seq + len(again)


async def test_an_append_that_repeats_itself_is_refused(store: Any) -> None:
    with pytest.raises(AlreadyRecorded):
        await store.journal.append(samples.update(1), samples.heartbeat(), samples.update(1))
    assert await store.journal.events() == []


async def test_the_same_key_of_another_kind_is_another_fact(store: Any) -> None:
    await store.journal.append(samples.update(1))
    handled = events.UpdateHandled(1, "answered", samples.START)
    assert await store.journal.append(handled) == 2


async def test_facts_without_a_key_may_repeat(store: Any) -> None:
    assert await store.journal.append(samples.heartbeat(), samples.heartbeat()) == 2


async def test_concurrent_appends_of_one_fact_record_it_once(store: Any) -> None:
    import asyncio

    results = await asyncio.gather(
        *(store.journal.append(samples.heartbeat(n), samples.update(1)) for n in range(8)),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in results) == ["AlreadyRecorded"] * 7 + ["int"]
    assert len(await store.journal.events()) == 2


async def test_a_store_goes_on_where_it_was_closed(opener: Any, clock: Any) -> None:
    clock.time = samples.START + timedelta(hours=1)
    first = await opener()
    await first.journal.append(*samples.transaction_a(1))
    before = await first.records.state()
    await first.close()
    second = await opener()
    try:
        assert await second.records.state() == before
        assert await second.journal.append(samples.heartbeat()) == 5
        assert await second.journal.verify() == 5
    finally:
        await second.close()
