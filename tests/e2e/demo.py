"""`umbra demo` as a process, and the tour that the README prints."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.world import World

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/?")
# Four interpreters start one after the other, here beside five more tests.
READY_S = 90
# Each part of an agent's end has a deadline of its own, 10 s at most; exchange and chat are gone
# here before it ends.
ENDED_S = 40


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
        stderr=asyncio.subprocess.PIPE,
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
    """A phone on the chat of the demo that printed a line."""
    found = ADDRESS.search(line)
    assert found, line
    world = World(folder)
    world.chat = found[0].rstrip("/")
    return world


def descendants(pid: int) -> dict[int, list[str]]:
    """Return the children of a process, each with its command line."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        int(child): Path(f"/proc/{child}/cmdline").read_text().split("\0") for child in children
    }


async def all_ended(processes: Mapping[int, list[str]]) -> None:
    """Wait until none of them is there; fails with the command lines of those that stay."""
    deadline = time.monotonic() + ENDED_S
    while alive := [words for pid, words in processes.items() if _is_alive(pid)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        await asyncio.sleep(0.05)


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and os.getpid() != pid
