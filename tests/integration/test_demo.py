"""The demo in this process, with its three in theirs: what the command itself does is counted."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from bot.demo import DemoSettings, run
from tests.e2e.demo import READY_S, all_ended, descendants, phone


@pytest.mark.long
@pytest.mark.timeout(150)
async def test_a_second_demo_takes_free_ports_and_ends_when_asked_to(tmp_path: Path) -> None:
    before = descendants(os.getpid())
    said: asyncio.Queue[str] = asyncio.Queue()
    with socket.socket() as exchange, socket.socket() as chat:
        for taken in (exchange, chat):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        exchange_port, chat_port = (taken.getsockname()[1] for taken in (exchange, chat))
        settings = DemoSettings(exchange_port=exchange_port, chat_port=chat_port)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run(settings, said.put_nowait))
            async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
                world = phone(await said.get(), tmp_path)
                assert not world.chat.endswith(f":{chat_port}")
                world.session = session
                assert "Equity" in (await world.answer("/status", "Equity"))["text"]
            now = descendants(os.getpid())
            children = {pid: words for pid, words in now.items() if pid not in before}
            assert len(children) == 3, children
            os.kill(os.getpid(), signal.SIGTERM)
            await running
    await all_ended(children)
