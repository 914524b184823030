"""Bot API methods change the conversation as Telegram would, and refuse what it refuses."""

from typing import Any

import pytest

from bot.localchat import playing
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError
from bot.localchat.files import Upload
from bot.localchat.wire import client_json, page_json
from tests.unit.bot.localchat.conftest import Bot_, HandClock
from tests.unit.bot.localchat.test_files import PNG

PICTURE = Upload("a.png", "image/png", PNG)
KEYS = {"inline_keyboard": [[{"text": "a", "callback_data": "1"}]]}


def refused(bot: Bot_, method: str, **values: Any) -> str:
    with pytest.raises(BotApiError) as error:
        bot(method, **values)
    return error.value.description


def test_text_of_4096_characters_is_the_longest(bot: Bot_) -> None:
    assert bot("sendMessage", chat_id="7", text="x" * 4096)["message_id"] == 1
    assert refused(bot, "sendMessage", chat_id=7, text="x" * 4097) == (
        "Bad Request: message is too long"
    )
    # Markup does not count, only what is shown.
    bold = f"<b>{'x' * 4096}</b>"
    assert len(bot("sendMessage", chat_id=7, text=bold, parse_mode="HTML")["text"]) == 4096


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": "a"}, "chat_id is empty"),
        ({"chat_id": "@nobody", "text": "a"}, "chat not found"),
        ({"chat_id": 0, "text": "a"}, "chat not found"),
        ({"chat_id": 7}, "message text is empty"),
        ({"chat_id": 7, "text": "a", "reply_markup": "{"}, "can't parse reply_markup"),
        ({"chat_id": 7, "text": "a", "reply_parameters": '{"message_id":99}'}, "to be replied"),
        ({"chat_id": 7, "text": ["a"]}, "should be a String"),
    ],
)
def test_wrong_messages_are_refused(bot: Bot_, values: dict[str, Any], reason: str) -> None:
    assert reason in refused(bot, "sendMessage", **values)


def test_reply_may_be_sent_without_its_message(bot: Bot_) -> None:
    reply = {"message_id": 99, "allow_sending_without_reply": True}
    assert "reply_to_message" not in bot("sendMessage", chat_id=7, text="a", reply_parameters=reply)


def test_edit_counts_keeps_the_id_and_takes_the_buttons(
    bot: Bot_, conversation: Conversation
) -> None:
    bot("sendMessage", chat_id=7, text="a", reply_markup=KEYS)
    bot("editMessageText", chat_id=7, message_id=1, text="b", reply_markup=KEYS)
    bot("editMessageReplyMarkup", chat_id=7, message_id=1)
    assert client_json(conversation.messages[1]) == {
        "message_id": 1,
        "from": "bot",
        "text": "b",
        "buttons": [],
        "media": None,
        "edits": 2,
        "date": 1772323200,
    }


def test_edits_that_telegram_refuses_are_refused(bot: Bot_, conversation: Conversation) -> None:
    bot("sendMessage", chat_id=7, text="a", reply_markup=KEYS)
    same = {"chat_id": 7, "message_id": 1, "text": "a", "reply_markup": KEYS}
    assert "message is not modified" in refused(bot, "editMessageText", **same)
    assert "message to edit not found" in refused(
        bot, "editMessageText", chat_id=7, message_id=9, text="b"
    )
    assert "message to edit not found" in refused(
        bot, "editMessageText", chat_id=8, message_id=1, text="b"
    )
    assert "no caption" in refused(bot, "editMessageCaption", chat_id=7, message_id=1)
    (mine,) = playing.write(conversation, 7, 7, "c")
    assert "message can't be edited" in refused(
        bot, "editMessageText", chat_id=7, message_id=mine.message_id, text="b"
    )
    bot("sendPhoto", {"photo": PICTURE}, chat_id=7, caption="d")
    assert "no text" in refused(bot, "editMessageText", chat_id=7, message_id=3, text="b")
    assert "identifier is not specified" in refused(bot, "editMessageText", chat_id=7, text="b")
    assert "not found" in refused(bot, "editMessageText", inline_message_id="x", text="b")


def test_picture_is_replaced_with_its_caption(bot: Bot_, conversation: Conversation) -> None:
    bot("sendPhoto", {"photo": PICTURE}, chat_id=7, caption="old")
    media = {
        "type": "photo",
        "media": "attach://new",
        "caption": "<b>new</b>",
        "parse_mode": "HTML",
    }
    other = Upload("b.png", "image/png", PNG + b"\0")
    bot("editMessageMedia", {"new": other}, chat_id=7, message_id=1, media=media)
    assert conversation.messages[1].content.text == "new"
    again = {"chat_id": 7, "message_id": 1, "media": media}
    with pytest.raises(BotApiError, match="message is not modified"):
        bot("editMessageMedia", {"new": other}, **again)
    bot("editMessageCaption", chat_id=7, message_id=1, caption="newer")
    assert page_json(conversation.messages[1])["file"]["width"] == 800


def test_captions_end_at_1024_characters(bot: Bot_) -> None:
    assert bot("sendPhoto", {"photo": PICTURE}, chat_id=7, caption="x" * 1024)
    with pytest.raises(BotApiError, match="caption is too long"):
        bot("sendPhoto", {"photo": PICTURE}, chat_id=7, caption="x" * 1025)


def test_album_with_one_bad_item_sends_nothing(bot: Bot_, conversation: Conversation) -> None:
    good = {"type": "photo", "media": "attach://a"}
    for bad in ({"type": "moon"}, {"type": "photo", "media": "nowhere"}, 5):
        with pytest.raises(BotApiError):
            bot("sendMediaGroup", {"a": PICTURE}, chat_id=7, media=[good, bad])
    with pytest.raises(BotApiError, match="2-10"):
        bot("sendMediaGroup", {"a": PICTURE}, chat_id=7, media=[good])
    assert not conversation.messages


