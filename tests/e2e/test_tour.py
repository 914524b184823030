"""The README's tour, typed into `umbra demo`, and the ways a demo ends."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.demo import ENDED_S, all_ended, demo, descendants, phone, tour
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SOLD_S = 90


@pytest.mark.alone
async def test_the_tour_of_the_readme_ends_in_a_sale_and_a_halt(tmp_path: Path) -> None:
    commands = tour()
    assert len(commands) <= 5
    assert [command.split()[0] for command in commands][:2] == ["/status", "/track"]
    async with demo() as (_, line), aiohttp.ClientSession() as session:
        world = phone(line, tmp_path)
        world.session = session
        (tmp_path / "run.log").touch()
        for command in commands:
            await _travel(world, command)
        assert "BTC" in (await world.answer("/history", "after fees|round trip|exit"))["text"]
        assert "No managed position" in (await world.answer("/positions", "💼"))["text"]
        assert "HALTED" in (await world.answer("/status", "Equity"))["text"]


async def _travel(world: World, command: str) -> None:
    if command.startswith("/chart"):
        await _see_chart_and_sale(world, await world.say(command))
        return
    answer = await world.ask(command)
    if any(text.endswith("Confirm") for row in answer["buttons"] for text in row):
        await world.press(answer, "Confirm")
        await world.until_edited(answer)


async def _see_chart_and_sale(world: World, asked: int) -> None:
    async def is_seen() -> bool:
        media = [message["media"] for message in await world.messages(asked)]
        return any(one and one["kind"] == "photo" for one in media)

    # The market of the demo turns by itself: what it does may be told before the picture comes.
    await world.until(is_seen, "no chart came")
    async with asyncio.timeout(SOLD_S):
        while not await world.count("Sold 0.1 BTC"):
            await asyncio.sleep(0.1)


async def test_two_demos_at_once_have_servers_of_their_own_and_each_ends_with_its_demo(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        (kept, line), (ended, other) = await asyncio.gather(
            stack.enter_async_context(demo()), stack.enter_async_context(demo())
        )
        world = phone(line, tmp_path)
        assert world.chat != phone(other, tmp_path).chat
        await _ends_wholly(ended, signal.SIGINT)
        world.session = await stack.enter_async_context(aiohttp.ClientSession())
        assert "Equity" in (await world.answer("/status", "Equity"))["text"]
        await _ends_wholly(kept, signal.SIGKILL)


async def test_a_demo_whose_exchange_dies_says_so_and_ends() -> None:
    async with demo() as (process, line):
        exchange = next(pid for pid, words in descendants(process.pid).items() if "sim" in words)
        os.kill(exchange, signal.SIGKILL)
        async with asyncio.timeout(ENDED_S):
            code = await process.wait()
        assert code == 2, line
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
        assert "the exchange of the demo has ended (exit code -9)" in said


async def _ends_wholly(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a demo, and wait until nothing of it is left."""
    children = descendants(process.pid)
    assert len(children) == 3, children
    process.send_signal(number)
    await process.wait()
    await all_ended(children)
