"""Agent, chat and exchange as processes of their own, and the phone that talks to the agent."""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from benchmarks.table import NotDone
from tests.announced import address_in

OWNER_ID = 1
_PATIENCE_S = 60.0
_POLL_S = 0.005
_LOG_SHOWN = 4_000


@dataclass
class Processes:
    """Owns the processes of one benchmark; everything they write stays in `folder`.

    Where `exchange` and `chat` are is known once they serve.
    """

    folder: Path
    exchange: str = ""
    chat: str = ""
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    patience_s: float = _PATIENCE_S
    # Where the agent finds the exchange, when it is not to go there directly; `door` for requests.
    line: str = ""
    door: str = ""

    @property
    def database(self) -> Path:
        """Where the agent looks for its journal."""
        return self.folder / "agent" / "umbra.db"

    async def __aenter__(self) -> Self:
        self._running: list[asyncio.subprocess.Process] = []
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in reversed(self._running):
            await end(process)
        await self._session.close()

    async def start(self, command: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start `umbra COMMAND`."""
        with (self.folder / f"{command}.log").open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", command, *arguments),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._running.append(process)
        return process

    async def start_chat(self) -> None:
        """Start the local chat and wait until it answers."""
        self.chat = await self._started("chat")
        await self.until_served(f"{self.chat}/client/messages?chat_id={OWNER_ID}")

    async def start_exchange(self, *arguments: str) -> None:
        """Start the simulated exchange and wait until it answers."""
        self.exchange = await self._started("sim", *arguments)
        await self.until_served(f"{self.exchange}/api/v3/ping")

    async def _started(self, server: str, *arguments: str) -> str:
        await self.start(server, "--port", "0", *arguments)

        address = ""

        async def has_announced() -> bool:
            nonlocal address
            address = address_in(self.log(server)) or ""
            return bool(address)

        await until(has_announced, f"{server} does not say where it serves", self.patience_s)
        return address

    def log(self, name: str = "run") -> str:
        """Return the end of what a process wrote."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-_LOG_SHOWN:]

    async def until_served(self, url: str) -> None:
        """Wait until a server answers."""

        async def is_served() -> bool:
            try:
                async with self._session.get(url) as reply:
                    return reply.status == 200
            except aiohttp.ClientError:
                return False

        await until(is_served, f"{url} is not served", self.patience_s)

    async def control(self, name: str, **body: object) -> None:
        """Tell the exchange something: price, fault, traffic …; raises NotDone when it refuses."""
        async with self._session.post(f"{self.exchange}/control/{name}", json=body) as reply:
            if reply.status != 200:
                raise NotDone(f"the exchange refused {name}: {await reply.text()}")

    async def clear_faults(self) -> None:
        """End every fault of the exchange that waits for requests."""
        async with self._session.delete(f"{self.exchange}/control/faults") as reply:
            await reply.read()

    async def seen(self, name: str) -> Any:
        """Ask the exchange what it knows: orders, faults, streams …"""
        async with self._session.get(f"{self.exchange}/control/{name}") as reply:
            return await reply.json()

    async def say(self, text: str) -> int:
        """Type a message and return its id."""
        body = {"user_id": OWNER_ID, "chat_id": OWNER_ID, "text": text}
        async with self._session.post(f"{self.chat}/client/send", json=body) as reply:
            return int((await reply.json())["message_id"])

    async def messages(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what the bot has said since."""
        url = f"{self.chat}/client/messages?chat_id={OWNER_ID}&after={after}"
        async with self._session.get(url) as reply:
            return [one for one in await reply.json() if one["from"] == "bot"]

    async def until_said(
        self, is_it: Callable[[dict[str, Any]], bool], after: int = 0
    ) -> dict[str, Any]:
        """Wait for a message of the bot."""
        found: list[dict[str, Any]] = []

        async def is_said() -> bool:
            found[:] = [one for one in await self.messages(after) if is_it(one)]
            return bool(found)

        try:
            await until(is_said, "the bot did not say what was waited for", self.patience_s)
        except NotDone as error:
            raise NotDone(f"{error}\n{self.log()}") from error
        return found[0]

    def _environment(self) -> dict[str, str]:
        # Compiled modules are kept between starts, as wherever the agent is installed.
        inherited = {
            name: one
            for name, one in os.environ.items()
            if not name.startswith("UMBRA_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        return inherited | {
            "UMBRA_MODE": "live",
            "UMBRA_EXCHANGE_API_KEY": self.key,
            "UMBRA_EXCHANGE_SECRET": self.secret,
            "UMBRA_EXCHANGE_REST_URL": self.door or self.line or self.exchange,
            "UMBRA_EXCHANGE_WS_URL": (self.line or self.exchange).replace("http", "ws"),
            "UMBRA_TELEGRAM_TOKEN": "4242:benchmarks-talk-to-nobody",
            "UMBRA_TELEGRAM_API_URL": f"{self.chat}/bot",
            "UMBRA_OWNER_ID": str(OWNER_ID),
            "UMBRA_DATA_DIR": str(self.folder / "agent"),
        }


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process in an orderly way, and if that does not help, at once."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(15):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def until(wanted: Callable[[], Any], what: str, patience_s: float = _PATIENCE_S) -> None:
    """Wait until an asynchronous predicate holds; raises NotDone."""
    deadline = time.monotonic() + patience_s
    while not await wanted():
        if time.monotonic() > deadline:
            raise NotDone(what)
        await asyncio.sleep(_POLL_S)


def resident_mb(pid: int) -> float:
    """Return VmRSS of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise NotDone(f"process {pid} tells no VmRSS")
