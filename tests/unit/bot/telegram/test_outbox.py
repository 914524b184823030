"""Delivery: critical first, paced, folded after an outage, never lost."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    TelegramError,
    TimedOut,
)

from bot.on_the_way import MarkedOnTheWay
from bot.telegram import sorts
from bot.telegram.connection import CONFLICT, LOST, WEBHOOK, Connection
from bot.telegram.outbox import Outbox
from bot.telegram.render.text import strip_markup
from bot.telegram.requesting import Flooded
from tests.catalogue import fired
from tests.fakes.desk import START
from tests.fakes.memory_store import SettableClock
from tests.unit.bot.telegram.outbox_world import World
from trading.domain.chat import OutboxMessage, Severity
from trading.domain.events import ConditionChanged


@pytest.mark.fault("T01")
async def test_what_is_critical_goes_first_and_the_rest_in_order() -> None:
    world = World()
    world.chat.errors = [Flooded(1.0)]
    await world.queue("a")
    await world.outbox.send_waiting()
    await world.queue("b")
    await world.queue("c", severity=Severity.CRIT)
    await world.pass_s(1)
    assert world.texts() == ["c", "a", "b"]
    assert await world.store.pending_messages() == []
    fired(world.chat.failed)


async def test_a_burst_is_let_out_and_then_one_message_a_second() -> None:
    world = World()
    for number in range(25):
        await world.queue(f"m{number}")
    wait_s = await world.outbox.send_waiting()
    assert len(world.chat.sent) == 20
    assert wait_s == pytest.approx(1.0)
    world.clock.seconds += 1.0
    await world.outbox.send_waiting()
    assert len(world.chat.sent) == 21


@pytest.mark.fault("T02")
async def test_a_flood_wait_is_obeyed_to_the_second_and_only_by_its_chat() -> None:
    world = World()
    world.chat.errors = [Flooded(35.0)]
    await world.queue("a")
    assert await world.outbox.send_waiting() == pytest.approx(35.0)
    await world.queue("b", chat_id=8)
    world.clock.seconds += 34.9
    await world.outbox.send_waiting()
    assert world.texts() == ["b"]
    world.clock.seconds += 0.1
    await world.outbox.send_waiting()
    assert world.texts() == ["b", "a"]
    fired(world.chat.failed)


@pytest.mark.parametrize(
    "error", [NetworkError("reset"), TimedOut(), InvalidToken("no"), Conflict("x")]
)
async def test_what_may_have_failed_is_sent_again_after_a_pause(error: TelegramError) -> None:
    world = World()
    world.chat.errors = [error]
    await world.queue("a")
    await world.outbox.send_waiting()
    assert world.chat.sent == []
    await world.outbox.send_waiting()
    assert world.chat.sent == []
    world.clock.seconds += 0.5
    await world.outbox.send_waiting()
    assert [text.splitlines()[0] for text in world.texts()] == ["a"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden("bot was blocked by the user"), "bot was blocked"),
        (ChatMigrated(-5), "moved to -5"),
        (BadRequest("Chat not found"), "Chat not found"),
    ],
)
async def test_what_can_never_arrive_is_recorded_and_let_go(
    error: TelegramError, reason: str
) -> None:
    world = World()
    world.chat.errors = [error]
    await world.queue("a")
    await world.queue("b")
    await world.outbox.send_waiting()
    assert reason in world.reasons()[0]
    assert world.texts() == ["b"]


@pytest.mark.fault("T17", "SAID")
async def test_refused_markup_becomes_plain_text_and_refused_text_ends() -> None:
    world = World()
    world.chat.errors = [BadRequest("can't parse entities")]
    await world.queue("a")
    await world.outbox.send_waiting()
    assert world.chat.sent == [("plain", "a")]
    world.chat.errors = [BadRequest("can't parse entities"), BadRequest("still not")]
    await world.queue("b")
    await world.outbox.send_waiting()
    assert "not delivered" in world.reasons()[-1]
    fired(world.chat.failed)


async def test_a_card_is_edited_where_it_is_and_sent_anew_where_it_is_gone() -> None:
    world = World()
    await world.queue("a", card="u1")
    await world.outbox.send_waiting()
    await world.queue("b", card="u1", edits=True)
    await world.outbox.send_waiting()
    assert world.chat.sent[-1] == ("edit 1", "<b>b</b>")
    await world.queue("c", target=99, edits=True)
    await world.outbox.send_waiting()
    assert world.chat.sent[-1] == ("edit 99", "<b>c</b>")
    world.chat.edit_errors = [BadRequest("Message to edit not found")]
    await world.queue("d", card="u1", edits=True)
    await world.outbox.send_waiting()
    assert world.chat.sent[-1] == ("send", "<b>d</b>")
    await world.queue("e", card="never sent", edits=True)
    await world.outbox.send_waiting()
    assert world.chat.sent[-1] == ("send", "<b>e</b>")


async def test_only_the_newest_state_of_a_card_is_sent_and_after_everything_else() -> None:
    world = World()
    await world.queue("armed", card="tracker:1")
    await world.outbox.send_waiting()
    await world.queue("touched", card="tracker:1", edits=True, is_refresh=True)
    await world.queue("other", card="tracker:2", edits=True, is_refresh=True)
    await world.queue("closed", card="tracker:1", edits=True, is_refresh=True)
    await world.queue("sold")
    await world.outbox.send_waiting()
    assert world.chat.sent[1:] == [("send", "<b>sold</b>"), ("edit 1", "<b>closed</b>")]
    assert world.reasons()[1:] == [
        "overtaken",
        "delivered",
        "dropped: its card never arrived",
        "delivered (edited)",
    ]


async def test_a_refresh_of_an_older_message_overtakes_none_of_a_newer_one() -> None:
    world = World()
    for name in ("first", "second"):
        await world.queue(name, card="tracker:1")
        await world.outbox.send_waiting()
    await world.queue("new", card="tracker:1", edits=True, is_refresh=True)
    await world.queue("old", card="tracker:1", edits=True, is_refresh=True, target=1)
    await world.outbox.send_waiting()
    assert world.chat.sent[2:] == [("edit 2", "<b>new</b>"), ("edit 1", "<b>old</b>")]
    # Which is the newer one is not a matter of what was edited last.
    await world.queue("newer", card="tracker:1", edits=True, is_refresh=True)
    await world.outbox.send_waiting()
    assert world.chat.sent[-1] == ("edit 2", "<b>newer</b>")


async def test_a_card_that_a_person_deleted_is_not_sent_again_by_a_refresh() -> None:
    world = World()
    await world.queue("armed", card="tracker:1")
    await world.outbox.send_waiting()
    world.chat.edit_errors = [BadRequest("Message to edit not found")]
    await world.queue("closed", card="tracker:1", edits=True, is_refresh=True)
    await world.outbox.send_waiting()
    assert len(world.chat.sent) == 1
    assert await world.store.pending_messages() == []


async def test_an_unchanged_card_is_delivered() -> None:
    world = World()
    world.chat.edit_errors = [BadRequest("Message is not modified: same")]
    await world.queue("a", target=5, edits=True)
    await world.outbox.send_waiting()
    assert world.reasons() == ["delivered (unchanged)"]


async def test_a_delivery_that_cannot_be_stored_is_stored_later_and_sent_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.queue("a")
    world.store.lose()
    for _ in range(5):
        await world.outbox.send_waiting()
    assert world.reasons() == []
    world.store.heal()
    await world.outbox.send_waiting()
    assert world.texts() == ["a"]
    assert world.reasons() == ["delivered"]
    # Once, however often it was tried.
    assert [one.message for one in caplog.records] == ["delivery_not_stored"]


@pytest.mark.fault("T01", "SAID")
async def test_after_a_silence_one_message_says_how_things_are_and_what_happened() -> None:
    world = World(lambda: ["🟢 trades, 3 trackers watching", "BTC 0.5 protected"])
    await world.queue(
        "alert:1:7", text="<b>✅ Sold 1 BTC</b>\nat 9", sort=sorts.DONE, gist=("Sold 1",)
    )
    await world.queue("alert:2:7", severity=Severity.CRIT, text="<b>🚨 The key is refused</b>")
    await world.queue("alert:3:7", severity=Severity.CRIT, sort=sorts.CHAT_LOST, text="<b>lost</b>")
    await world.queue("repeat:x:7", severity=Severity.CRIT, sort=sorts.REPEAT)
    await world.queue("reply:1:0")
    await world.pass_s(120)
    first, second, *rest = world.texts()
    assert first.splitlines()[:4] == [
        "📬 What happened meanwhile",
        "🟢 trades, 3 trackers watching",
        "BTC 0.5 protected",
        "",
    ]
    assert "12:00:00 ✅ Sold 1" in first
    assert "12:00:00 🚨 The key is refused" in first
    assert second == "🚨 The key is refused\n🕑 Written 12:00:00 UTC"
    assert rest == ["reply:1:0"]
    assert world.reasons().count("folded") == 3
    assert await world.store.pending_messages() == []
    fired(world.reasons().count("folded"))


async def test_a_single_old_message_is_sent_as_it_is() -> None:
    world = World()
    await world.queue("alert:1:7")
    await world.pass_s(7200)
    assert world.texts() == ["alert:1:7"]


async def test_a_backlog_is_not_read_again_at_each_kick(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for number in range(25):
        await world.queue(f"m{number}")
    read, reads = world.store.pending_messages, []

    async def counted(limit: int = 200) -> Sequence[OutboxMessage]:
        reads.append(limit)
        return await read(limit)

    monkeypatch.setattr(world.store, "pending_messages", counted)
    # Long enough for a busy machine: only a kick could have it read again.
    monkeypatch.setattr("bot.telegram.outbox._BACKLOG_S", 60.0)
    sending = asyncio.create_task(world.outbox.send_forever())
    for _ in range(100):
        world.outbox.kick()
        await asyncio.sleep(0)
    sending.cancel()
    assert len(world.chat.sent) == 20, "the burst that a chat takes"
    assert len(reads) == 1


def test_markup_is_stripped_to_its_words() -> None:
    assert strip_markup("<b>1 &lt; 2</b>\n<code>/x</code>") == "1 < 2\n/x"


# ---------------------------------------------------------------- the connection


class Told:
    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.conditions: list[tuple[str, bool]] = []
        self.connection = Connection(self.clock, self._announce)

    async def _announce(self, condition: ConditionChanged) -> None:
        self.conditions.append((condition.condition, condition.is_active))


@pytest.mark.fault("T03")
async def test_one_conflict_is_our_predecessor_two_are_somebody_else() -> None:
    told = Told()
    await told.connection.polled(Conflict("terminated by other getUpdates request"))
    assert told.conditions == []
    await told.connection.polled(None)
    await told.connection.polled(Conflict("terminated by other getUpdates request"))
    assert told.conditions == [(CONFLICT, True)]
    assert told.connection.is_contested
    told.clock.seconds += 30
    await told.connection.polled(None)
    assert told.connection.is_contested
    told.clock.seconds += 31
    await told.connection.polled(None)
    assert told.conditions[-1] == (CONFLICT, False)
    fired(told.conditions)


@pytest.mark.fault("T05")
async def test_a_webhook_is_named_as_what_it_is() -> None:
    told = Told()
    error = Conflict("can't use getUpdates method while webhook is active")
    await told.connection.polled(error)
    await told.connection.polled(None)
    assert told.conditions == [(WEBHOOK, True), (WEBHOOK, False)]
    fired(told.conditions)


@pytest.mark.fault("T01")
@pytest.mark.fault("T04")
async def test_a_chat_that_is_lost_for_a_minute_is_told_once() -> None:
    told = Told()
    assert told.connection.seconds_since_success is None
    for _ in range(10):
        await told.connection.polled(NetworkError("down"))
        told.clock.seconds += 10
    await told.connection.polled(None)
    assert told.conditions == [(LOST, True), (LOST, False)]
    told.clock.seconds += 5
    assert told.connection.seconds_since_success == 5
    await told.connection.polled(InvalidToken("gone"))
    assert told.conditions[-1] == (LOST, True)
    fired(told.conditions)


# ---------------------------------------------------------------- what may be there twice


def _timed_out(cause: Exception | None = None) -> TimedOut:
    error = TimedOut()
    error.__cause__ = cause
    return error


@pytest.mark.fault("T18", "SAID")
@pytest.mark.parametrize(
    "error",
    [
        TimedOut(),
        _timed_out(httpx.ReadTimeout("no answer")),
        NetworkError("httpx.RemoteProtocolError: disconnected"),
        NetworkError("Bad Gateway"),
    ],
)
async def test_what_may_have_arrived_says_so_when_it_is_sent_again(error: TelegramError) -> None:
    world = World()
    world.chat.errors = [error]
    await world.queue("a")
    await world.queue("b")
    await world.outbox.send_waiting()
    world.clock.seconds += 1
    await world.outbox.send_waiting()
    first, second = world.texts()
    lines = first.splitlines()
    assert lines[0] == "a"
    assert " ".join(lines[1:]) == "↻ Sent again, so it may be here twice: written 12:00:00 UTC"
    assert max(map(len, lines)) <= 34
    assert second == "b"
    fired(world.chat.failed)


@pytest.mark.parametrize(
    "error",
    [
        NetworkError("httpx.ConnectError: refused"),
        _timed_out(httpx.ConnectTimeout("far away")),
        _timed_out(httpx.PoolTimeout("busy")),
        InvalidToken("no"),
        Flooded(1.0),
    ],
)
async def test_what_never_left_is_sent_as_it_is(error: TelegramError) -> None:
    world = World()
    world.chat.errors = [error]
    await world.queue("a")
    await world.outbox.send_waiting()
    world.clock.seconds += 1
    await world.outbox.send_waiting()
    assert world.texts() == ["a"]


@pytest.mark.fault("T18", "SAID")
async def test_what_was_on_its_way_at_a_death_says_so_and_names_its_event(tmp_path: Path) -> None:
    world = World()
    world.outbox.on_the_way = MarkedOnTheWay(tmp_path)
    world.chat.errors = [asyncio.CancelledError()]
    await world.queue("alert:17:7")
    await world.queue("alert:18:7")
    with pytest.raises(asyncio.CancelledError):
        await world.outbox.send_waiting()
    # A new process: all that is left of the old one is on disk.
    for expected in (True, False):
        left = MarkedOnTheWay(tmp_path)
        assert ("alert:17:7" in left.keys) is expected
        world.outbox = Outbox(world.chat, world.store, world.store, world.clock, on_the_way=left)  # type: ignore[arg-type]
        await world.outbox.send_waiting()
    first, second = (" ".join(text.split()) for text in world.texts())
    assert first == (
        "alert:17:7 ↻ Sent again, so it may be here twice: event 17, written 12:00:00 UTC"
    )
    assert second == "alert:18:7"
    fired(world.chat.failed, words=first)


@pytest.mark.parametrize("error", [Flooded(1.0), NetworkError("httpx.ConnectError: refused")])
async def test_what_never_left_is_not_on_its_way_after_a_death(
    tmp_path: Path, error: TelegramError
) -> None:
    world = World()
    world.outbox.on_the_way = MarkedOnTheWay(tmp_path)
    world.chat.errors = [error]
    await world.queue("a")
    await world.outbox.send_waiting()
    assert MarkedOnTheWay(tmp_path).keys == frozenset()


async def test_a_doubt_about_what_is_no_longer_waiting_takes_no_slot(tmp_path: Path) -> None:
    before = MarkedOnTheWay(tmp_path)
    for number in range(70):
        before.leave(f"alert:{number}:7")
    left = MarkedOnTheWay(tmp_path)
    assert len(left.keys) == 64
    world = World()
    world.outbox = Outbox(world.chat, world.store, world.store, world.clock, on_the_way=left)  # type: ignore[arg-type]
    await world.outbox.send_waiting()
    assert MarkedOnTheWay(tmp_path).keys == frozenset()


async def test_an_edit_of_what_never_arrived_says_so_too_when_it_is_sent_again() -> None:
    world = World()
    world.chat.errors = [TimedOut()]
    await world.queue("a", card="one", edits=True)
    await world.outbox.send_waiting()
    world.clock.seconds += 1
    await world.outbox.send_waiting()
    assert "↻ Sent again" in world.texts()[0]


async def test_an_edit_is_the_same_however_often_it_is_made() -> None:
    world = World()
    await world.queue("a", card="one")
    await world.outbox.send_waiting()
    world.chat.edit_errors = [TimedOut()]
    await world.queue("a2", card="one", edits=True)
    await world.outbox.send_waiting()
    world.clock.seconds += 1
    await world.outbox.send_waiting()
    assert world.texts() == ["a", "a2"]
