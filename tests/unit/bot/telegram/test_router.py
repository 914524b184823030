"""Who looked, and whose answer goes first: the router tells both."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.telegram.replying import answered_update
from bot.telegram.settings import TelegramSettings
from tests.security.front import OWNER, STRANGER, Front, said, tapped, typed
from trading.domain.chat import InboxUpdate, Severity
from trading.domain.events import ConfirmationAsked, MessageQueued, UpdateHandled


def member(user_id: int) -> dict[str, Any]:
    """The update of a person who blocks the bot."""
    user = {"id": user_id, "is_bot": False, "first_name": "N"}
    bot = {"id": 4242, "is_bot": True, "first_name": "B"}
    return {
        "my_chat_member": {
            "chat": {"id": user_id, "type": "private"},
            "from": user,
            "date": 1,
            "old_chat_member": {"user": bot, "status": "member"},
            "new_chat_member": {"user": bot, "status": "kicked", "until_date": 0},
        }
    }


@pytest.mark.parametrize("body", [typed("/status"), typed("nonsense"), tapped("+/status")])
async def test_a_message_and_a_tap_are_looks_whatever_becomes_of_them(body: dict[str, Any]) -> None:
    assert (await Front().take(body)).looked == OWNER


async def test_a_stranger_does_not_look() -> None:
    assert (await Front().take(typed("/status", STRANGER))).looked is None


async def test_who_blocks_the_bot_does_not_look() -> None:
    assert (await Front().take(member(OWNER))).looked is None


async def test_an_update_that_cannot_be_read_is_nobodys_look() -> None:
    update = InboxUpdate(1, '{"message": {"from": {"id": 7}}}', datetime(2026, 1, 1, tzinfo=UTC))
    assert (await Front().router.handle(update)).looked is None


async def _paces(front: Front, body: dict[str, Any]) -> set[Severity]:
    queued = (await front.take(body)).events
    return {each.message.severity for each in queued if isinstance(each, MessageQueued)}


@pytest.mark.parametrize(
    "line", ["/panic", "/PANIC@umbra_bot everything", "/close BTC/USDT", "/halt", "/close nonsense"]
)
async def test_what_is_said_to_a_way_out_overtakes_small_talk(line: str) -> None:
    front = Front()
    assert await _paces(front, typed(line)) == {Severity.CRIT}
    assert await _paces(front, tapped(f"+{line}")) == {Severity.CRIT}


@pytest.mark.parametrize("line", ["/status@other_bot", "/PANIC@other_bot everything"])
async def test_a_command_for_another_bot_is_not_ours_and_that_is_said(line: str) -> None:
    front = Front()
    front.router.own_name = lambda: "Umbra_Bot"
    handled = await front.take(typed(line))
    told = said(handled).replace("&#x27;", "'")
    assert told == "✋ Nothing was done That is for 'other_bot'; this is Umbra_Bot."
    assert not [one for one in handled.events if isinstance(one, ConfirmationAsked)]


async def test_a_command_that_names_us_or_nobody_is_ours() -> None:
    front = Front()
    front.router.own_name = lambda: "Umbra_Bot"
    for line in ("/panic@umbra_bot", "/PANIC@UMBRA_BOT", "/panic", "/panic@"):
        handled = await front.take(typed(line))
        assert [one for one in handled.events if isinstance(one, ConfirmationAsked)], line
        front.later(seconds=60)


async def test_in_a_group_a_command_for_another_bot_is_passed_by() -> None:
    front = Front()
    front.services.settings = TelegramSettings(
        "1:x", allowed_chat_ids=frozenset({-100}), allow_groups=True
    )
    front.router.own_name = lambda: "umbra_bot"
    handled = await front.take(typed("/status@other_bot", chat_id=-100))
    assert [type(one) for one in handled.events] == [UpdateHandled]
    assert len((await front.take(typed("/status@umbra_bot", chat_id=-100))).events) > 1


@pytest.mark.parametrize("line", ["/status", "/buy BTC/USDT 100 USDT", "/panics", "panic", "/"])
async def test_small_talk_waits_for_its_turn(line: str) -> None:
    assert await _paces(Front(), typed(line)) == {Severity.INFO}


async def test_three_taps_on_an_amount_of_a_guide_open_one_question() -> None:
    front = Front()
    handled = []
    for _ in range(3):
        handled.append(await front.take(tapped("=/track BTC/USDT stop 58000 all")))
        front.later(seconds=2)
    asked = [[one for one in each.events if isinstance(one, ConfirmationAsked)] for each in handled]
    assert [len(each) for each in asked] == [1, 0, 0]
    queued = [one for each in handled for one in each.events if isinstance(one, MessageQueued)]
    assert [one.message.target is not None for one in queued] == [True]
    assert handled[1].toast == "It is asked already"


@pytest.mark.parametrize("button", ["c:", "x:", "e:"])
async def test_the_answer_to_a_panic_overtakes_and_that_to_a_purchase_does_not(button: str) -> None:
    front = Front()
    for line, pace in (("/panic", Severity.CRIT), ("/buy BTC/USDT 100 USDT", Severity.INFO)):
        await front.take(typed(line))
        told = await _paces(front, tapped(f"{button}{front.question()}"))
        assert told <= {pace}
        assert told or button == "e:"


async def test_a_double_tap_gets_one_answer_and_what_is_said_after_it_another() -> None:
    front = Front()
    first = await front.take(typed("/status"))
    assert said(first)
    assert said(await front.take(typed("/status"))) == ""
    front.later(seconds=0.1)
    [answer] = [one.message for one in first.events if isinstance(one, MessageQueued)]
    update_id = answered_update(answer.message_key)
    assert update_id is not None
    front.router.flood.answered(update_id, front.clock.now())
    assert said(await front.take(typed("/status")))


async def test_a_button_that_is_tapped_twice_counts_once_and_says_so() -> None:
    front = Front()
    first = await front.take(tapped("+/status"))
    [answer] = [one.message for one in first.events if isinstance(one, MessageQueued)]
    front.later(seconds=0.1)
    front.router.flood.answered(answered_update(answer.message_key) or 0, front.clock.now())
    second = await front.take(tapped("+/status"))
    assert (said(second), second.tap_id) == ("That came twice in a second; it counts once", "q")
    assert [type(one) for one in second.events] == [UpdateHandled]


async def test_an_update_whose_end_could_not_be_stored_is_acted_on_again() -> None:
    front = Front()
    content = json.dumps({"update_id": 1, **typed("/status")})
    update = InboxUpdate(1, content, front.clock.now())
    assert [said(await front.router.handle(update)) != "" for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("key", "update_id"),
    [("reply:12:0", 12), ("reply:12:1", 12), ("letter:12:0", None), ("alert:7:7:x", None)],
)
def test_of_the_messages_that_go_out_replies_alone_answer(key: str, update_id: int | None) -> None:
    assert answered_update(key) == update_id
