"""`umbra demo` as a process, and the tour that the README prints."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/?")
# Four interpreters start one after the other, here beside five more tests.
READY_S = 90


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
