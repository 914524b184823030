"""A forked start is a process like an executed one: its environment, its output, its end."""

import asyncio
import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest

from bot.cli import version
from tests.announced import address_in
from tests.forking.ahead import MINUTES, minutes_to_noon
from tests.forking.process import ForkedProcess, start

pytestmark = pytest.mark.slow

DEADLINE_S = 30


async def _started(output: Path, *arguments: str, **environment: str) -> ForkedProcess:
    with output.open("ab") as file:
        return await start(arguments, {**os.environ, **environment}, file)


async def _until_said(output: Path, words: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while words not in output.read_text():
            await asyncio.sleep(0.02)


async def test_output_and_exit_code_are_those_of_the_command(tmp_path: Path) -> None:
    done, refused = tmp_path / "done", tmp_path / "refused"
    assert await (await _started(done, "version")).wait() == 0
    assert done.read_text() == f"umbra {version()}\n"
    assert await (await _started(refused, "health", "--nonsense")).wait() == 2
    assert "No such option" in refused.read_text()


async def test_each_fork_has_the_environment_it_was_given(tmp_path: Path) -> None:
    for name in ("one", "two"):
        output = tmp_path / name
        process = await _started(output, "run", UMBRA_MODE=name)
        assert await process.wait() == 2
        assert f"was '{name}'" in output.read_text()


async def test_a_fork_ends_by_the_signal_it_was_sent_and_others_live_on(tmp_path: Path) -> None:
    outputs = [tmp_path / "killed", tmp_path / "ended"]
    killed, ended = [await _started(output, "chat", "--port", "0") for output in outputs]
    for output in outputs:
        await _until_said(output, "Local chat on")
    assert killed.pid != ended.pid
    killed.kill()
    assert await killed.wait() == killed.returncode == -signal.SIGKILL
    assert ended.returncode is None
    ended.terminate()
    assert await ended.wait() == 0
    with pytest.raises(ProcessLookupError):
        ended.kill()


async def test_the_time_of_a_fork_is_ahead_by_whole_minutes_and_runs_on(tmp_path: Path) -> None:
    output = tmp_path / "ahead"
    ahead = {MINUTES: str(minutes_to_noon(time.time()))}
    exchange = await _started(output, "sim", "--port", "0", "--still", **ahead)
    await _until_said(output, "Simulated exchange on")
    address = address_in(output.read_text())
    async with aiohttp.ClientSession() as session, session.get(f"{address}/api/v3/time") as reply:
        told_s = (await reply.json())["serverTime"] / 1000
    of_day_s = told_s % (24 * 3600)
    # It was asked for a moment later, which may be in the next minute.
    assert 12 * 3600 <= of_day_s < 12 * 3600 + 60 + DEADLINE_S
    exchange.terminate()
    assert await exchange.wait() == 0
