"""Who looked, and whose answer goes first: the router tells both."""

from datetime import UTC, datetime
from typing import Any

import pytest

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
