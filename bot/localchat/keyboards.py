"""Reply markup: what the bot may put under a message, and what Telegram refuses."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from bot.localchat.errors import bad_request
from bot.localchat.facts import Button, Json, Keyboard

CALLBACK_DATA_BYTES_MAX: Final = 64
BUTTONS_MAX: Final = 100
COPY_TEXT_MAX: Final = 256
_ACTIONS: Final = (
    *("callback_data", "url", "copy_text", "web_app", "login_url", "switch_inline_query"),
    *("switch_inline_query_current_chat", "switch_inline_query_chosen_chat", "pay"),
)
_FIELD_KEYBOARDS: Final = ("keyboard", "remove_keyboard", "force_reply")


def inline_keyboard(markup: Any) -> Keyboard:
    """The buttons under a message; other kinds of markup give none."""
    if markup is None or (isinstance(markup, dict) and "inline_keyboard" not in markup):
        return ()
    rows = markup.get("inline_keyboard") if isinstance(markup, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse reply keyboard markup JSON object")
    keyboard = tuple(tuple(_button(each) for each in row) for row in rows if row)
    if sum(map(len, keyboard)) > BUTTONS_MAX:
        raise bad_request("reply markup is too long")
    return keyboard


def field_keyboard(markup: Any) -> Json | None:
    """Markup that changes the input field: a reply keyboard, its removal, or a forced reply."""
    if not isinstance(markup, dict) or not any(name in markup for name in _FIELD_KEYBOARDS):
        return None
    rows = markup.get("keyboard")
    if rows is None:
        return {name: bool(markup[name]) for name in _FIELD_KEYBOARDS if name in markup}
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse keyboard: expected an Array of Array of KeyboardButton")
    return {"keyboard": [[_key_label(key) for key in row] for row in rows]}


def _key_label(key: Any) -> str:
    label = key.get("text") if isinstance(key, dict) else key
    if not isinstance(label, str) or not label:
        raise bad_request("text of a keyboard button must be non-empty")
    return label


def _button(each: Any) -> Button:
    if not isinstance(each, dict):
        raise bad_request("can't parse inline keyboard button: expected an Object")
    text = each.get("text")
    if not isinstance(text, str) or not text:
        raise bad_request("inline keyboard button text must be non-empty")
    actions = [name for name in _ACTIONS if name in each]
    if not actions:
        raise bad_request("text buttons are unallowed in the inline keyboard")
    action, value = actions[0], each[actions[0]]
    if action == "callback_data":
        _check_callback_data(value)
    elif action == "url":
        _check_url(text, value)
    elif action == "copy_text":
        _check_copy_text(value)
    return Button(text, action, value)


def _check_callback_data(value: Any) -> None:
    length = len(value.encode("utf-8", "replace")) if isinstance(value, str) else 0
    if not 1 <= length <= CALLBACK_DATA_BYTES_MAX:
        raise bad_request("BUTTON_DATA_INVALID")


def _check_url(text: str, value: Any) -> None:
    try:
        parts = urlsplit(value) if isinstance(value, str) else urlsplit("")
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    is_link = parts.scheme in {"http", "https"} and ("." in host or ":" in host)
    if not is_link and parts.scheme not in {"tg", "ton"}:
        raise bad_request(
            f"inline keyboard button URL '{value}' is invalid: Wrong HTTP URL ({text})"
        )


def _check_copy_text(value: Any) -> None:
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or not 1 <= len(text) <= COPY_TEXT_MAX:
        raise bad_request("BUTTON_COPY_TEXT_INVALID")
