"""The Bot API in process: python-telegram-bot's requests on the local chat's own conversation.

A call that has left is finished by the chat whatever became of the caller; faults are the chat's
own plan, and the line's: refused or silent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
from telegram._utils.defaultvalue import DefaultValue
from telegram.error import NetworkError, TimedOut
from telegram.request import HTTPXRequest, RequestData

from bot.localchat import methods, playing
from bot.localchat.bell import Bell
from bot.localchat.bot_side import BotSide, _Dropped, _Malformed
from bot.localchat.call import Call
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError, ClientError
from bot.localchat.facts import Bot, Message
from bot.localchat.faults import FaultPlan
from bot.localchat.files import Upload
from bot.localchat.flood import FloodGate, FloodLimits
from bot.localchat.updates import UpdateQueue
from bot.telegram.requesting import Requests
from tests.simulation.loop import SimLoop, Trace
from trading.domain.redaction import masking_foreign
from trading.ports.clock import Clock

OWNER = 1
_READ_S = 5.0


@dataclass(slots=True)
class Line:
    """What the line to the chat does wrong now."""

    latency_s: tuple[float, float] = (0.01, 0.15)
    is_refusing: bool = False
    is_black_hole: bool = False
    fired: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """Note that a fault acted."""
        self.fired[name] = self.fired.get(name, 0) + 1


class _Caller:
    """Stands in for the web request of a long poll: it only tells whether somebody still waits."""

    def __init__(self) -> None:
        self.transport = self
        self.is_gone = False

    def is_closing(self) -> bool:
        """Whether the caller hung up."""
        return self.is_gone


class Telephone(BotSide):
    """The chat's server, and the phone of the person who owns the bot."""

    def __init__(self, loop: SimLoop, clock: Clock, chance: Random, trace: Trace) -> None:
        self.loop, self.trace, self.line = loop, trace, Line()
        self._chance = chance
        self.plan = FaultPlan()
        self.conversation = Conversation(
            clock,
            Bot(4242),
            UpdateQueue(chance.randrange(10**8, 9 * 10**8)),
            1,
            FloodGate(FloodLimits()),
        )
        self.bell_of_updates = Bell()
        super().__init__(self.conversation, self.plan, self.bell_of_updates, None)
        self.conversation.chat(OWNER)
        self.callers: set[_Caller] = set()
        # Every update that the person caused.
        self.pushed: list[int] = []

    def delay_s(self) -> float:
        """How long the next message travels."""
        return self._chance.uniform(*self.line.latency_s)

    # ------------------------------------------------------------ the bot's calls

    async def call(
        self, name: str, values: Mapping[str, Any], files: Mapping[str, Upload]
    ) -> tuple[int, bytes]:
        """Answer one call after its way there and back; raises NetworkError when it is cut."""
        if self.loop.is_power_cut:
            await self.loop.create_future()
        if self.line.is_refusing:
            self.line.count("refused")
            await asyncio.sleep(0.001)
            raise NetworkError("httpx.ConnectError: refused")
        answer: asyncio.Future[tuple[int, bytes]] = self.loop.create_future()
        caller = _Caller()
        self.callers.add(caller)
        self.loop.spawn(self._carry(name, values, files, answer, caller))
        try:
            return await answer
        finally:
            caller.is_gone = True
            self.callers.discard(caller)
            self.bell_of_updates.ring()

    async def _carry(
        self,
        name: str,
        values: Mapping[str, Any],
        files: Mapping[str, Upload],
        answer: asyncio.Future[tuple[int, bytes]],
        caller: _Caller,
    ) -> None:
        if self.line.is_black_hole:
            self.line.count("black_hole")
            return
        await asyncio.sleep(self.delay_s())
        if name.lower() != "getupdates":
            self.trace.note(self.loop.time(), f"call {name} {sorted(values.items())!r}", 400)
        found = await self._answered(name, values, files, caller)
        await asyncio.sleep(self.delay_s())
        if answer.done() or self.line.is_black_hole:
            return
        if found is None:
            answer.set_exception(NetworkError("httpx.RemoteProtocolError: disconnected"))
        else:
            answer.set_result(found)

    async def _answered(
        self, name: str, values: Mapping[str, Any], files: Mapping[str, Upload], caller: _Caller
    ) -> tuple[int, bytes] | None:
        try:
            is_cut_after = await self._suffer(name)
            call = Call(self.conversation, values, files)
            waiting = self._async_methods.get(name.lower())
            if waiting is None:
                result = methods.run(name, call)
            else:
                result = await waiting(call, caller)  # type: ignore[arg-type]
        except _Dropped:
            return None
        except _Malformed as error:
            return 200, str(error).encode()
        except BotApiError as error:
            return error.code, orjson.dumps(error.as_json())
        return None if is_cut_after else (200, orjson.dumps({"ok": True, "result": result}))

    # ------------------------------------------------------------ the person

    def say(self, text: str, user_id: int = OWNER) -> Message:
        """Type a message."""
        self.trace.note(self.loop.time(), f"say {user_id} {text}")
        sent = playing.write(self.conversation, user_id, user_id, text)
        self._push()
        return sent[-1]

    def press(self, message: Message, label: str) -> bool:
        """Press the button whose label ends in `label`; whether there was one."""
        labels = [
            button.text
            for row in message.keyboard
            for button in row
            if button.text.endswith(label) and button.action == "callback_data"
        ]
        if not labels:
            return False
        self.trace.note(self.loop.time(), f"press {message.message_id} {labels[0]}")
        try:
            playing.press(self.conversation, OWNER, message.message_id, labels[0], None)
        except ClientError:
            return False
        self._push()
        return True

    def _push(self) -> None:
        self.pushed.append(self.conversation.updates.next_id - 1)
        self.bell_of_updates.ring()

    def messages(self, after: int = 0) -> list[Message]:
        """What the bot has said to its owner, as it reads now."""
        found = self.conversation.history(OWNER, after)
        return [message for message in found if message.is_from_bot]

    def text(self) -> str:
        """All that the bot has said."""
        return "\n".join(message.content.text for message in self.messages())


class Wire(HTTPXRequest):
    """The transport of the bot's requests, without a client library."""

    def __init__(self, telephone: Telephone) -> None:
        self._telephone = telephone
        self._http_version = "1.1"

    @property
    def read_timeout(self) -> float | None:
        """How long an answer may take."""
        return _READ_S

    async def initialize(self) -> None:
        """Nothing to open."""

    async def shutdown(self) -> None:
        """Nothing to close."""

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = None,
        **_: Any,
    ) -> tuple[int, bytes]:
        """Ask once."""
        seconds = _READ_S if isinstance(read_timeout, DefaultValue) else read_timeout
        values = dict(request_data.json_parameters) if request_data else {}
        files = {
            name: Upload(str(part[0]), str(part[2]), bytes(part[1]))  # type: ignore[index, misc]
            for name, part in (request_data.multipart_data if request_data else {}).items()
        }
        try:
            async with asyncio.timeout(seconds):
                return await self._telephone.call(url.rpartition("/")[2], values, files)
        except TimeoutError as error:
            raise TimedOut from error


class SimRequests(Requests, Wire):
    """The bot's own request class on our wire: its flood waits stay the ones under test."""

    def __init__(self, telephone: Telephone) -> None:
        Wire.__init__(self, telephone)
        self._masked = masking_foreign(())
