"""`umbra demo`: exchange, chat and agent as three real processes, owner already paired.

The agent is started again whenever it dies, as a service manager would: killing it is part of the
tour. Nothing here outlives the command, and its data directory goes with it.
"""

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from trading.domain.errors import Refused, Retryable

OWNER_ID = 1
_READY_DEADLINE_S = 30.0
_STOP_DEADLINE_S = 10.0
_RESTART_DELAY_S = 1.0
_PR_SET_PDEATHSIG = 1


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


def free_port(preferred: int) -> int:
    """Return `preferred` if nothing listens there, else a port that the system offers."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ProcessDied("no free port on 127.0.0.1")


async def run(settings: DemoSettings, say: Callable[[str], None]) -> None:
    """Start the three, say where the page is, keep them alive until cancelled or signalled."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="umbra-demo-") as scratch:
        await _run_in(settings, settings.data_dir or Path(scratch), stop, say)


async def _run_in(
    settings: DemoSettings, data_dir: Path, stop: asyncio.Event, say: Callable[[str], None]
) -> None:
    exchange_port = free_port(settings.exchange_port)
    chat_port = free_port(settings.chat_port)
    environment = _environment(exchange_port, chat_port, data_dir)
    logs = data_dir / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refused(
            f"--data-dir should be a directory to write in, was {str(data_dir)!r}: {reason}",
            example="umbra demo --data-dir ~/umbra-demo",
        ) from None
    sim_arguments = (
        *("sim", "--port", str(exchange_port), "--seed", str(settings.seed)),
        *("--speed", str(settings.speed), "--balance", settings.balance),
    )
    started: list[asyncio.subprocess.Process] = []
    keeper: asyncio.Task[None] | None = None
    try:
        started.append(await _start(sim_arguments, environment, logs / "exchange.log"))
        started.append(
            await _start(("chat", "--port", str(chat_port)), environment, logs / "chat.log")
        )
        await _until_answers(f"http://127.0.0.1:{exchange_port}/api/v3/ping", started[0])
        await _until_answers(f"http://127.0.0.1:{chat_port}/", started[1])
        keeper = asyncio.create_task(_keep_agent(environment, logs / "agent.log"))
        await _until_greeted(f"http://127.0.0.1:{chat_port}/client/messages?chat_id={OWNER_ID}")
        say(f"Umbra is running. Open http://127.0.0.1:{chat_port}/ (Ctrl-C stops it)")
        await _until_told_or_dead(stop, {"exchange": started[0], "chat": started[1]})
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        for process in reversed(started):
            await _end(process)


def _environment(exchange_port: int, chat_port: int, data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")}
    return kept | {
        "UMBRA_MODE": "live",
        "UMBRA_EXCHANGE_ID": "binance",
        "UMBRA_EXCHANGE_API_KEY": secrets.token_hex(16),
        "UMBRA_EXCHANGE_SECRET": secrets.token_hex(16),
        "UMBRA_EXCHANGE_REST_URL": f"http://127.0.0.1:{exchange_port}",
        "UMBRA_EXCHANGE_WS_URL": f"ws://127.0.0.1:{exchange_port}",
        "UMBRA_TELEGRAM_TOKEN": f"8091:{secrets.token_hex(16)}",
        "UMBRA_TELEGRAM_API_URL": f"http://127.0.0.1:{chat_port}/bot",
        "UMBRA_OWNER_ID": str(OWNER_ID),
        "UMBRA_DATA_DIR": str(data_dir / "agent"),
    }


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


async def _until_answers(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_READY_DEADLINE_S), aiohttp.ClientSession() as session:
        while True:
            if process.returncode is not None:
                raise ProcessDied(f"{url} cannot be served: exit code {process.returncode}")
            try:
                async with session.get(url) as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def _until_greeted(url: str) -> None:
    async with asyncio.timeout(_READY_DEADLINE_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(url) as reply:
                if await reply.json():
                    return
            await asyncio.sleep(0.1)
