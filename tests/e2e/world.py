"""Three real processes on loopback (exchange, chat, agent) and a phone to drive them with."""

import asyncio
import os
import re
import secrets
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.announced import address_in, is_taken_in
from tests.forking import process as forking
from tests.forking.ahead import MINUTES

OWNER_ID = 1
PATIENCE_S = 60.0
# Looking takes both sides some milliseconds: nobody looks again before a tenth of what has passed.
_LOOK_S, _LOOK_S_MAX = 0.05, 0.25

Message = dict[str, Any]
Process = asyncio.subprocess.Process | forking.ForkedProcess


@dataclass
class World:
    """Owns the processes of one test and everything they write."""

    folder: Path
    sim_options: tuple[str, ...] = ("--still",)
    balance: str = "USDT=10000,BTC=0.5"
    settings: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    # What the agent is started by, if not directly.
    runner: tuple[str, ...] = ()
    # Whether each process is a new interpreter, which takes two seconds, and not a fork.
    is_executed: bool = False
    # How far every process's wall clock is ahead of the machine's; a fork's alone can be.
    minutes_ahead: int = 0
    # How many agents were killed here.
    kills: int = 0

    def __post_init__(self) -> None:
        # Where the servers are, once they have said so.
        self.exchange = self.chat = ""
        self.data_dir = self.folder / "agent"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("UMBRA_")
        } | {
            "UMBRA_MODE": "live",
            "UMBRA_EXCHANGE_API_KEY": secrets.token_hex(16),
            "UMBRA_EXCHANGE_SECRET": secrets.token_hex(16),
            "UMBRA_TELEGRAM_TOKEN": f"4242:{secrets.token_hex(16)}",
            "UMBRA_OWNER_ID": str(OWNER_ID),
            "UMBRA_DATA_DIR": str(self.data_dir),
        }
        if self.minutes_ahead:
            assert not self.is_executed
            self.environment[MINUTES] = str(self.minutes_ahead)

    def now_ms(self) -> int:
        """Return the wall time of every process here."""
        return int(time.time() * 1000) + self.minutes_ahead * 60_000

    async def __aenter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S))
        try:
            await self._open()
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        return self

    async def _open(self) -> None:
        self.exchange, self.chat = await asyncio.gather(self.serve_exchange(), self._serve("chat"))
        self.environment |= {
            "UMBRA_EXCHANGE_REST_URL": self.exchange,
            "UMBRA_EXCHANGE_WS_URL": self.exchange.replace("http", "ws"),
            "UMBRA_TELEGRAM_API_URL": f"{self.chat}/bot",
        }

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        try:
            for name in [name for name in self.processes if name not in {"sim", "chat"}]:
                await self.end(name)
            if kind is None:
                await self._refuse_sprung_traps()
                self._refuse_what_others_can_read()
        finally:
            for name in ("sim", "chat"):
                await self.end(name)
            await self.session.close()

    async def _refuse_sprung_traps(self) -> None:
        """Whatever the agent did, it asked for no withdrawal and no transfer."""
        exchange = self.processes.get("sim")
        if exchange is not None and exchange.returncode is None:
            assert (await self.seen("traps"))["requests"] == []

    def _refuse_what_others_can_read(self) -> None:
        """Whatever the agent and its watchdog left in their directory is their owner's alone."""
        # The one file that a person makes there.
        left = [path for path in self.data_dir.rglob("*") if path.name != "HALT"]
        modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in left}
        assert not [f"{path} {mode:03o}" for path, mode in modes.items() if mode & 0o077]

    # ------------------------------------------------------------ processes

    async def start_agent(self, **settings: str) -> None:
        """Start `umbra run` and wait for its greeting."""
        before = await self.last_message_id()
        await self.spawn_agent(**settings)
        await self.until_message(lambda message: message["from"] == "bot", after=before)

    async def spawn_agent(self, **settings: str) -> Process:
        """Start `umbra run` without waiting for anything."""
        self.settings.update(settings)
        return await self.spawn("run")

    async def kill_agent(self) -> None:
        """End the agent as a power cut would."""
        process = self.processes["run"]
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        self.kills += 1

    async def agent_exit(self) -> int:
        """Wait until the agent has ended by itself."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.processes["run"].wait()

    async def end(self, name: str) -> None:
        """End a process in an orderly way, if it lives."""
        process = self.processes.get(name)
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def log(self, name: str = "run") -> str:
        """Return what a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    async def spawn(self, command: str, *arguments: str) -> Process:
        """Start one of Umbra's commands; its output goes to a file."""
        environment = self.environment | self.settings
        runner = self.runner if command == "run" else ()
        with (self.folder / f"{command}.log").open("ab") as output:
            if runner or self.is_executed:
                process: Process = await asyncio.create_subprocess_exec(
                    *(*runner, sys.executable, "-m", "bot", command, *arguments),
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            else:
                process = await forking.start((command, *arguments), environment, output)
        self.processes[command] = process
        return process

    async def serve_exchange(self) -> str:
        """Start the exchange, where it was if it was there before, and return its address."""
        return await self._serve("sim", "--balance", self.balance, *self.sim_options)

    async def _serve(self, command: str, *arguments: str) -> str:
        before = {"sim": self.exchange, "chat": self.chat}[command]
        # A port that was left is free for everybody: whoever has it for a moment is waited for.
        port = before.rpartition(":")[2] or "0"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            log = self.folder / f"{command}.log"
            begin = len(self.log(command)) if log.exists() else 0
            process = await self.spawn(command, "--port", port, *arguments)
            has_ended, said = False, ""
            while not has_ended:
                # What ended has said all that it had to say.
                has_ended, said = process.returncode is not None, self.log(command)[begin:]
                if address := address_in(said):
                    return address
                assert time.monotonic() < deadline, f"{command} does not serve: {said[-2000:]}"
                await asyncio.sleep(_LOOK_S)
            assert is_taken_in(said), said[-2000:]

    # ------------------------------------------------------------ phone

    async def say(self, text: str, user_id: int = OWNER_ID, chat_id: int | None = None) -> int:
        """Type a message, in the person's own chat if in no other, and return its id."""
        body = {"user_id": user_id, "chat_id": chat_id or user_id, "text": text}
        return int((await self._post(f"{self.chat}/client/send", body))["message_id"])

    async def press(self, message: Message, label: str, user_id: int = OWNER_ID) -> None:
        """Press the button whose label ends in `label`."""
        labels = [text for row in message["buttons"] for text in row if text.endswith(label)]
        assert labels, f"no button {label!r} in {message}"
        body = {
            "user_id": user_id,
            "chat_id": user_id,
            "message_id": message["message_id"],
            "text": labels[0],
        }
        await self._post(f"{self.chat}/client/press", body)

    async def messages(self, after: int = 0, chat_id: int = OWNER_ID) -> list[Message]:
        """Return the present state of the chat."""
        url = f"{self.chat}/client/messages?chat_id={chat_id}&after={after}"
        async with self.session.get(url) as reply:
            assert reply.status == 200
            return list(await reply.json())

    async def last_message_id(self) -> int:
        """Return the id of the newest message, 0 in an empty chat."""
        return max((int(message["message_id"]) for message in await self.messages()), default=0)

    async def until_message(
        self, wanted: Callable[[Message], bool] | str, after: int = 0, chat_id: int = OWNER_ID
    ) -> Message:
        """Wait for a message of the bot that matches a predicate or a pattern."""

        def matches(message: Message) -> bool:
            if message["from"] != "bot":
                return False
            if isinstance(wanted, str):
                return re.search(wanted, message["text"]) is not None
            return wanted(message)

        began_s = time.monotonic()
        while True:
            found = [message for message in await self.messages(after, chat_id) if matches(message)]
            if found:
                return found[0]
            if time.monotonic() > began_s + PATIENCE_S:
                seen = [message["text"] for message in await self.messages(after, chat_id)]
                raise AssertionError(f"{wanted!r} not in {seen}\n{self.log()[-4000:]}")
            await _pause(began_s)

    async def has_message(self, pattern: str, after: int) -> bool:
        """Whether the bot has said something that matches."""
        return any(
            message["from"] == "bot" and re.search(pattern, message["text"])
            for message in await self.messages(after)
        )

    async def newest_with_button(self, label: str, after: int) -> Message | None:
        """Return the newest message that offers a button, None without any."""
        found = [
            message
            for message in await self.messages(after)
            if any(text.endswith(label) for row in message["buttons"] for text in row)
        ]
        return found[-1] if found else None

    async def until_edited(self, card: Message, user_id: int = OWNER_ID) -> Message:
        """Wait until a message differs from how it was seen."""
        found: list[Message] = []

        async def is_edited() -> bool:
            found[:] = [
                message
                for message in await self.messages(card["message_id"] - 1, user_id)
                if message["message_id"] == card["message_id"] and message["edits"] > card["edits"]
            ]
            return bool(found)

        await self.until(is_edited, f"the card was never edited: {card['text']}")
        return found[0]

    async def ask(self, text: str, user_id: int = OWNER_ID) -> Message:
        """Type a message and return the first answer, once it is more than a sign of one."""
        sent = await self.say(text, user_id)
        return await self.until_message(_is_no_sign, after=sent, chat_id=user_id)

    async def answer(self, text: str, pattern: str, user_id: int = OWNER_ID) -> Message:
        """Type a message and return the first answer that matches; events may come between."""
        sent = await self.say(text, user_id)
        return await self.until_message(pattern, after=sent, chat_id=user_id)

    async def arm(self, text: str, user_id: int = OWNER_ID) -> Message:
        """Confirm a tracker and return its card once it is watched."""
        question = await self.answer(text, r"Answer within|✋", user_id)
        await self.press(question, "Confirm", user_id)
        return await self.until_edited(question, user_id)

    async def count(self, pattern: str, after: int = 0) -> int:
        """Return how many times the bot has said something."""
        texts = [m["text"] for m in await self.messages(after) if m["from"] == "bot"]
        return sum(len(re.findall(pattern, text)) for text in texts)

    async def confirm(self, text: str) -> Message:
        """Type a command, press Confirm on its card, and return the card."""
        card = await self.ask(text)
        await self.press(card, "Confirm")
        return card

    # ------------------------------------------------------------ exchange

    async def price(self, price: str, symbol: str = "BTCUSDT") -> None:
        """Move the market; every view of it shows the price before this returns."""
        body = {"symbol": symbol, "price": price}
        await self._post(f"{self.exchange}/control/price", body)

    async def fault(self, kind: str, times: int = 1, **arguments: object) -> None:
        """Plan a fault of the exchange."""
        body = {"kind": kind, "times": times, "args": arguments}
        await self._post(f"{self.exchange}/control/fault", body)

    async def faults(self) -> Any:
        """Return the planned faults and how often each has fired."""
        return await self._get(f"{self.exchange}/control/faults")

    async def chat_fault(self, kind: str, times: int = 1, **arguments: object) -> None:
        """Plan a fault of the chat."""
        body = {"kind": kind, "times": times, "args": arguments}
        await self._post(f"{self.chat}/client/fault", body)

    async def chat_faults(self) -> Any:
        """Return the chat's planned faults and how often each has fired."""
        return await self._get(f"{self.chat}/client/faults")

    async def clear_faults(self) -> None:
        """Forget every planned fault of the exchange and of the chat."""
        for url in (f"{self.exchange}/control/faults", f"{self.chat}/client/faults"):
            async with self.session.delete(url) as reply:
                assert reply.status == 200, await reply.text()

    async def orders(self) -> list[dict[str, str]]:
        """Return every order since the exchange started."""
        return list(await self._get(f"{self.exchange}/control/orders"))

    async def balance_of(self, asset: str) -> Decimal:
        """Return free and locked units of an asset."""
        account = await self._get(f"{self.exchange}/control/account")
        held = account["balances"].get(asset, {"free": "0", "locked": "0"})
        return Decimal(held["free"]) + Decimal(held["locked"])

    async def deposit(self, asset: str, delta: Decimal) -> None:
        """Give the account coins, or take some away."""
        await self._post(
            f"{self.exchange}/control/account", {"asset": asset, "delta": format(delta, "f")}
        )

    async def control(self, name: str, **body: object) -> Any:
        """Tell the exchange something else: book, print, order, symbol …"""
        return await self._post(f"{self.exchange}/control/{name}", body)

    async def seen(self, name: str) -> Any:
        """Ask the exchange what it knows: account, faults, orders, streams, timings."""
        return await self._get(f"{self.exchange}/control/{name}")

    async def public(self, question: str) -> Any:
        """Ask the exchange's public REST interface: `trades?symbol=BTCUSDT`."""
        return await self._get(f"{self.exchange}/api/v3/{question}")

    async def server_time_ms(self) -> int:
        """Return the exchange's clock."""
        return int((await self._get(f"{self.exchange}/api/v3/time"))["serverTime"])

    async def orders_of(self, symbol: str) -> list[dict[str, str]]:
        """Return every order of one market since the exchange started."""
        return [order for order in await self.orders() if order["symbol"] == symbol]

    async def unfired(self) -> list[str]:
        """Return the planned faults that never acted."""
        return [
            f"{fault['kind']} {fault['args']}"
            for fault in await self.faults()
            if not fault["fired"]
        ]

    async def until(
        self, wanted: Callable[[], Any], what: str, patience_s: float = PATIENCE_S
    ) -> None:
        """Wait until an asynchronous predicate holds."""
        began_s = time.monotonic()
        while not await wanted():
            assert time.monotonic() < began_s + patience_s, f"{what}\n{self.log()[-4000:]}"
            await _pause(began_s)

    async def _get(self, url: str) -> Any:
        async with self.session.get(url) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def _post(self, url: str, body: dict[str, Any]) -> Any:
        async with self.session.post(url, json=body) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()


async def _pause(began_s: float) -> None:
    passed_s = time.monotonic() - began_s
    await asyncio.sleep(min(max(_LOOK_S, passed_s / 10), _LOOK_S_MAX))


def _is_no_sign(message: Message) -> bool:
    return re.match("⏳ .+…", message["text"]) is None
