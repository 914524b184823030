"""The README's tour, typed into `umbra demo`, and the ways a demo ends."""

import asyncio
import os
import signal
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.demo import ADDRESS, demo, tour
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SOLD_S = 90
# Each part of an agent's end has a deadline of its own, 10 s at most; exchange and chat are gone
# here before it ends.
ENDED_S = 40


def phone(line: str, folder: Path) -> World:
    """A phone on the demo's chat."""
    found = ADDRESS.search(line)
    assert found, line
    world = World(folder)
    world.chat = found[0].rstrip("/")
    return world


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


async def test_a_second_demo_takes_free_ports_and_ends_when_asked_to(tmp_path: Path) -> None:
    with socket.socket() as exchange, socket.socket() as chat:
        for taken, port in ((exchange, 8090), (chat, 8091)):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody else has it already, which is as good
            taken.listen()
        async with demo() as (process, line), aiohttp.ClientSession() as session:
            world = phone(line, tmp_path)
            assert not world.chat.endswith((":8090", ":8091"))
            world.session = session
            assert "Equity" in (await world.answer("/status", "Equity"))["text"]
            await _ends_wholly(process, signal.SIGTERM)


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
        exchange = next(pid for pid in descendants(process.pid) if "sim" in words_of(pid))
        os.kill(exchange, signal.SIGKILL)
        async with asyncio.timeout(ENDED_S):
            code = await process.wait()
        assert code == 2, line
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
        assert "the exchange of the demo has ended (exit code -9)" in said


async def _ends_wholly(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a demo, and wait until nothing of it is left."""
    children = {pid: words_of(pid) for pid in descendants(process.pid)}
    assert len(children) == 3, children
    process.send_signal(number)
    await process.wait()
    deadline = time.monotonic() + ENDED_S
    while alive := [words for pid, words in children.items() if is_alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        await asyncio.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def words_of(pid: int) -> list[str]:
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.getpid() != pid