@pytest.mark.parametrize("kind", ["Document", "Video", "Animation", "Audio", "Voice", "Sticker"])
def test_every_file_kind_is_sent(bot: Bot_, kind: str) -> None:
    upload = Upload("a.bin", "application/octet-stream", b"abc")
    sent = bot(f"send{kind}", {kind.lower(): upload}, chat_id=7)
    assert bot("getFile", file_id=sent[kind.lower()]["file_id"])["file_size"] == 3


def test_messages_are_deleted_for_two_days(
    bot: Bot_, conversation: Conversation, clock: HandClock
) -> None:
    for text in "abc":
        bot("sendMessage", chat_id=7, text=text)
    bot("pinChatMessage", chat_id=7, message_id=1)
    assert bot("deleteMessage", chat_id=7, message_id=1)
    assert conversation.pins[7] == []
    assert "message to delete not found" in refused(bot, "deleteMessage", chat_id=7, message_id=1)
    assert bot("deleteMessages", chat_id=7, message_ids=[1, 2, 99])
    assert refused(bot, "deleteMessages", chat_id=7, message_ids=[])
    clock.advance(48 * 3600 + 1)
    assert "can't be deleted" in refused(bot, "deleteMessage", chat_id=7, message_id=3)


def test_pins_are_kept_newest_last(bot: Bot_) -> None:
    for text in "ab":
        bot("sendMessage", chat_id=7, text=text)
    bot("pinChatMessage", chat_id=7, message_id=1)
    bot("pinChatMessage", chat_id=7, message_id=2)
    assert bot("getChat", chat_id=7)["pinned_message"]["text"] == "b"
    bot("unpinChatMessage", chat_id=7)
    assert bot("getChat", chat_id=7)["pinned_message"]["text"] == "a"
    assert refused(bot, "unpinChatMessage", chat_id=7, message_id=2)
    bot("unpinAllChatMessages", chat_id=7)
    assert "pinned_message" not in bot("getChat", chat_id=7)


def test_messages_are_copied_and_forwarded(bot: Bot_, conversation: Conversation) -> None:
    playing.write(conversation, 8, 8, "from 8")
    source = {"chat_id": 7, "from_chat_id": 8, "message_id": 1}
    assert bot("copyMessage", **source) == {"message_id": 2}
    forwarded = bot("forwardMessage", **source)
    assert forwarded["forward_origin"]["sender_user"]["id"] == 8
    bot("sendMessage", chat_id=8, text="secret", protect_content=True)
    assert "protected content" in refused(bot, "copyMessage", **{**source, "message_id": 4})


def test_bot_knows_and_presents_itself(bot: Bot_) -> None:
    assert bot("getMe")["is_bot"] is True
    assert bot("GETME")["id"] == 42
    assert bot("setMyName", name="Night")
    assert bot("getMyName") == {"name": "Night"}
    assert bot("getMyName", language_code="de") == {"name": "Night"}
    assert bot("getMyDescription") == {"description": ""}
    assert refused(bot, "setMyName", name="x" * 65)
    assert bot("getChatMenuButton") == {"type": "commands"}
    assert bot("setChatMenuButton", menu_button={"type": "default"})
    assert bot("getChatMenuButton", chat_id=7) == {"type": "default"}
    assert refused(bot, "setChatMenuButton", menu_button={"type": "moon"})
    assert bot("logOut") is True
    assert bot("close") is True


def test_members_and_groups(bot: Bot_, conversation: Conversation) -> None:
    playing.write(conversation, 8, -100123, "a")
    assert bot("getChat", chat_id=-100123)["type"] == "supergroup"
    assert bot("getChatMember", chat_id=-100123, user_id=8)["status"] == "member"
    assert bot("getChatMember", chat_id=-100123, user_id=42)["user"]["is_bot"]
    conversation.person(9)
    assert bot("getChatMember", chat_id=-100123, user_id=9)["status"] == "left"
    assert refused(bot, "getChatMember", chat_id=-100123, user_id=10)
    assert bot("getChatMemberCount", chat_id=-100123) == 2
    assert bot("getChatAdministrators", chat_id=-100123) == []
    assert refused(bot, "getChatAdministrators", chat_id=8)
    assert refused(bot, "leaveChat", chat_id=8)
    assert bot("leaveChat", chat_id=-100123)
    assert refused(bot, "sendMessage", chat_id=-100123, text="a").startswith("Forbidden")


def test_small_things(bot: Bot_, conversation: Conversation) -> None:
    told: list[dict[str, Any]] = []
    conversation.listeners.append(told.append)
    assert bot("sendChatAction", chat_id=7, action="typing")
    assert told[-1] == {"type": "typing", "chat_id": 7, "action": "typing"}
    assert refused(bot, "sendChatAction", chat_id=7, action="sleeping")
    bot("sendMessage", chat_id=7, text="a")
    emoji = [{"type": "emoji", "emoji": "👍"}]
    assert bot("setMessageReaction", chat_id=7, message_id=1, reaction=emoji)
    assert conversation.messages[1].reaction == "👍"
    assert conversation.messages[1].edits == 0
    assert bot("getUserProfilePhotos", user_id=7)["total_count"] == 0
    assert refused(bot, "getFile", file_id="x")
    assert refused(bot, "answerCallbackQuery", callback_query_id="x", text="y" * 201)
    with pytest.raises(BotApiError) as error:
        bot("makeCoffee")
    assert error.value.code == 404
