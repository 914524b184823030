"""Who looked: the router tells it of whoever wrote or tapped and may."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.security.front import OWNER, STRANGER, Front, tapped, typed
from trading.domain.chat import InboxUpdate


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
