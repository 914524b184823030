"""What is known already, or said twice in one breath, costs nothing that is new."""

import pytest

from bot.telegram.appending import APART, append_lacking
from tests.fakes.desk import START
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import OutboxMessage
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import CommandExecuted, Event, Heartbeat, MessageQueued


def _queued(key: str, text: str = "") -> MessageQueued:
    return MessageQueued(OutboxMessage(key, 7, text or key, START))


def _store() -> MemoryStore:
    return MemoryStore(SettableClock(START))


async def test_only_what_the_journal_lacks_is_appended_and_at_once() -> None:
    store = _store()
    await store.append(_queued("b"), _queued("d"))
    facts: list[Event] = [_queued(key) for key in "abcde"]
    await append_lacking(store, [*facts, Heartbeat(START), Heartbeat(START)])
    assert [one.message.message_key for one in store.of(MessageQueued)] == [*"bdace"]
    assert [len(each) for each in store.appends] == [2, 5]
    before = len(store.appends)
    await append_lacking(store, facts)
    await append_lacking(store, [])
    assert len(store.appends) == before


async def test_what_is_there_twice_is_appended_once_and_two_messages_of_one_key_are_both_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = _store()
    done = CommandExecuted("u1", 7, "Pause", START)
    await append_lacking(store, [_queued("a"), done, _queued("a"), done, _queued("a", "other")])
    assert store.of(CommandExecuted) == [done]
    told = [(one.message.message_key, one.message.text) for one in store.of(MessageQueued)]
    assert told == [("a", "a"), (f"a{APART}4", "other")]
    assert [record.message for record in caplog.records] == ["key_twice"]


async def test_what_cannot_be_stored_is_not_taken_for_known() -> None:
    store = _store()
    store.lose("disk full")
    with pytest.raises(StorageLost):
        await append_lacking(store, [_queued("a")])


async def test_a_refusal_that_names_none_of_them_is_not_swallowed() -> None:
    store = _store()

    async def refuse(*_facts: Event, **_how: bool) -> int:
        raise AlreadyRecorded("Heartbeat", "another one")

    store.append = refuse  # type: ignore[method-assign]
    with pytest.raises(AlreadyRecorded):
        await append_lacking(store, [_queued("a")])


def test_an_alarm_about_what_was_set_apart_is_not_taken_for_a_second_message_of_one_key() -> None:
    alarm = "apart:event:fact 78 (TrackerChanged):20261120T121812"
    assert APART not in f"repeat:{alarm}:20261120T121813:1:1"
