"""What people do becomes the updates that a bot would get."""

from typing import Any

import pytest

from bot.localchat import playing
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError, ClientError
from tests.unit.bot.localchat.conftest import Bot_, HandClock


def newest(conversation: Conversation) -> dict[str, Any]:
    return conversation.updates.waiting(100, conversation.now_s())[-1].body


def card(bot: Bot_, *labels: str) -> int:
    row = [{"text": label, "callback_data": f"data {label}"} for label in labels]
    sent = bot("sendMessage", chat_id=7, text="?", reply_markup={"inline_keyboard": [row]})
    return int(sent["message_id"])


def test_text_becomes_a_message_with_its_command(conversation: Conversation) -> None:
    playing.write(conversation, 7, 7, "/status now")
    message = newest(conversation)["message"]
    assert message["text"] == "/status now"
    assert message["entities"] == [{"type": "bot_command", "offset": 0, "length": 7}]
    assert message["chat"]["type"] == "private"
    assert message["from"]["id"] == 7


def test_long_text_is_cut_as_an_app_cuts_it(conversation: Conversation) -> None:
    parts = playing.write(conversation, 7, 7, "a" * 3000 + "\n" + "b" * 3000)
    assert [len(part.content.text) for part in parts] == [3000, 3000]
    assert len(playing.write(conversation, 7, 7, "c" * 9000)) == 3


@pytest.mark.parametrize("text", ["", " \n ", "x" * 70_000])
def test_senseless_text_is_refused(conversation: Conversation, text: str) -> None:
    with pytest.raises(ClientError):
        playing.write(conversation, 7, 7, text)


def test_forged_sender_reaches_the_bot_whose_gate_has_to_refuse_it(
    conversation: Conversation,
) -> None:
    playing.write(conversation, 9, 7, "/panic")
    message = newest(conversation)["message"]
    assert (message["chat"]["id"], message["from"]["id"]) == (7, 9)


def test_groups_are_made_on_first_use(conversation: Conversation) -> None:
    playing.write(conversation, 7, -5, "a")
    playing.write(conversation, 8, -5, "b")
    assert newest(conversation)["message"]["chat"] == {
        "id": -5,
        "type": "group",
        "title": "Group 5",
    }
    assert conversation.chats[-5].members == {7, 8}


def test_edit_forward_and_reply_reach_the_bot(conversation: Conversation) -> None:
    (first,) = playing.write(conversation, 7, 7, "a")
    playing.edit(conversation, 7, first.message_id, "/panic")
    assert newest(conversation)["edited_message"]["text"] == "/panic"
    assert "edit_date" in newest(conversation)["edited_message"]
    origin = playing.forwarded_from(conversation, 9)
    playing.write(conversation, 7, 7, "b", reply_to=first.message_id, forward_origin=origin)
    message = newest(conversation)["message"]
    assert message["forward_origin"]["sender_user"]["id"] == 9
    assert message["reply_to_message"]["message_id"] == first.message_id
    with pytest.raises(ClientError):
        playing.edit(conversation, 8, first.message_id, "c")
    with pytest.raises(ClientError):
        playing.write(conversation, 7, 7, "d", reply_to=999)


def test_pressing_gives_the_bot_the_buttons_data(conversation: Conversation, bot: Bot_) -> None:
    message_id = card(bot, "✅ Confirm", "Cancel")
    pressed = playing.press(conversation, 7, message_id, "✅ Confirm", None)
    query = newest(conversation)["callback_query"]
    assert pressed.query is not None
    assert query["id"] == pressed.query.query_id
    assert query["data"] == "data ✅ Confirm"
    assert query["message"]["message_id"] == message_id


def test_label_without_its_emoji_is_enough_when_only_one_button_fits(
    conversation: Conversation, bot: Bot_
) -> None:
    message_id = card(bot, "✅ Confirm", "🔴 Close", "🟢 Close")
    assert playing.press(conversation, 7, message_id, "confirm", None).query is not None
    with pytest.raises(ClientError, match="its buttons: '✅ Confirm', '🔴 Close', '🟢 Close'"):
        playing.press(conversation, 7, message_id, "Close", None)


def test_pressing_what_is_not_there_is_refused(conversation: Conversation, bot: Bot_) -> None:
    message_id = card(bot, "a")
    for wrong_id, label, chat_id in (
        (999, "a", None),
        (message_id, "b", None),
        (message_id, "a", 8),
    ):
        with pytest.raises(ClientError) as refused:
            playing.press(conversation, 7, wrong_id, label, chat_id)
        assert refused.value.status == 404


def test_link_button_makes_no_query(conversation: Conversation, bot: Bot_) -> None:
    markup = {"inline_keyboard": [[{"text": "a", "url": "https://x.org"}]]}
    sent = bot("sendMessage", chat_id=7, text="?", reply_markup=markup)
    assert playing.press(conversation, 7, sent["message_id"], "a", None).query is None


def test_answer_counts_once_and_not_for_ever(
    conversation: Conversation, bot: Bot_, clock: HandClock
) -> None:
    message_id = card(bot, "a")
    query = playing.press(conversation, 7, message_id, "a", None).query
    assert query is not None
    bot("answerCallbackQuery", callback_query_id=query.query_id, text="ok")
    answer = conversation.callbacks[query.query_id].answer
    assert answer is not None
    assert answer.text == "ok"
    with pytest.raises(BotApiError, match="query is too old"):
        bot("answerCallbackQuery", callback_query_id=query.query_id)
    late = playing.press(conversation, 7, message_id, "a", None).query
    assert late is not None
    clock.advance(61)
    with pytest.raises(BotApiError, match="query is too old"):
        bot("answerCallbackQuery", callback_query_id=late.query_id)


def test_blocking_refuses_the_bot_until_it_is_taken_back(
    conversation: Conversation, bot: Bot_
) -> None:
    playing.set_blocked(conversation, 7, is_blocked=True)
    assert newest(conversation)["my_chat_member"]["new_chat_member"]["status"] == "kicked"
    with pytest.raises(BotApiError, match="Forbidden: bot was blocked by the user"):
        bot("sendMessage", chat_id=7, text="a")
    playing.set_blocked(conversation, 7, is_blocked=False)
    assert bot("sendMessage", chat_id=7, text="a")["text"] == "a"


def test_any_update_can_be_injected(conversation: Conversation) -> None:
    assert playing.inject(conversation, {"channel_post": {"a": 1}}) == 1000
    assert playing.inject(conversation, {"update_id": 5, "poll": {}}) == 5
    assert playing.inject(conversation, {"chat_member": {}}) is None
    for wrong in ([], {}, {"update_id": 7}, {"update_id": -1, "poll": {}}):
        with pytest.raises(ClientError):
            playing.inject(conversation, wrong)


@pytest.mark.parametrize("user_id", [0, -1, 2**60])
def test_people_have_positive_ids(conversation: Conversation, user_id: int) -> None:
    with pytest.raises(ClientError):
        playing.write(conversation, user_id, 7, "a")
