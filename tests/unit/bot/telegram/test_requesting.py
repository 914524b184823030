"""The connections to Telegram: safe ones, whose certificates are read once."""

import asyncio
import contextlib
import ssl
from typing import Any
from unittest import mock

import pytest
from telegram.error import TimedOut

from bot.telegram import requesting
from bot.telegram.requesting import bot_of, may_have_arrived, requests_for
from bot.telegram.settings import TelegramSettings


@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:1/bot"])
def test_both_pools_of_a_bot_read_the_certificates_once_and_check_them(
    base_url: str | None,
) -> None:
    requesting._trusted.cache_clear()
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def noted(*arguments: Any, **named: Any) -> ssl.SSLContext:
        made.append(create(*arguments, **named))
        return made[-1]

    with mock.patch.object(ssl, "create_default_context", noted):
        bot_of(TelegramSettings("4242:token", base_url))
    [context] = made
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 0


async def test_an_answer_that_trickles_in_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requesting, "_CALL_S_MAX", 0.3)
    trickled, ended = 0, asyncio.Event()

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal trickled
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                trickled += 1
                await asyncio.sleep(0.01)
        writer.close()
        ended.set()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/bot"
        async with requests_for(url, "1:x") as asking:
            with pytest.raises(TimedOut) as timed_out:
                await asking.post(url)
        await asyncio.wait_for(ended.wait(), 5)
    assert trickled > 1
    # It was sent: who asked may not send the same again as if it were new.
    assert may_have_arrived(timed_out.value)
