"""`umbra demo`: exchange, chat and agent as three real processes, owner already paired.

The agent is started again whenever it dies, as a service manager would: killing it is part of the
tour. Nothing here outlives the command, and its data directory goes with it.
"""

import asyncio
import ctypes
import os
import re
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bot.supervisor import on_signals
from trading.domain.errors import Refused, Retryable

OWNER_ID = 1
_READY_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 10.0
_RESTART_DELAY_S = 1.0
_LOOK_EVERY_S = 0.05
_PR_SET_PDEATHSIG = 1
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+(?=[ /])")


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """Which ports to prefer and how the market behaves."""

    exchange_port: int = 8090
    chat_port: int = 8091
    seed: int = 7
    speed: float = 1.0
    balance: str = "USDT=10000,BTC=0.5,ETH=4,ADA=5000"
    data_dir: Path | None = None


class ProcessDied(Retryable):
    """A part of the demo ended before it was ready."""


async def run(settings: DemoSettings, say: Callable[[str], None]) -> None:
    """Start the three, say where the page is, keep them alive until cancelled or signalled."""
    stop = asyncio.Event()
    with on_signals(stop.set), tempfile.TemporaryDirectory(prefix="umbra-demo-") as scratch:
        await _run_in(settings, settings.data_dir or Path(scratch), stop, say)


async def _run_in(
    settings: DemoSettings, data_dir: Path, stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    logs = data_dir / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refused(
            f"--data-dir should be a directory to write in, was {str(data_dir)!r}: {reason}",
            example="umbra demo --data-dir ~/umbra-demo",
        ) from None
    credentials = {
        "UMBRA_EXCHANGE_API_KEY": secrets.token_hex(16),
        "UMBRA_EXCHANGE_SECRET": secrets.token_hex(16),
        "UMBRA_TELEGRAM_TOKEN": f"8091:{secrets.token_hex(16)}",
    }
    environment = _inherited() | credentials
    options = ("--seed", str(settings.seed), "--speed", str(settings.speed))
    async with (
        _serving(
            ("sim", *options, "--balance", settings.balance),
            *(settings.exchange_port, environment, logs / "exchange.log"),
        ) as (exchange, exchange_url),
        _serving(("chat",), settings.chat_port, environment, logs / "chat.log") as (chat, chat_url),
        _kept_agent(environment | _places(exchange_url, chat_url, data_dir), logs / "agent.log"),
    ):
        await _until_greeted(f"{chat_url}/client/messages?chat_id={OWNER_ID}")
        say(f"Umbra is running. Open {chat_url}/ (Ctrl-C stops it)")
        await _until_told_or_dead(stop, {"exchange": exchange, "chat": chat})


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}


def _places(exchange_url: str, chat_url: str, data_dir: Path) -> dict[str, str]:
    return {
        "UMBRA_MODE": "live",
        "UMBRA_EXCHANGE_ID": "binance",
        "UMBRA_EXCHANGE_REST_URL": exchange_url,
        "UMBRA_EXCHANGE_WS_URL": exchange_url.replace("http", "ws", 1),
        "UMBRA_TELEGRAM_API_URL": f"{chat_url}/bot",
        "UMBRA_OWNER_ID": str(OWNER_ID),
        "UMBRA_DATA_DIR": str(data_dir / "agent"),
    }


@asynccontextmanager
async def _serving(
    arguments: tuple[str, ...], port: int, environment: Mapping[str, str], log: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """One server on the port, or on a free one when somebody has it, and its address."""
    # Whether a port is free is known by having it: two demos that only looked would both go on,
    # one of them on the other's server.
    reason = ""
    for wanted in (port, 0):
        said_before = _size_bytes(log)
        process = await _start((*arguments, "--port", str(wanted)), environment, log)
        try:
            if url := await _announced(process, log, said_before):
                yield process, url
                return
        finally:
            await _end(process)
        reason = _written(log, said_before).decode(errors="replace").strip()
    raise ProcessDied(f"umbra {arguments[0]} of the demo cannot start: {reason}")


async def _announced(
    process: asyncio.subprocess.Process, log: Path, said_before_bytes: int
) -> str | None:
    async with asyncio.timeout(_READY_DEADLINE_S):
        while process.returncode is None:
            if found := _ADDRESS.search(_written(log, said_before_bytes)):
                return found[0].decode()
            await asyncio.sleep(_LOOK_EVERY_S)
    return None


def _size_bytes(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _written(log: Path, start_bytes: int) -> bytes:
    return log.read_bytes()[start_bytes:]


async def _start(
    arguments: tuple[str, ...], environment: Mapping[str, str], log: Path
) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *arguments),
            env=dict(environment),
            # Not where a person's own `.env` may lie: the demo knows no settings but its own.
            cwd=log.parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    # A demo that is killed outright must not leave servers behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@asynccontextmanager
async def _kept_agent(environment: Mapping[str, str], log: Path) -> AsyncIterator[None]:
    keeper = asyncio.create_task(_keep_agent(environment, log))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep_agent(environment: Mapping[str, str], log: Path) -> None:
    while True:
        process = await _start(("run",), environment, log)
        try:
            await process.wait()
        finally:
            await _end(process)
        await asyncio.sleep(_RESTART_DELAY_S)


async def _until_told_or_dead(
    stop: asyncio.Event, servers: Mapping[str, asyncio.subprocess.Process]
) -> None:
    told = asyncio.create_task(stop.wait())
    ends = {asyncio.create_task(server.wait()): name for name, server in servers.items()}
    try:
        await asyncio.wait({told, *ends}, return_when=asyncio.FIRST_COMPLETED)
        dead = [name for end, name in ends.items() if end.done()]
    finally:
        for task in (told, *ends):
            task.cancel()
    if dead and not stop.is_set():
        code = servers[dead[0]].returncode
        # Its account or its messages were in its memory: nothing could go on from there.
        raise ProcessDied(
            f"the {dead[0]} of the demo has ended (exit code {code}), and what it knew is gone; "
            "start the demo again"
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until_greeted(url: str) -> None:
    async with asyncio.timeout(_READY_DEADLINE_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(url) as reply:
                if await reply.json():
                    return
            await asyncio.sleep(_LOOK_EVERY_S)
