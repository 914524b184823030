"""Whether an update has the types it should: the library takes whatever stands in the JSON."""

from collections.abc import Mapping
from typing import Any


def is_sound(update: object) -> bool:
    """Whether everything that is read of a message or a tap is there and of its type.

    Other kinds are denied unread, so nothing is asked of them.
    """
    if not isinstance(update, Mapping):
        return False
    messages = [update[kind] for kind in ("message", "edited_message") if kind in update]
    is_query = "callback_query" in update
    return all(map(_is_message, messages)) and (not is_query or _is_query(update["callback_query"]))


def _is_query(said: Any) -> bool:
    return (
        isinstance(said, Mapping)
        and isinstance(said.get("id"), str)
        and _is_person(said.get("from"))
        and isinstance(said.get("data", ""), str)
        and ("message" not in said or _is_message(said["message"]))
    )


def _is_message(said: Any) -> bool:
    return (
        isinstance(said, Mapping)
        and _is_number(said.get("message_id"))
        and _is_number(said.get("date"))
        and isinstance(said.get("text", ""), str)
        and ("from" not in said or _is_person(said["from"]))
        and _is_chat(said.get("chat"))
    )


def _is_chat(said: Any) -> bool:
    return (
        isinstance(said, Mapping)
        and _is_number(said.get("id"))
        and isinstance(said.get("type"), str)
    )


def _is_person(said: Any) -> bool:
    return (
        isinstance(said, Mapping)
        and _is_number(said.get("id"))
        and isinstance(said.get("is_bot"), bool)
        and isinstance(said.get("first_name"), str)
    )


def _is_number(said: Any) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and abs(said) < 2**53
