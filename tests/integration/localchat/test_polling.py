"""Long polling: waiting, confirming, and what happens to the older of two pollers."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.integration.localchat.conftest import TOKEN, Phone


async def updates(phone: Phone, **params: Any) -> list[dict[str, Any]]:
    status, body = await phone.bot("getUpdates", **params)
    assert status == 200, body
    return list(body["result"])


async def test_waiting_poll_is_woken_by_a_message(phone: Phone) -> None:
    waiting = asyncio.create_task(updates(phone, timeout=20))
    await phone.send("/status")
    (update,) = await waiting
    assert update["message"]["text"] == "/status"


async def test_poll_without_news_ends_when_its_time_is_up(phone: Phone) -> None:
    assert await updates(phone, timeout=1) == []


async def test_update_is_given_until_the_next_offset_confirms_it(phone: Phone) -> None:
    await phone.send("a")
    await phone.send("b")
    first = await updates(phone)
    assert [u["message"]["text"] for u in first] == ["a", "b"]
    assert await updates(phone, offset=first[0]["update_id"]) == first
    assert await updates(phone, offset=first[1]["update_id"]) == first[1:]
    assert await updates(phone) == first[1:]
    assert await updates(phone, offset=-1, limit=1) == first[1:]
    assert await updates(phone, offset=first[1]["update_id"] + 1) == []


async def test_older_poller_is_told_of_the_conflict(phone: Phone) -> None:
    older = asyncio.create_task(phone.bot("getUpdates", timeout=20))
    while (await phone.get("/client/state"))["polls"] < 1:
        await asyncio.sleep(0.01)
    newer = asyncio.create_task(phone.bot("getUpdates", timeout=20))
    status, body = await older
    assert status == 409
    assert body["description"].startswith("Conflict: terminated by other getUpdates request")
    await phone.send("a")
    assert (await newer)[0] == 200


async def test_allowed_updates_hold_until_changed(phone: Phone) -> None:
    await updates(phone, allowed_updates=["callback_query"])
    await phone.send("unseen")
    assert await updates(phone) == []
    await updates(phone, allowed_updates=[])
    await phone.send("seen")
    assert len(await updates(phone)) == 1


async def test_update_is_given_twice_when_a_test_orders_it(phone: Phone) -> None:
    await phone.fault("duplicate_update")
    await phone.send("/buy")
    (first,) = await updates(phone)
    offset = first["update_id"] + 1
    assert await updates(phone, offset=offset) == [first]
    assert await updates(phone, offset=offset) == []
    await phone.fault("duplicate_update", which="last")
    assert await updates(phone, offset=offset) == [first]


async def test_raw_update_of_any_kind_reaches_the_bot(phone: Phone) -> None:
    status, body = await phone.post("/client/update", {"channel_post": {"message_id": 1}})
    assert (status, body["queued"]) == (200, True)
    assert await updates(phone) == [
        {"update_id": body["update_id"], "channel_post": {"message_id": 1}}
    ]


async def test_tokens_and_methods_are_checked(phone: Phone) -> None:
    assert (await phone.bot("getMe", token="4242:OTHER"))[0] == 401
    assert (await phone.bot("getMe", token="nonsense"))[0] == 404
    assert (await phone.bot("makeCoffee"))[0] == 404
    status, body = await phone.bot("getMe")
    assert (status, body["result"]["id"], body["result"]["is_bot"]) == (200, 4242, True)


@pytest.mark.parametrize("kind", ["drop", "down", "timeout_after_accept"])
async def test_connection_is_cut(phone: Phone, kind: str) -> None:
    await phone.fault(kind)
    with pytest.raises(aiohttp.ClientConnectionError):
        await phone.bot("sendMessage", chat_id=7, text="a")
    shown = await phone.get("/client/messages", chat_id=7)
    assert len(shown) == (1 if kind == "timeout_after_accept" else 0)
    assert await phone.fired() == 1


async def test_waiting_poll_is_hit_by_a_fault(phone: Phone) -> None:
    waiting = asyncio.create_task(phone.bot("getUpdates", timeout=20))
    while (await phone.get("/client/state"))["polls"] < 1:
        await asyncio.sleep(0.01)
    await phone.fault("conflict")
    assert (await waiting)[0] == 409
    assert await phone.fired() == 1


async def test_slow_broken_and_revoked_answers(phone: Phone) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await phone.fault("delay", ms=150)
    assert (await phone.bot("getMe"))[0] == 200
    assert loop.time() - begin >= 0.15
    await phone.fault("unauthorized")
    assert (await phone.bot("getMe"))[0] == 401
    await phone.fault("malformed")
    with pytest.raises(aiohttp.ContentTypeError):
        await phone.bot("getMe")
    await phone.fault("error", times=9, code=502)
    assert (await phone.bot("getMe"))[0] == 502
    async with aiohttp.ClientSession() as session:
        await session.delete(f"{phone.url}/client/faults")
    assert (await phone.bot("getMe"))[0] == 200
    assert await phone.fired() == 4


async def test_parameters_are_read_from_every_kind_of_body(phone: Phone) -> None:
    url = f"{phone.url}/bot{TOKEN}/sendMessage"
    keys = '{"inline_keyboard":[[{"text":"a","callback_data":"1"}]]}'
    fields = {"chat_id": "7", "text": "ä 🟢", "reply_markup": keys}
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    async with aiohttp.ClientSession() as session:
        for request in (
            session.post(url, data=fields),
            session.post(url, json=fields),
            session.post(url, data=form),
            session.get(url, params=fields),
        ):
            async with request as response:
                body = await response.json()
                assert body["ok"], body
    shown = await phone.get("/client/messages", chat_id=7)
    assert [(m["text"], m["buttons"]) for m in shown] == [("ä 🟢", [["a"]])] * 4
