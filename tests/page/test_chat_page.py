"""The chat page works like a phone chat, in a real browser."""

import struct
import zlib
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.page.conftest import ChatServer, OpenPage, keep_picture

pytestmark = [pytest.mark.page, pytest.mark.asyncio(loop_scope="module")]

KEYS = {
    "inline_keyboard": [
        [{"text": "✅ Confirm", "callback_data": "y"}, {"text": "Cancel", "callback_data": "n"}]
    ]
}
CARD = "\n".join(("🟢 <b>Watching</b>", "<pre>" + "1234567890" * 3 + "1234</pre>", "all well"))


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\x40\x30\x80" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def bubbles(page: Page) -> Any:
    return page.locator(".message .bubble")


async def test_typed_text_reaches_the_bot_and_is_ticked_when_read(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page()
    await expect(page.locator("#welcome")).to_be_visible()
    await page.fill("#text", "hello bot")
    await page.keyboard.press("Enter")
    (update,) = await chat.updates()
    assert update["message"]["text"] == "hello bot"
    await expect(page.locator(".message.mine.read")).to_have_count(1)
    await expect(page.locator("#text")).to_have_value("")
    await expect(page.locator("#welcome")).to_be_hidden()


async def test_start_button_begins_the_conversation(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await page.click("#start")
    (update,) = await chat.updates()
    assert update["message"]["text"] == "/start"


async def test_pressed_button_waits_for_the_bot_and_shows_its_answer(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page()
    sent = await chat.bot("sendMessage", chat_id=1, text="Sell 0.5 BTC?", reply_markup=KEYS)
    confirm = page.get_by_role("button", name="Confirm")
    await confirm.click()
    await expect(confirm).to_have_attribute("aria-busy", "true")
    (update,) = await chat.updates()
    query_id = update["callback_query"]["id"]
    await chat.bot("answerCallbackQuery", callback_query_id=query_id, text="On its way")
    await expect(page.locator("#toast")).to_have_text("On its way")
    await chat.bot("editMessageText", chat_id=1, message_id=sent["message_id"], text="Sold")
    await expect(bubbles(page)).to_contain_text("Sold")
    await expect(bubbles(page)).to_contain_text("edited")
    await expect(page.locator(".button")).to_have_count(0)


async def test_alert_stays_until_it_is_closed(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await chat.bot("sendMessage", chat_id=1, text="?", reply_markup=KEYS)
    await page.get_by_role("button", name="Cancel").click()
    (update,) = await chat.updates()
    query_id = update["callback_query"]["id"]
    await chat.bot(
        "answerCallbackQuery", callback_query_id=query_id, text="Not for you", show_alert=True
    )
    await expect(page.locator("#alert-text")).to_have_text("Not for you")
    await page.keyboard.press("Escape")
    await expect(page.locator("#alert")).to_be_hidden()


async def test_markup_is_shown_and_never_run(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    text = (
        "<b>bold</b> <i>it</i> <code>x</code> 🟢<u>u</u> <a href='https://x.org'>link</a>"
        " &lt;img src=x onerror=alert(1)&gt; <tg-spoiler>secret</tg-spoiler> /status"
    )
    await chat.bot("sendMessage", chat_id=1, text=text, parse_mode="HTML")
    bubble = bubbles(page).first
    await expect(bubble.locator("strong")).to_have_text("bold")
    await expect(bubble.locator("u")).to_have_text("u")
    await expect(bubble.locator("a")).to_have_attribute("rel", "noopener noreferrer nofollow")
    await expect(bubble.locator("img")).to_have_count(0)
    await expect(bubble).to_contain_text("<img src=x onerror=alert(1)>")
    await bubble.locator(".spoiler").click()
    await expect(bubble.locator(".spoiler")).to_have_class("spoiler open")
    await bubble.locator(".command").click()
    (update,) = await chat.updates()
    assert update["message"]["text"] == "/status"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_card_of_34_columns_fits_a_phone(
    chat: ChatServer, open_page: OpenPage, scheme: str
) -> None:
    page = await open_page(scheme=scheme)
    await chat.bot("sendMessage", chat_id=1, text=CARD, parse_mode="HTML", reply_markup=KEYS)
    block = page.locator("pre")
    widths = await block.evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert widths[0] <= widths[1]
    page_width = await page.evaluate("document.documentElement.scrollWidth")
    assert page_width <= 390
    await keep_picture(page, f"card_{scheme}")


async def test_an_enlarged_chart_lies_below_the_buttons_on_a_small_phone(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page(width=320, height=568)
    lines = [f"#{number} stop 58000 at 58,000.00" for number in range(20)]
    await chat.picture(png(360, 400), "\n".join(lines))
    await page.get_by_role("button", name="Enlarge").click()
    await expect(page.locator("#viewer-caption")).to_be_in_viewport()
    picture = await page.locator("#viewer img").bounding_box()
    button = await page.locator(".viewer-save").bounding_box()
    assert picture
    assert button
    assert picture["y"] >= button["y"] + button["height"]
    assert picture["y"] + picture["height"] <= 568


async def test_picture_is_enlarged_and_a_document_can_be_kept(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page()
    await chat.picture(png(40, 25), "BTC/USDT 15m")
    await page.get_by_role("button", name="Enlarge: BTC/USDT 15m").click()
    await expect(page.locator("#viewer")).to_be_visible()
    await expect(page.locator("#viewer-caption")).to_have_text("BTC/USDT 15m")
    await page.keyboard.press("Escape")
    await expect(page.locator("#viewer")).to_be_hidden()
    await page.set_input_files(
        "#file", {"name": "orders.csv", "mimeType": "text/csv", "buffer": b"a,b\n"}
    )
    async with page.expect_download() as saved:
        await page.locator("a.file").click()
    assert (await saved.value).suggested_filename == "orders.csv"


async def test_command_menu_filters_while_typing(chat: ChatServer, open_page: OpenPage) -> None:
    names = ("status", "summary", "trackers", "track")
    commands = [{"command": name, "description": f"About {name}"} for name in names]
    page = await open_page()
    await chat.bot("setMyCommands", commands=commands)
    await page.click("#menu")
    options = page.get_by_role("option")
    await expect(options).to_have_count(4)
    await page.fill("#text", "/s")
    await expect(options).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    (update,) = await chat.updates()
    assert update["message"]["text"] == "/summary"
    await expect(options).to_have_count(0)
    await page.fill("#text", "/track")
    await page.keyboard.press("Enter")
    (update,) = await chat.updates()
    assert update["message"]["text"] == "/track"


async def test_several_people_have_their_own_chats(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await page.click("#who")
    sheet = page.locator("#sheet")
    await sheet.get_by_label("Number of the new person").fill("2")
    await sheet.get_by_label("Name of the new person").fill("Jonas")
    await sheet.get_by_label("Add this person").click()
    await expect(sheet).to_be_hidden()
    await page.fill("#text", "I am two")
    await page.click("#send")
    (update,) = await chat.updates()
    assert (update["message"]["from"]["id"], update["message"]["from"]["first_name"]) == (
        2,
        "Jonas",
    )
    await chat.bot("sendMessage", chat_id=1, text="for one")
    await expect(page.locator("#who-badge")).to_have_text("1")
    await expect(bubbles(page)).to_have_count(1)
    await page.goto(f"{chat.url}/?user=1")
    await expect(bubbles(page)).to_contain_text("for one")


async def test_typing_pinning_and_deleting_are_seen(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await chat.bot("sendChatAction", chat_id=1, action="typing")
    await expect(page.locator("#status")).to_have_text("typing…")
    sent = await chat.bot("sendMessage", chat_id=1, text="pin me")
    await expect(page.locator("#status")).to_have_text("online")
    await chat.bot("pinChatMessage", chat_id=1, message_id=sent["message_id"])
    await expect(page.locator("#pinned-text")).to_have_text("pin me")
    await chat.bot("deleteMessage", chat_id=1, message_id=sent["message_id"])
    await expect(bubbles(page)).to_have_count(0)
    await expect(page.locator("#pinned")).to_be_hidden()


async def test_new_messages_are_counted_while_one_reads_above(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page()
    for number in range(30):
        await chat.bot("sendMessage", chat_id=1, text=f"line {number}")
    await expect(bubbles(page)).to_have_count(30)
    await expect(page.locator("#down")).to_be_hidden()
    await page.evaluate("document.getElementById('scroll').scrollTop = 0")
    await expect(page.locator("#down")).to_be_visible()
    await chat.bot("sendMessage", chat_id=1, text="newest")
    await expect(page.locator("#down-badge")).to_have_text("1")
    await page.click("#down")
    await expect(bubbles(page).last).to_be_in_viewport()
    await expect(page.locator("#down")).to_be_hidden()


async def test_hidden_page_counts_in_its_title(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true});"
        "window.away = true"
    )
    await chat.bot("sendMessage", chat_id=1, text="look")
    await expect(page).to_have_title("(1) Umbra")
    await expect(page.locator(".unread")).to_have_count(1)
    await page.evaluate(
        "window.away = false; document.dispatchEvent(new Event('visibilitychange'))"
    )
    await expect(page).to_have_title("Umbra")


async def test_last_message_is_edited_and_answered_from_the_keyboard(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = await open_page()
    await page.fill("#text", "frist")
    await page.keyboard.press("Enter")
    await expect(bubbles(page)).to_have_count(1)
    await page.keyboard.press("ArrowUp")
    await expect(page.locator("#text")).to_have_value("frist")
    await page.fill("#text", "first")
    await page.keyboard.press("Enter")
    await expect(bubbles(page)).to_contain_text("first")
    await bubbles(page).dblclick()
    await expect(page.locator("#context")).to_be_visible()
    await page.fill("#text", "answer")
    await page.keyboard.press("Enter")
    await expect(page.locator(".quote")).to_have_count(1)
    kinds = [next(key for key in update if key != "update_id") for update in await chat.updates()]
    assert kinds == ["message", "edited_message", "message"]


async def test_refusal_is_told_on_the_page(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await page.set_input_files(
        "#file", {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    await expect(page.locator("#toast")).to_contain_text("IMAGE_PROCESS_FAILED")


async def test_desktop_shows_the_phone_in_a_frame(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page(width=1280, height=860)
    await chat.bot("sendMessage", chat_id=1, text=CARD, parse_mode="HTML", reply_markup=KEYS)
    await expect(page.locator(".desk")).to_be_visible()
    box = await page.locator(".phone").bounding_box()
    assert box is not None
    assert 390 <= box["width"] <= 430
    await keep_picture(page, "desktop")


async def test_page_reconnects_by_itself(chat: ChatServer, open_page: OpenPage) -> None:
    page = await open_page()
    await chat.client("disconnect")
    await chat.bot("sendMessage", chat_id=1, text="while you were away")
    await expect(bubbles(page)).to_contain_text("while you were away")
    await expect(page.locator("#status")).to_have_text("online")
