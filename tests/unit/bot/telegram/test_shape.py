"""What is read of an update has its type, or nothing of it is read."""

from typing import Any

import pytest

from bot.telegram.shape import is_sound

PERSON = {"id": 7, "is_bot": False, "first_name": "Ada"}
MESSAGE = {"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "from": PERSON}
QUERY = {"id": "q", "from": PERSON, "data": "+/status", "message": MESSAGE}


@pytest.mark.parametrize(
    "update",
    [
        {"update_id": 1},
        {"message": MESSAGE},
        {"message": {**MESSAGE, "text": "/status"}},
        {"message": {key: MESSAGE[key] for key in ("message_id", "date", "chat")}},
        {"edited_message": MESSAGE},
        {"callback_query": QUERY},
        {"callback_query": {"id": "q", "from": PERSON}},
        {"channel_post": 7},
    ],
)
def test_what_telegram_sends_is_sound(update: dict[str, Any]) -> None:
    assert is_sound(update)


@pytest.mark.parametrize("odd", [None, True, 1.5, [], {}, 2**53])
@pytest.mark.parametrize("field", ["message_id", "date", "chat", "from"])
def test_a_message_with_a_wrong_type_is_not(field: str, odd: object) -> None:
    assert not is_sound({"message": {**MESSAGE, field: odd}})
    assert not is_sound({"callback_query": {**QUERY, "message": {**MESSAGE, field: odd}}})


@pytest.mark.parametrize("odd", [None, 7, [], {}])
def test_texts_and_ids_of_taps_are_texts(odd: object) -> None:
    assert not is_sound({"message": {**MESSAGE, "text": odd}})
    assert not is_sound({"callback_query": {**QUERY, "data": odd}})
    assert not is_sound({"callback_query": {**QUERY, "id": odd}})
    assert not is_sound({"message": {**MESSAGE, "chat": {"id": 7, "type": odd}}})
    assert not is_sound({"message": {**MESSAGE, "from": {**PERSON, "first_name": odd}}})


@pytest.mark.parametrize("update", [None, 7, [], {"message": None}, {"callback_query": []}])
def test_what_is_no_object_is_not(update: object) -> None:
    assert not is_sound(update)
