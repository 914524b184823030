"""Telegram misbehaves, the process dies, strangers knock: nothing is lost, nothing done twice."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.escalation import AT_ONCE
from bot.telegram import TelegramBot, tasks
from bot.telegram.connection import BLOCKED
from tests.catalogue import fired
from tests.integration.telegram.conftest import OWNER, TOKEN, World
from trading.domain import commands, events
from trading.domain.chat import InboxUpdate, Severity
from trading.domain.events import UpdateHandled, UpdateReceived

pytestmark = pytest.mark.uncounted


@contextlib.asynccontextmanager
async def _killed(world: World) -> AsyncIterator[TelegramBot]:
    """A bot whose tasks end at once, as in a kill: nothing is drained or said."""
    bot = world.bot()
    await bot.start()
    task = asyncio.create_task(bot.run())
    try:
        yield bot
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await bot._bot.shutdown()


async def _until(condition: Any, deadline_s: float = 5.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.fault("T07", "SAID")
async def test_a_kill_between_fetch_and_handler_loses_nothing(world: World) -> None:
    async with _killed(world) as bot:
        held = asyncio.Event()

        async def never(_update: InboxUpdate) -> None:
            held.set()
            await asyncio.Event().wait()

        bot._handling.handle = never  # type: ignore[method-assign,assignment]
        await world.phone.send("/pause")
        await asyncio.wait_for(held.wait(), 5)
    left = await world.store.pending_updates()
    assert len(left) == 1
    assert world.desk.executed == []
    async with world.running():
        await world.phone.until_text("Now reducing")
    assert [type(one) for one, _, _ in world.desk.executed] == [commands.SetTradingMode]
    assert await world.store.pending_updates() == []
    fired(left)


@pytest.mark.fault("T07", "SAID")
async def test_a_kill_between_effect_and_reply_does_it_once_and_replies_once(world: World) -> None:
    async with _killed(world) as bot:
        append = world.store.append
        unwritten: list[UpdateHandled] = []

        async def die(*facts: Any, reserve: bool = False) -> int:
            unwritten.extend(fact for fact in facts if isinstance(fact, UpdateHandled))
            if unwritten:
                await asyncio.Event().wait()
            return await append(*facts, reserve=reserve)

        bot._handling.journal = _Dying(world.store, die)  # type: ignore[assignment]
        await world.phone.send("/pause")
        await _until(lambda: unwritten)
    assert len(world.desk.executed) == 1
    async with world.running():
        answer = await world.phone.until_text("not done twice")
    assert len(world.desk.executed) == 1
    assert [row["message_id"] for row in await world.phone.messages() if row["from"] == "bot"] == [
        answer["message_id"]
    ]
    fired(unwritten)


class _Dying:
    """A journal whose append is replaced."""

    def __init__(self, store: Any, append: Any) -> None:
        self._store = store
        self.append = append

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.fault("T23")
async def test_a_question_survives_a_restart_and_is_answered_once(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/track BTC/USDT stop 58000 all")
    async with world.running():
        await world.phone.press(card["message_id"], "Confirm")
        live = await world.phone.until_text("Watching BTC/USDT")
        assert live["message_id"] == card["message_id"]
    assert len(world.desk.executed) == 1
    fired(world.starts - 1, words="restart between question and tap")


@pytest.mark.fault("T15", "ONE SAID")
async def test_two_taps_do_it_once_and_the_second_is_told(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/close BTC/USDT")
        nonce = world.store.of(events.ConfirmationAsked)[0].confirmation.nonce
        await world.phone.press(card["message_id"], "Confirm")
        await world.phone.until_text("Done.")
        tap = {
            "id": "again",
            "from": {"id": OWNER, "is_bot": False, "first_name": "A"},
            "chat_instance": "1",
            "data": f"c:{nonce}",
            "message": {
                "message_id": card["message_id"],
                "date": 1,
                "chat": {"id": OWNER, "type": "private"},
            },
        }
        await world.phone.post("update", {"update": {"callback_query": tap}})
        await _until(lambda: any(one.outcome == "already_done" for one in _handled(world)))
    assert len(world.desk.executed) == 1
    fired([one for one in _handled(world) if one.outcome == "already_done"])


def _handled(world: World) -> list[UpdateHandled]:
    return world.store.of(UpdateHandled)


async def test_an_unanswered_question_expires_on_its_card(world: World) -> None:
    async with world.running(risk_answer_s=0):
        card = await world.phone.ask("/buy BTC/USDT 100 USDT")
        expired = await world.phone.until_text("Expired")
    assert expired["message_id"] == card["message_id"]
    assert world.desk.executed == []


@pytest.mark.fault("T15")
async def test_a_late_tap_says_expired(world: World) -> None:
    async with world.running(risk_answer_s=0):
        card = await world.phone.ask("/buy BTC/USDT 100 USDT")
        body = await world.phone.press(card["message_id"], "Confirm")
    assert body["answer"]["text"] == "Expired"
    assert world.desk.executed == []
    fired([one for one in _handled(world) if one.outcome == "expired"])


@pytest.mark.fault("T12", "NOACT SAID")
async def test_a_stranger_gets_silence_and_the_owner_one_notice(world: World) -> None:
    async with world.running():
        for text in ("/start", "/panic", "/pair 1", "hello"):
            await world.phone.send(text, 666)
        notice = await world.phone.until_text("A stranger wrote")
        await _until(lambda: len(_handled(world)) >= 4)
        await world.phone.ask("/version")
        notices = [row for row in await world.phone.messages() if "stranger" in row["text"]]
    assert "Number 666" in notice["text"]
    assert len(notices) == 1
    assert [row for row in await world.phone.messages(666) if row["from"] == "bot"] == []
    assert len(world.store.of(events.AccessDenied)) == 1
    assert world.desk.executed == []
    outcomes = [one.outcome for one in _handled(world)]
    fired(outcomes.count("denied"), words=notice["text"])


async def test_pairing_by_code_makes_the_owner_once(world: World) -> None:
    async with world.running(owner_id=None):
        assert world.pairing_code == "123456"
        await world.phone.send("/pair 000000", 5)
        await world.phone.send("/pair 123456", 5)
        await world.phone.until_text("Paired", 5)
        await world.phone.send("/pair 123456", 6)
        await world.phone.until_text("Number 6", 5)
        assert "Equity" in (await world.phone.ask("/status", 5))["text"]
        assert [row for row in await world.phone.messages(6) if row["from"] == "bot"] == []
    # What is stored is stored for ever, and a code that was read there would be read too late.
    received = [one.update.payload for one in world.store.of(events.UpdateReceived)]
    assert sum("/pair" in payload for payload in received) == 3
    assert not any("123456" in payload for payload in received)
    async with world.running(owner_id=None):
        assert world.pairing_code is None


@pytest.mark.fault("T10", "NOACT SAID")
@pytest.mark.fault("T14", "NOACT")
async def test_edits_and_forwards_are_not_acted_on(world: World) -> None:
    async with world.running():
        sent = await world.phone.send("/version")
        await world.phone.until_text("Umbra 1.2.3")
        await world.phone.post("send", {"user_id": OWNER, "text": "/pause", "edit": sent})
        await world.phone.until_text("Edited messages are not")
        await world.phone.post(
            "send", {"user_id": OWNER, "text": "/pause", "forward": {"user_id": 9}}
        )
        await world.phone.until_text("Forwarded messages are not")
    assert world.desk.executed == []
    fired([one for one in _handled(world) if one.outcome == "ignored"])


@pytest.mark.fault("T09", "SAID")
async def test_an_old_buy_is_refused_and_an_old_panic_still_asks(world: World) -> None:
    async with world.running():
        for text in ("/buy BTC/USDT 100 USDT", "/panic"):
            await world.phone.post("update", {"update": {"message": _old_message(world, text)}})
        refused = await world.phone.until_text("adds risk")
        panic = await world.phone.until_text("PANIC")
    assert refused["buttons"] == []
    assert panic["buttons"][0] == ["Confirm", "Cancel"]
    fired([one for one in _handled(world) if one.outcome == "refused"], words=refused["text"])


def _old_message(world: World, text: str) -> dict[str, Any]:
    sent = world.clock.now() - timedelta(hours=3)
    return {
        "message_id": 1,
        "date": int(sent.timestamp()),
        "chat": {"id": OWNER, "type": "private", "first_name": "A"},
        "from": {"id": OWNER, "is_bot": False, "first_name": "A"},
        "text": text,
        "entities": [],
    }


@pytest.mark.fault("T06", "SAID")
async def test_the_same_update_twice_is_executed_once(world: World) -> None:
    async with world.running():
        await world.phone.ask("/pause")
        order = {"kind": "duplicate_update", "args": {"which": "last"}}
        repeated = await world.phone.post("fault", order)
        fired(repeated["count"])
        await world.phone.ask("/version")
    assert await world.phone.count() == 2
    assert len(world.desk.executed) == 1


async def test_what_is_typed_again_as_soon_as_it_was_answered_is_answered_again(
    world: World,
) -> None:
    async with world.running():
        for command in ("/ack", "/status", "/pause"):
            answers = [await world.phone.ask(command) for _ in range(3)]
            assert len({one["message_id"] for one in answers}) == 3, command


async def test_update_ids_that_restart_low_are_not_skipped(world: World) -> None:
    async with world.running(poll_timeout_s=1) as bot:
        await world.phone.ask("/version")
        await _until(lambda: bot._inbox._offset == 0)
        assert bot._inbox._offset == 0


@pytest.mark.fault("T20", "TELL SAID")
async def test_a_poisoned_update_is_failed_told_and_the_next_is_processed(world: World) -> None:
    async with world.running():
        now = world.clock.now()
        poison = {"update_id": 1, "message": {"from": {"id": OWNER}, "entities": 5, "chat": 3}}
        await world.store.append(UpdateReceived(InboxUpdate(1, json.dumps(poison), now)))
    async with world.running():
        await world.phone.until_text("could not be read")
        assert "Umbra" in (await world.phone.ask("/version"))["text"]
    assert _handled(world)[0].outcome == "failed: unreadable"
    fired([one for one in _handled(world) if one.outcome.startswith("failed")])


@pytest.mark.fault("T20", "TELL SAID")
async def test_a_handler_that_fails_is_told_and_the_next_update_is_processed(world: World) -> None:
    async with world.running():
        world.desk.fail_execution = ZeroDivisionError("inside")
        await world.phone.ask("/pause")
        assert "failed inside" in (await world.phone.until_text("failed inside"))["text"]
        world.desk.fail_execution = None
        assert "Now reducing" in (await world.phone.ask("/reduce"))["text"]
    fired([one for one in _handled(world) if one.outcome == "failed"])


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param(
            "error",
            {"code": 429, "retry_after": 1, "method": "sendMessage"},
            marks=pytest.mark.fault("T02"),
        ),
        pytest.param(
            "error", {"code": 502, "method": "sendMessage"}, marks=pytest.mark.fault("T01")
        ),
        pytest.param("drop", {"method": "sendMessage"}, marks=pytest.mark.fault("T01")),
        pytest.param(
            "timeout_after_accept", {"method": "sendMessage"}, marks=pytest.mark.fault("T18")
        ),
        pytest.param("malformed", {"method": "sendMessage"}, marks=pytest.mark.fault("T01")),
        pytest.param(
            "error", {"code": 502, "method": "getUpdates"}, marks=pytest.mark.fault("T01")
        ),
        pytest.param("drop", {"method": "getUpdates"}, marks=pytest.mark.fault("T01")),
        pytest.param("conflict", {}, marks=pytest.mark.fault("T03")),
        pytest.param("malformed", {"method": "getUpdates"}, marks=pytest.mark.fault("T01")),
        pytest.param(
            "error",
            {"code": 429, "retry_after": 1, "method": "getUpdates"},
            marks=pytest.mark.fault("T02"),
        ),
    ],
)
async def test_a_reply_arrives_whatever_the_server_does_once(
    world: World, kind: str, args: dict[str, Any]
) -> None:
    async with world.running(poll_timeout_s=1):
        await world.phone.ask("/version")
        await world.phone.fault(kind, **args)
        sent = await world.phone.send("/status")
        answer = await world.phone.answer_after(sent, deadline_s=30.0)
        assert "Equity" in answer["text"]
        await _until_fired(world, kind)
    fired(await world.phone.fired(kind), words=f"{kind} {args}")


@pytest.mark.fault("T18", "SAID")
async def test_a_command_whose_answer_is_there_twice_was_carried_out_once(world: World) -> None:
    async with world.running(poll_timeout_s=1):
        question = await world.phone.ask("/role 8 viewer")
        pressed = question["message_id"]
        await world.phone.press(pressed, "Confirm")
        await world.phone.until_text("8 is viewer now")
        await world.phone.fault("timeout_after_accept", method="sendMessage")
        sent = await world.phone.send("/version")
        await world.phone.until_text("↻ Sent again", after=sent)
        rows = [row for row in await world.phone.messages(after=sent) if row["from"] == "bot"]
        assert [("↻" in row["text"], "Umbra" in row["text"]) for row in rows] == [
            (False, True),
            (True, True),
        ]
    assert len(world.store.of(events.PersonChanged)) == 2
    fired(await world.phone.fired("timeout_after_accept"))


async def _until_fired(world: World, kind: str) -> None:
    async with asyncio.timeout(5):
        while await world.phone.fired(kind) == 0:
            await asyncio.sleep(0.02)


@pytest.mark.fault("T02")
async def test_retry_after_is_obeyed_and_nothing_is_sent_meanwhile(world: World) -> None:
    async with world.running():
        await world.phone.ask("/version")
        await world.phone.fault("error", code=429, retry_after=2, method="sendMessage")
        started = world.clock.monotonic()
        await world.phone.ask("/status", deadline_s=10.0)
        assert world.clock.monotonic() - started >= 2.0
    assert await world.phone.fired("error") == 1
    fired(await world.phone.fired("error"))


@pytest.mark.fault("T17", "SAID")
async def test_broken_markup_is_sent_as_plain_text(world: World) -> None:
    async with world.running():
        description = "Bad Request: can't parse entities: unexpected end tag"
        await world.phone.fault("error", code=400, description=description, method="sendMessage")
        answer = await world.phone.ask("/status")
    assert "Equity" in answer["text"]
    assert answer["buttons"] == []
    assert await world.phone.fired("error") == 1
    fired(await world.phone.fired("error"))


@pytest.mark.fault("T16")
async def test_a_person_who_blocked_the_bot_does_not_hold_up_the_others(world: World) -> None:
    async with world.running():
        asked = await world.phone.ask("/role 8 viewer")
        await world.phone.press(asked["message_id"], "Confirm")
        await world.phone.until_text("8 is viewer now")
        await world.phone.ask("/version", 8)
        await world.phone.fault("error", code=403, method="sendMessage")
        await world.phone.send("/status", 8)
        await _until(lambda: any("Forbidden" in r for r in _reasons(world)))
        assert "Umbra" in (await world.phone.ask("/version"))["text"]
    assert await world.phone.fired("error") == 1
    fired(await world.phone.fired("error"))


GROUP = -1001


def _membership(status: str, user_id: int = 42) -> dict[str, Any]:
    person = {"id": user_id, "is_bot": False, "first_name": "Somebody"}
    bot = {"id": 4242, "is_bot": True, "first_name": "Umbra"}
    return {
        "chat": {"id": GROUP, "type": "group", "title": "<b>Free coins</b>"},
        "from": person,
        "date": 1,
        "old_chat_member": {"user": bot, "status": "left"},
        "new_chat_member": {"user": bot, "status": status},
    }


async def _until_left(world: World) -> None:
    async with asyncio.timeout(5):
        while await world.phone.has_bot(GROUP):
            await asyncio.sleep(0.02)


@pytest.mark.fault("T16", "TELL SAID")
async def test_a_strange_group_is_left_without_a_word_and_the_owner_is_told(world: World) -> None:
    async with world.running():
        await world.phone.ask("/version")
        await world.phone.send("/status", 42, chat_id=GROUP)
        told = await world.phone.until_text("Left a group")
        assert f"Number 42 had this bot in {GROUP}" in " ".join(told["text"].split())
        await _until_left(world)
        assert [row for row in await world.phone.messages(GROUP) if row["from"] == "bot"] == []
        # Whoever adds it again, the owner too, finds that it leaves again.
        await world.phone.post("update", {"my_chat_member": _membership("member")})
        await _until_left(world)
        # What is said where it is not does not reach it.
        await world.phone.send("hello", chat_id=GROUP)
        assert "Healthy" in (await world.phone.ask("/health"))["text"]
    outcomes = [one.outcome for one in world.store.of(events.UpdateHandled)]
    assert outcomes.count("denied") == 2
    fired(outcomes.count("denied"), words=told["text"])


@pytest.mark.fault("T16", "TELL SAID")
async def test_an_opened_group_that_moves_is_not_followed_and_its_new_number_is_told(
    world: World,
) -> None:
    moved = -1002000
    async with world.running(allow_groups=True, allowed_chat_ids=frozenset({GROUP})):
        sent = await world.phone.send("/version", chat_id=GROUP)
        await world.phone.answer_after(sent, GROUP)
        message = {
            "message_id": 900,
            "date": 1,
            "chat": {"id": GROUP, "type": "group", "title": "ours"},
            "from": {"id": OWNER, "is_bot": False, "first_name": "Owner"},
            "migrate_to_chat_id": moved,
        }
        await world.phone.post("update", {"message": message})
        told = await world.phone.until_text("A group of yours has moved")
        assert str(moved) in told["text"]
        await world.phone.send("/status", chat_id=moved)
        await world.phone.ask("/health")
        assert [row for row in await world.phone.messages(moved) if row["from"] == "bot"] == []
    received = [one.update.payload for one in world.store.of(events.UpdateReceived)]
    fired(sum("migrate_to_chat_id" in payload for payload in received), words=told["text"])


@pytest.mark.fault("T16", "TELL SAID")
async def test_a_reply_into_a_group_that_moved_is_dropped_and_told(world: World) -> None:
    moved = -1002000
    async with world.running(allow_groups=True, allowed_chat_ids=frozenset({GROUP})):
        await world.phone.ask("/version")
        description = "Bad Request: group chat was upgraded to a supergroup chat"
        await world.phone.fault(
            "error",
            code=400,
            description=description,
            migrate_to_chat_id=moved,
            method="sendMessage",
        )
        await world.phone.send("/health", chat_id=GROUP)
        told = " ".join((await world.phone.until_text("Nothing reaches"))["text"].split())
        assert f"Nothing reaches {GROUP} any more: chat moved to {moved}" in told
        assert await world.phone.messages(moved) == []
    fired(await world.phone.fired("error"))


@pytest.mark.fault("T16", "TELL SAID")
async def test_an_owner_who_blocked_the_bot_is_told_elsewhere_until_that_is_over(
    world: World,
) -> None:
    async with world.running():
        await world.phone.ask("/version")
        await world.phone.fault("error", code=403, method="sendMessage")
        await world.phone.send("/status")
        await _until(lambda: _blocked(world) == [True, False])
        [begun, _] = world.store.of(events.ConditionChanged)
        # What is critical and of the chat goes to the second channel at once.
        assert begun.severity is Severity.CRIT
        assert f"condition:{begun.condition}".startswith(AT_ONCE)
    fired(await world.phone.fired("error"))


def _blocked(world: World) -> list[bool]:
    return [
        one.is_active for one in world.store.of(events.ConditionChanged) if one.condition == BLOCKED
    ]


def _reasons(world: World) -> list[str]:
    return [one.reason for one in world.store.of(events.MessageDelivered)]


async def test_a_refresh_that_changes_nothing_is_no_failure(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/health")
        await world.phone.press(card["message_id"], "🔄 Refresh")
        await _until(lambda: "delivered (unchanged)" in _reasons(world))
        assert await world.phone.count() == 1


@pytest.mark.fault("T17")
async def test_a_card_that_is_gone_is_sent_anew(world: World) -> None:
    async with world.running():
        card = await world.phone.ask("/health")
        description = "Bad Request: message to edit not found"
        await world.phone.fault(
            "error", code=400, description=description, method="editMessageText"
        )
        await world.phone.press(card["message_id"], "🔄 Refresh")
        await _until(lambda: "delivered (anew)" in _reasons(world))
    assert await world.phone.fired("error") == 1
    fired(await world.phone.fired("error"))


@pytest.mark.fault("T03")
async def test_a_second_reader_of_the_bot_is_announced_and_locks_what_adds_risk(
    world: World,
) -> None:
    async with world.running(poll_timeout_s=1):
        await world.phone.ask("/version")
        await world.phone.fault("conflict", times=3)
        await world.phone.until_text("Somebody else reads")
        answer = await world.phone.ask("/buy BTC/USDT 100 USDT", deadline_s=20.0)
        assert "another program reads" in " ".join(answer["text"].split()).lower()
    assert await world.phone.fired("conflict") >= 2
    fired(await world.phone.fired("conflict"))


async def test_a_full_disk_keeps_the_update_until_there_is_room(world: World) -> None:
    async with world.running():
        await world.phone.ask("/version")
        while await world.store.pending_messages():
            await asyncio.sleep(0.01)
        world.store.lose()
        sent = await world.phone.send("/status")
        await asyncio.sleep(0.3)
        assert [row for row in await world.phone.messages(after=sent) if row["from"] == "bot"] == []
        world.store.heal()
        answer = await world.phone.answer_after(sent, deadline_s=15.0)
    assert "Equity" in answer["text"]


@pytest.mark.fault("T01")
async def test_telegram_down_at_the_start_is_waited_for(world: World) -> None:
    await world.phone.fault("drop", times=2, method="getMe")
    async with world.running():
        assert "Umbra" in (await world.phone.ask("/version", deadline_s=20.0))["text"]
    assert await world.phone.fired("drop") == 2
    fired(await world.phone.fired("drop"))


@pytest.mark.fault("T19")
async def test_the_same_command_at_once_is_answered_once(world: World) -> None:
    async with world.running():
        for _ in range(5):
            await world.phone.send("/pause")
        await _until(lambda: len(_handled(world)) == 5)
        await world.phone.ask("/version")
    assert len(world.desk.executed) == 1
    fired(len(_handled(world)))


async def test_a_slow_picture_does_not_hold_up_panic(world: World) -> None:
    async with world.running():
        release = asyncio.Event()
        chart = world.desk.chart

        async def slow(*args: Any) -> Any:
            await release.wait()
            return await chart(*args)

        world.desk.chart = slow  # type: ignore[method-assign]
        await world.phone.send("/chart BTC/USDT 1h")
        panic = await world.phone.ask("/panic")
        assert "PANIC" in panic["text"]
        release.set()
        await world.phone.until_text("40 candles")


async def test_an_orderly_stop_says_so_before_it_ends(world: World) -> None:
    async with world.running():
        await world.phone.ask("/version")
        await world.store.append(events.ProcessStopped("asked to stop", world.clock.now()))
    await world.phone.until_text("Umbra is stopping")


@pytest.mark.fault("T04")
async def test_the_token_is_in_no_log_and_no_message(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = TOKEN.partition(":")[2]
    await world.phone.fault("unauthorized", method="getMe")
    async with world.running():
        await world.phone.ask("/version", deadline_s=20.0)
        await world.phone.fault("unauthorized", method="sendMessage")
        await world.phone.ask("/status", deadline_s=20.0)
    assert await world.phone.fired("unauthorized") == 2
    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert secret not in logged
    assert secret not in repr(world.bot()._settings)
    assert all(secret not in repr(event) for event in world.store.all_events)
    fired(await world.phone.fired("unauthorized"))


async def test_a_reply_leaves_within_milliseconds(world: World) -> None:
    async with world.running():
        await world.phone.ask("/version")
        spent = []
        for command in ("/status", "/trackers", "/positions", "/orders", "/jobs"):
            started = world.clock.monotonic()
            await world.phone.ask(command)
            spent.append(world.clock.monotonic() - started)
    # The phone of the test looks every 10 ms.
    assert sorted(spent)[2] < 0.25


async def test_the_owner_can_be_told_past_a_journal_that_cannot_be_written(world: World) -> None:
    async with world.running() as bot:
        await world.phone.ask("/version")
        world.store.lose(reserve_too=True)
        assert await bot.tell_owner_now("The journal cannot be written")
        await world.phone.until_text("The journal cannot be written")
        await world.phone.fault("error", code=502, method="sendMessage")
        assert not await bot.tell_owner_now("lost")
        world.store.heal()
    assert await world.phone.fired("error") == 1


async def test_nobody_is_told_before_somebody_owns_the_bot(world: World) -> None:
    async with world.running(owner_id=None) as bot:
        assert not await bot.tell_owner_now("hello")


async def test_a_task_that_fails_is_started_again(world: World) -> None:
    async with world.running() as bot:
        await world.phone.ask("/version")
        standing = world.desk.standing
        failed = asyncio.Event()

        def broken() -> Any:
            failed.set()
            world.desk.standing = standing  # type: ignore[method-assign]
            raise ZeroDivisionError("inside")

        world.desk.standing = broken  # type: ignore[method-assign]
        await asyncio.wait_for(failed.wait(), 5)
        await world.store.append(world.desk.raise_alert("a1", "Found late"))
        await world.phone.until_text("Found late")
        assert set(bot.beats) >= {"poll", "handle", "address", "expire"}


async def test_a_task_that_comes_to_a_stand_is_named_and_an_outage_of_the_chat_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.running() as bot:
        await world.phone.ask("/version")
        await world.phone.fault("error", code=502, method="sendMessage")
        assert bot.hanging() == ()
        released, stands = asyncio.Event(), asyncio.Event()
        events_of = world.store.events

        async def stand(*args: Any, **kwargs: Any) -> Any:
            stands.set()
            await released.wait()
            return await events_of(*args, **kwargs)

        monkeypatch.setattr(world.store, "events", stand)
        await world.store.append(world.desk.raise_alert("a1", "Found late"))
        await asyncio.wait_for(stands.wait(), 5)
        monkeypatch.setattr(tasks, "_HANGS_AFTER_S", 1.5)
        await world.phone.until(lambda _: bot.hanging() == ("telegram-address",))
        released.set()
        await world.phone.until_text("Found late")


async def test_a_digest_goes_out_when_the_schedule_ticks(world: World) -> None:
    world.desk.equity_before = Decimal(39_000)
    async with world.running() as bot:
        now = world.clock.now()
        await world.phone.ask(f"/digest daily {now:%H:%M}")
        assert await bot.tick() == 1
        assert await bot.tick() == 0
        await world.phone.until_text("Digest: 40,005.00 USDT")


@pytest.mark.fault("T13", "SAID")
async def test_an_opted_in_group_is_answered_there_and_its_buttons_are_bound_to_it(
    world: World,
) -> None:
    group = -1001
    async with world.running(allow_groups=True, allowed_chat_ids=frozenset({group})):
        sent = await world.phone.send("/close BTC/USDT", chat_id=group)
        card = await world.phone.answer_after(sent, group)
        assert card["buttons"] == [["Confirm", "Cancel"]]
        body = {"user_id": 9, "chat_id": group, "message_id": card["message_id"], "text": "Confirm"}
        await world.phone.post("press", {**body, "wait_ms": 300})
        assert world.desk.executed == []
        await world.phone.post("press", {**body, "user_id": OWNER})
        await world.phone.until_text("Done.", group)
    assert len(world.desk.executed) == 1
    outcomes = [one.outcome for one in _handled(world)]
    fired(len(outcomes) - outcomes.count("done"), words=str(outcomes))
