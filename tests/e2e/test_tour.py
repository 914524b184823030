"""The README's tour, typed into `umbra demo`, and the ways a demo ends."""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
READY_S = 30
SOLD_S = 90


def tour() -> list[str]:
    """Return the commands of the README's tour, as it is printed there."""
    text = README.read_text()
    block = text.split("The five-line tour:")[1].split("```")[1]
    return [line.split("  ")[0] for line in block.splitlines() if line.startswith("/")]


@asynccontextmanager
async def demo(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running demo and the one line that it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "demo", *options),
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = (await process.stdout.readline()).decode()
        yield process, line
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def phone(line: str, folder: Path) -> World:
    """A phone on the demo's chat."""
    found = ADDRESS.search(line)
    assert found, line
    world = World(folder)
    world.chat = found[0]
    return world


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
        assert "Sold 0.1 BTC" in (await world.answer("/history", "BTC"))["text"].replace(
            "sold", "Sold"
        ) or await world.count("Sold 0.1 BTC")
        assert "HALTED" in (await world.answer("/status", "Equity"))["text"]


async def _travel(world: World, command: str) -> None:
    answer = await world.ask(command)
    if command.startswith("/chart"):
        assert answer["media"]["kind"] == "photo"
        # The market of the demo turns by itself.
        async with asyncio.timeout(SOLD_S):
            while not await world.count("Sold 0.1 BTC"):
                await asyncio.sleep(0.1)
    if any(text.endswith("Confirm") for row in answer["buttons"] for text in row):
        await world.press(answer, "Confirm")
        await world.until_edited(answer)


async def test_a_second_demo_takes_free_ports(tmp_path: Path) -> None:
    with socket.socket() as exchange, socket.socket() as chat:
        for taken, port in ((exchange, 8090), (chat, 8091)):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody else has it already, which is as good
            taken.listen()
        async with demo() as (_, line), aiohttp.ClientSession() as session:
            world = phone(line, tmp_path)
            assert not world.chat.endswith((":8090", ":8091"))
            world.session = session
            assert "Equity" in (await world.answer("/status", "Equity"))["text"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_everything_ends_with_the_demo(number: signal.Signals) -> None:
    async with demo() as (process, line):
        children = descendants(process.pid)
        assert len(children) == 3, line
        process.send_signal(number)
        await process.wait()
        deadline = time.monotonic() + 20
        while alive := [pid for pid in children if is_alive(pid)]:
            assert time.monotonic() < deadline, f"still there: {alive}"
            await asyncio.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.getpid() != pid
