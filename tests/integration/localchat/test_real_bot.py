"""An unmodified python-telegram-bot works against the local chat."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from telegram import (
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputMediaPhoto,
    Update,
)
from telegram.error import BadRequest, Conflict, Forbidden, NetworkError, RetryAfter
from telegram.ext import Application, CallbackQueryHandler, CommandHandler, ContextTypes

from tests.integration.localchat.conftest import Phone

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
AnyApplication = Application[Any, Any, Any, Any, Any, Any]
Context = ContextTypes.DEFAULT_TYPE


async def test_command_is_answered(phone: Phone, application: AnyApplication) -> None:
    async def status(update: Update, _context: Context) -> None:
        assert update.message is not None
        await update.message.reply_html("<b>All well</b> &amp; <code>flat</code>")

    application.add_handler(CommandHandler("status", status))
    sent = await phone.send("/status")
    answer = await phone.from_bot(after=sent)
    assert answer["text"] == "All well & flat"
    assert answer["buttons"] == []
    assert answer["media"] is None
    assert answer["edits"] == 0


async def test_pressed_button_is_answered_and_its_message_edited(
    phone: Phone, application: AnyApplication
) -> None:
    async def ask(update: Update, _context: Context) -> None:
        assert update.message is not None
        row = [
            InlineKeyboardButton("✅ Confirm", callback_data="yes"),
            InlineKeyboardButton("Cancel", callback_data="no"),
        ]
        await update.message.reply_text("Sell?", reply_markup=InlineKeyboardMarkup([row]))

    async def pressed(update: Update, _context: Context) -> None:
        query = update.callback_query
        assert query is not None
        await query.answer(f"got {query.data}", show_alert=True)
        await query.edit_message_text("Sold")

    application.add_handler(CommandHandler("sell", ask))
    application.add_handler(CallbackQueryHandler(pressed))
    sent = await phone.send("/sell")
    card = await phone.from_bot(after=sent)
    assert card["buttons"] == [["✅ Confirm", "Cancel"]]
    answer = await phone.press(card["message_id"], "Confirm")
    assert answer["answer"] == {"text": "got yes", "show_alert": True, "url": ""}
    for _ in range(100):
        edited = await phone.from_bot(after=sent)
        if edited["edits"]:
            break
    assert (edited["text"], edited["edits"], edited["buttons"]) == ("Sold", 1, [])


async def test_picture_document_and_album_come_through(
    phone: Phone, application: AnyApplication
) -> None:
    bot = application.bot
    picture = await bot.send_photo(7, PNG, caption="<i>chart</i>", parse_mode="HTML")
    assert picture.photo[0].width == 1
    document = await bot.send_document(7, b"a,b\n1,2\n", filename="orders.csv")
    assert document.document is not None
    again = await bot.send_document(7, document.document.file_id)
    album = await bot.send_media_group(7, [InputMediaPhoto(PNG), InputMediaPhoto(PNG)])
    assert len(album) == 2
    changed = await bot.edit_message_media(
        InputMediaPhoto(PNG, caption="new"), chat_id=7, message_id=picture.message_id
    )
    assert not isinstance(changed, bool)
    shown = await phone.get("/client/messages", chat_id=7)
    assert shown[0]["text"] == "new"
    assert shown[0]["media"]["kind"] == "photo"
    assert await phone.download(shown[0]["media"]["url"]) == PNG
    assert shown[1]["media"]["kind"] == "document"
    assert await phone.download(shown[1]["media"]["url"]) == b"a,b\n1,2\n"
    assert again.document is not None
    file = await bot.get_file(again.document.file_id)
    assert bytes(await file.download_as_bytearray()) == b"a,b\n1,2\n"


async def test_limits_and_refusals_are_telegrams(phone: Phone, application: AnyApplication) -> None:
    bot = application.bot
    message = await bot.send_message(7, "a")
    with pytest.raises(BadRequest, match="Message is too long"):
        await bot.send_message(7, "x" * 4097)
    with pytest.raises(BadRequest, match="Message text is empty"):
        await bot.send_message(7, "  ")
    with pytest.raises(BadRequest, match="Can't parse entities"):
        await bot.send_message(7, "<b>open", parse_mode="HTML")
    with pytest.raises(BadRequest, match="caption is too long"):
        await bot.send_photo(7, PNG, caption="x" * 1025)
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("a", 7, message.message_id)
    with pytest.raises(BadRequest, match="Message to edit not found"):
        await bot.edit_message_text("b", 7, 999)
    too_long = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="é" * 33)]])
    with pytest.raises(BadRequest, match="Button_data_invalid"):
        await bot.send_message(7, "b", reply_markup=too_long)
    await phone.post("/client/fault", {"kind": "block", "args": {"user_id": 7}})
    with pytest.raises(Forbidden, match="blocked by the user"):
        await bot.send_message(7, "c")


async def test_burst_beyond_the_limit_is_told_to_wait(application: AnyApplication) -> None:
    async def send_many() -> None:
        for number in range(25):
            await application.bot.send_message(7, f"{number}")

    with pytest.raises(RetryAfter) as told:
        await send_many()
    assert told.value.retry_after == timedelta(seconds=1)


async def test_commands_menu_is_kept(phone: Phone, application: AnyApplication) -> None:
    await application.bot.set_my_commands([BotCommand("status", "How things stand")])
    assert [c.command for c in await application.bot.get_my_commands()] == ["status"]
    history = await phone.get("/client/history", chat_id=7)
    assert history["commands"] == [{"command": "status", "description": "How things stand"}]


async def test_ordered_faults_reach_the_bot_and_are_counted(
    phone: Phone, application: AnyApplication
) -> None:
    bot = application.bot
    await phone.fault("drop", method="sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(7, "lost")
    await phone.fault("timeout_after_accept", method="sendMessage")
    with pytest.raises(NetworkError):
        await bot.send_message(7, "delivered, but the bot does not know")
    await phone.fault("error", method="sendMessage", code=429, retry_after=3)
    with pytest.raises(RetryAfter):
        await bot.send_message(7, "later")
    await phone.fault("conflict", method="sendMessage")
    with pytest.raises(Conflict):
        await bot.send_message(7, "who else")
    shown = [message["text"] for message in await phone.get("/client/messages", chat_id=7)]
    assert shown == ["delivered, but the bot does not know"]
    assert await phone.fired() == 4
