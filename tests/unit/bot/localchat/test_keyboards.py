"""Buttons are checked as Telegram checks them."""

from typing import Any

import pytest

from bot.localchat.errors import BotApiError
from bot.localchat.facts import Button
from bot.localchat.keyboards import field_keyboard, inline_keyboard


def one(**button: Any) -> Any:
    return {"inline_keyboard": [[{"text": "a", **button}]]}


def test_buttons_keep_rows_labels_and_actions() -> None:
    markup = {
        "inline_keyboard": [
            [{"text": "a", "callback_data": "1"}],
            [],
            [{"text": "b", "url": "https://x.org"}, {"text": "c", "copy_text": {"text": "z"}}],
        ]
    }
    assert inline_keyboard(markup) == (
        (Button("a", "callback_data", "1"),),
        (Button("b", "url", "https://x.org"), Button("c", "copy_text", {"text": "z"})),
    )


def test_callback_data_is_measured_in_bytes() -> None:
    assert inline_keyboard(one(callback_data="é" * 32))
    for data in ("é" * 33, "", 5):
        with pytest.raises(BotApiError, match="BUTTON_DATA_INVALID"):
            inline_keyboard(one(callback_data=data))


@pytest.mark.parametrize(
    "markup",
    [
        [],
        {"inline_keyboard": {}},
        {"inline_keyboard": ["a"]},
        {"inline_keyboard": [[5]]},
        {"inline_keyboard": [[{"text": "", "callback_data": "a"}]]},
        one(),
        one(url="javascript:alert(1)"),
        one(url="http://localhost"),
        one(url="http://[::1"),
        one(url=5),
        one(copy_text={"text": ""}),
        {"inline_keyboard": [[{"text": "a", "callback_data": "a"}]] * 101},
    ],
)
def test_wrong_buttons_are_refused(markup: Any) -> None:
    with pytest.raises(BotApiError):
        inline_keyboard(markup)


def test_keyboards_under_the_field_are_kept_for_the_page() -> None:
    markup = {"keyboard": [["a", {"text": "b"}]], "resize_keyboard": True}
    assert field_keyboard(markup) == {"keyboard": [["a", "b"]]}
    assert field_keyboard({"remove_keyboard": True}) == {"remove_keyboard": True}
    assert field_keyboard({"force_reply": True}) == {"force_reply": True}
    assert field_keyboard(one(callback_data="a")) is None
    assert inline_keyboard(markup) == ()
    for wrong in ({"keyboard": 5}, {"keyboard": [5]}, {"keyboard": [[5]]}):
        with pytest.raises(BotApiError):
            field_keyboard(wrong)
