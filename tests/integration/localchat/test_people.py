"""The people's JSON: what tests and the page send and see."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from bot.clock import SystemClock
from bot.localchat import build_app, run, serving
from tests.integration.localchat.conftest import TOKEN, Phone
from tests.integration.localchat.test_real_bot import PNG

KEYS = {"inline_keyboard": [[{"text": "Confirm", "callback_data": "y"}]]}


async def test_messages_after_an_id_are_shown_in_their_present_state(phone: Phone) -> None:
    first = await phone.send("one")
    await phone.bot(
        "sendMessage", chat_id=7, text="<b>two</b>", parse_mode="HTML", reply_markup=KEYS
    )
    await phone.bot("editMessageText", chat_id=7, message_id=first + 1, text="2")
    (shown,) = await phone.get("/client/messages", chat_id=7, after=first)
    assert set(shown) == {"message_id", "from", "text", "buttons", "media", "edits", "date"}
    assert (shown["text"], shown["buttons"], shown["edits"]) == ("2", [], 1)


async def test_ids_are_unique_across_chats(phone: Phone) -> None:
    ids = [await phone.send("a", user_id=user_id) for user_id in (1, 2, 3, 1)]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)


async def test_message_can_be_awaited(phone: Phone) -> None:
    waiting = asyncio.create_task(phone.get("/client/messages", chat_id=7, after=0, wait_ms=20_000))
    await phone.bot("sendMessage", chat_id=7, text="here")
    assert [message["text"] for message in await waiting] == ["here"]


async def test_press_tells_what_the_bot_answered(phone: Phone) -> None:
    _, sent = await phone.bot("sendMessage", chat_id=7, text="?", reply_markup=KEYS)
    pressing = asyncio.create_task(phone.press(sent["result"]["message_id"], "Confirm"))
    _, polled = await phone.bot("getUpdates", timeout=10)
    query_id = polled["result"][0]["callback_query"]["id"]
    await phone.bot("answerCallbackQuery", callback_query_id=query_id, text="done")
    assert await pressing == {
        "ok": True,
        "query_id": query_id,
        "answered": True,
        "answer": {"text": "done", "show_alert": False, "url": ""},
    }


async def test_a_press_returns_at_once_unless_told_to_wait(phone: Phone) -> None:
    _, sent = await phone.bot("sendMessage", chat_id=7, text="?", reply_markup=KEYS)
    body = {"user_id": 7, "message_id": sent["result"]["message_id"], "text": "Confirm"}
    async with asyncio.timeout(2):
        status, answer = await phone.post("/client/press", body)
    assert (status, answer["answered"]) == (200, False)


async def test_press_without_an_answering_bot_ends_soon(phone: Phone) -> None:
    _, sent = await phone.bot("sendMessage", chat_id=7, text="?", reply_markup=KEYS)
    body = {
        "user_id": 9,
        "message_id": sent["result"]["message_id"],
        "text": "Confirm",
        "wait_ms": 50,
    }
    status, answer = await phone.post("/client/press", body)
    assert (status, answer["answered"], answer["answer"]) == (200, False, None)
    # A stranger's press is delivered all the same: keeping it out is the bot's duty.
    _, polled = await phone.bot("getUpdates")
    assert polled["result"][0]["callback_query"]["from"]["id"] == 9


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("send", {"user_id": 7}, "text should be text, was NoneType"),
        ("send", {"user_id": "x", "text": "a"}, "user_id should be a whole number, was 'x'"),
        ("send", {"user_id": 7, "chat_id": 0, "text": "a"}, "chat_id should be a number other"),
        ("send", {"user_id": 7, "text": ""}, "text should not be empty"),
        ("send", [], "body should be a JSON object, was list"),
        ("press", {"user_id": 7, "message_id": 1, "text": "a"}, "there is no message 1"),
        ("fault", {"kind": "earthquake"}, "kind should be one of"),
        ("fault", {"kind": "drop", "times": 0}, "times should be from 1"),
        ("fault", {"kind": "block"}, "user_id should be a whole number"),
        ("fault", {"kind": "block", "args": [1]}, "args should be a JSON object"),
        ("update", {"update": 5}, "update should be a JSON object"),
        ("limits", {"chat_burst": "x"}, "limits are numbers"),
        ("person", {"user_id": 7, "name": " "}, "name should not be empty"),
    ],
)
async def test_wrong_requests_are_explained(phone: Phone, path: str, body: Any, words: str) -> None:
    status, answer = await phone.post(f"/client/{path}", body)
    assert 400 <= status < 500
    assert answer["ok"] is False
    assert words in answer["error"]


async def test_people_are_named_and_listed(phone: Phone) -> None:
    await phone.post("/client/person", {"user_id": 3, "name": "Jo", "username": "jo_x"})
    await phone.send("a", user_id=3)
    state = await phone.get("/client/state")
    assert state["people"] == [
        {"user_id": 3, "name": "Jo", "username": "jo_x", "has_blocked_bot": False}
    ]
    _, polled = await phone.bot("getUpdates")
    assert polled["result"][0]["message"]["from"]["username"] == "jo_x"


async def test_limits_can_be_set(phone: Phone) -> None:
    await phone.post("/client/limits", {"chat_burst": 1, "chat_per_second": 0.5})
    assert (await phone.bot("sendMessage", chat_id=7, text="a"))[0] == 200
    status, body = await phone.bot("sendMessage", chat_id=7, text="b")
    assert (status, body["parameters"]) == (429, {"retry_after": 2})


async def test_person_sends_a_picture_and_a_file(phone: Phone) -> None:
    async with aiohttp.ClientSession() as session:
        for name, mime, content in (
            ("a.png", "image/png", PNG),
            ("b.csv", "text/csv", b"a,b"),
            ("c.png", "image/png", b"no picture"),
        ):
            form = aiohttp.FormData({"user_id": "7", "caption": "/chart"})
            form.add_field("file", content, filename=name, content_type=mime)
            async with session.post(f"{phone.url}/client/upload", data=form) as response:
                assert response.status == (200 if content != b"no picture" else 400)
        async with session.post(f"{phone.url}/client/upload", json={"user_id": 7}) as response:
            assert response.status == 400
    _, polled = await phone.bot("getUpdates")
    photo, document = (update["message"] for update in polled["result"])
    assert photo["caption"] == "/chart"
    assert photo["photo"][0]["width"] == 1
    assert document["document"]["file_name"] == "b.csv"


async def test_changes_are_streamed_to_the_page(phone: Phone) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{phone.url}/client/events") as stream,
    ):
        await stream.content.readuntil(b"\n\n")
        await phone.bot("sendMessage", chat_id=7, text="hello", disable_notification=True)
        kinds, message = [], None
        while message is None:
            event = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 10)
            change = orjson.loads(event.removeprefix(b"data: "))
            kinds.append(change["type"])
            message = change.get("message")
    assert (message["text"], message["silent"]) == ("hello", True)


async def test_page_comes_with_its_parts_and_nothing_from_elsewhere(phone: Phone) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(phone.url) as response:
            page = await response.text()
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "http://" not in page
        assert "https://" not in page
        for name in ("chat.css", "chat.js", "render.js", "icon.svg"):
            async with session.get(f"{phone.url}/page/{name}") as response:
                assert response.status == 200
        async with session.get(f"{phone.url}/page/secret.js") as response:
            assert response.status == 404


async def test_other_web_pages_and_other_names_are_refused(phone: Phone) -> None:
    body = {"user_id": 7, "text": "/panic"}
    async with aiohttp.ClientSession() as session:
        for headers in (
            {"Origin": "http://elsewhere.example"},
            {"Origin": "null"},
            {"Host": "rebound.example"},
            {"Host": "[broken"},
        ):
            url = f"{phone.url}/client/send"
            async with session.post(url, json=body, headers=headers) as response:
                assert response.status in {400, 403}
        own = {"Origin": phone.url}
        async with session.post(f"{phone.url}/client/send", json=body, headers=own) as response:
            assert response.status == 200


async def test_too_large_bodies_are_refused(phone: Phone) -> None:
    body = b'{"user_id": 7, "text": "' + b"x" * 2**21 + b'"}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for begin in range(0, len(body), 2**16):
            yield body[begin : begin + 2**16]

    async with aiohttp.ClientSession() as session:
        for data in (io.BytesIO(body), in_pieces()):
            async with session.post(f"{phone.url}/client/send", data=data) as response:
                assert response.status == 413
                assert (await response.json())["ok"] is False


async def test_listening_beyond_this_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="this machine only, host was"):
        async with serving(build_app(None, SystemClock()), "0.0.0.0", 0):
            pass


async def test_without_a_token_any_well_formed_one_is_accepted() -> None:
    app = build_app(None, SystemClock())
    async with serving(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        phone = Phone(url, session)
        _, body = await phone.bot("getMe", token="77:any-thing_goes")
        assert body["result"]["id"] == 77
        _, sent = await phone.bot("sendMessage", token="77:x", chat_id=1, text="a")
        assert sent["result"]["from"]["id"] == 77
        # Ids begin where the clock says, so that they never repeat those of an earlier server.
        assert sent["result"]["message_id"] > 1_000_000


async def test_server_runs_until_cancelled_and_tells_its_address() -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    serving_task = asyncio.create_task(run(0, TOKEN, SystemClock(), on_ready=ready.put_nowait))
    url = await asyncio.wait_for(ready.get(), 10)
    async with aiohttp.ClientSession() as session:
        status, _ = await Phone(url, session).bot("getMe")
    serving_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving_task
    assert status == 200


async def test_page_that_follows_is_let_go_when_the_server_stops() -> None:
    app = build_app(TOKEN, SystemClock())
    async with aiohttp.ClientSession() as session:
        async with serving(app, "127.0.0.1", 0) as url:
            stream = await session.get(f"{url}/client/events")
            poll = asyncio.create_task(Phone(url, session).bot("getUpdates", timeout=50))
            while (await Phone(url, session).get("/client/state"))["polls"] < 1:
                await asyncio.sleep(0.01)
        assert (await poll)[1] == {"ok": True, "result": []}
        assert (await stream.read()).startswith(b"retry:")
        stream.close()
