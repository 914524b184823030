"""In which groups the bot was found, and what that means."""

from typing import Any

import pytest
from telegram import Update

from bot.telegram.access import AccessRules
from bot.telegram.groups import LEFT_GROUP, MOVED_GROUP, Found, found_in

GROUP = -1001
CLOSED = AccessRules()
OPEN = AccessRules(frozenset({GROUP}), allow_groups=True)
PERSON = {"id": 7, "is_bot": False, "first_name": "A"}
BOT = {"id": 4242, "is_bot": True, "first_name": "B"}


def message(chat_id: int, kind: str, **more: Any) -> Update:
    chat = {"id": chat_id, "type": kind, "title": "t"}
    said = {"message_id": 1, "date": 1, "chat": chat, "from": PERSON, **more}
    return _update(message=said)


def membership(status: str) -> Update:
    before, after = ({"user": BOT, "status": one} for one in ("left", status))
    more = {"until_date": 0} if status == "kicked" else {}
    changed = {
        "chat": {"id": GROUP, "type": "supergroup", "title": "t"},
        "from": PERSON,
        "date": 1,
        "old_chat_member": before,
        "new_chat_member": {**after, **more},
    }
    return _update(my_chat_member=changed)


def _update(**content: Any) -> Update:
    return Update.de_json({"update_id": 1, **content}, None)


def test_a_private_chat_is_no_group() -> None:
    assert found_in(message(7, "private"), CLOSED) is None


@pytest.mark.parametrize("kind", ["group", "supergroup", "channel"])
def test_what_was_not_opened_is_left(kind: str) -> None:
    left = Found(GROUP, f"{LEFT_GROUP}{GROUP}", is_left=True)
    assert found_in(message(GROUP, kind), CLOSED) == left
    # Listed is not enough: groups as such are opened by a setting of their own.
    assert found_in(message(GROUP, kind), AccessRules(frozenset({GROUP}))) == left
    assert found_in(message(GROUP - 1, kind), OPEN) is not None


def test_an_opened_group_is_stayed_in() -> None:
    assert found_in(message(GROUP, "group", text="/status"), OPEN) is None
    assert found_in(membership("member"), OPEN) is None


def test_where_it_was_put_out_there_is_nothing_to_leave() -> None:
    assert found_in(membership("left"), CLOSED) is None
    assert found_in(membership("kicked"), CLOSED) is None
    assert found_in(membership("member"), CLOSED) is not None


def test_a_group_that_moves_is_not_followed() -> None:
    moving = message(GROUP, "group", migrate_to_chat_id=-2000)
    assert found_in(moving, OPEN) == Found(GROUP, f"{MOVED_GROUP}-2000", is_left=False)
    arrived = message(-2000, "supergroup", migrate_from_chat_id=GROUP)
    assert found_in(arrived, OPEN) == Found(-2000, f"{LEFT_GROUP}-2000", is_left=True)
