"""Answers the local socket at the same desk as the chat: status, panic, halt, resume."""

import asyncio
from collections.abc import Awaitable, Callable

from bot import modes
from bot.control import wording
from bot.control.messages import Ask, Reply, Request
from bot.modes import MODES, THIS_MACHINE
from trading.desk import CloseProposal, Desk, Outcome, PlainProposal
from trading.domain.commands import Command, Panic, SetTradingMode
from trading.domain.errors import AlreadyRecorded, Refused, StorageLost
from trading.domain.position import TradingMode
from trading.ports.clock import Clock
from trading.ports.storage import Records

_LOOK_S = 0.1
_SETTLE_S = 10.0


class LocalDesk:
    """Does what the command line asks, with the request's id as its cause.

    `words` are those of an agent that runs, unless it is told that nobody does.
    """

    def __init__(
        self,
        desk: Desk,
        records: Records,
        clock: Clock,
        is_ready: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.words = wording.RUNNING
        self._desk = desk
        self._records = records
        self._clock = clock
        self._is_ready = is_ready
        self._sleep = sleep
        # Whether the present halt holds in memory alone.
        self._is_unwritten = False

    async def answer(self, request: Request) -> Reply:
        """Answer one request; raises UmbraError where it could not be done at all."""
        match request.ask:
            case Ask.STATUS:
                return Reply(self._is_ready(), await self._status())
            case Ask.PREVIEW:
                return await self._preview()
            case Ask.HALT:
                return await self._held(self._halt(_cause(request)))
            case Ask.PANIC:
                return await self._held(self._panic(_cause(request)))
            case Ask.PREVIEW_RESUME:
                return await self._preview_resume(_resume(request))
            case Ask.RESUME:
                return await self._resume(_resume(request), _cause(request))

    async def _status(self) -> str:
        if self._is_ready():
            trackers = [view.tracker for view in self._desk.trackers()]
            return wording.status(self._desk.status(), trackers)
        return wording.starting(self._desk.status(), await self._records.state())

    async def _preview(self) -> Reply:
        if not self._is_ready():
            return Reply(False, self.words.cannot_sell)
        facts = (await self._desk.propose(Panic(), THIS_MACHINE)).facts
        if not isinstance(facts, CloseProposal):
            raise Refused("a panic should propose what it closes")
        return Reply(True, wording.panic(facts))

    async def _preview_resume(self, command: SetTradingMode) -> Reply:
        if self._desk.status().state is TradingMode.ACTIVE:
            return Reply(False, wording.NOTHING_TO_RESUME)
        facts = (await self._desk.propose(command, THIS_MACHINE)).facts
        if not isinstance(facts, PlainProposal):
            raise Refused("a resume should propose what it permits")
        return Reply(True, _lines(facts.text, wording.troubles(self._desk.status())))

    async def _resume(self, command: SetTradingMode, cause: str) -> Reply:
        if self._desk.status().state is TradingMode.ACTIVE:
            return Reply(True, wording.NOTHING_TO_RESUME)
        await self._once(command, cause)
        return Reply(True, _lines(wording.RESUMED, wording.troubles(self._desk.status())))

    async def _held(self, reply: Awaitable[Reply]) -> Reply:
        """Say of a halt whose record is lost that it holds all the same, and only so long."""
        try:
            return await reply
        except StorageLost as error:
            self._is_unwritten = self._desk.status().state.is_halted
            if not self._is_unwritten:
                raise
            return Reply(False, f"{wording.HALTED_UNWRITTEN}\n! {error}")

    async def _halt(self, cause: str) -> Reply:
        state = self._desk.status().state
        if state.is_halted and not self._is_unwritten:
            return Reply(True, _lines(f"Already {MODES[state].state}.", self.words.last))
        await self._once(_HALT, cause)
        if not self._is_ready():
            return Reply(True, _lines(self.words.halted_early, self.words.last))
        troubles = wording.troubles(self._desk.status())
        return Reply(True, _lines(self.words.halted, troubles, self.words.last))

    async def _panic(self, cause: str) -> Reply:
        if not self._is_ready():
            halted = await self._halt(f"{cause}:halt")
            why = wording.troubles(self._desk.status())
            return Reply(False, _lines(self.words.cannot_sell, why, halted.text))
        outcome = await self._once(Panic(), cause)
        if outcome is None:
            return Reply(True, "This panic was carried out already.")
        open_ids = await self._settled(frozenset(outcome.intent_ids))
        status = self._desk.status()
        left = [intent for intent, _ in self._desk.open_orders() if intent.intent_id in open_ids]
        told = wording.sold(
            outcome.text, left, status.positions, status.is_in_doubt, self.words.goes_on
        )
        return Reply(
            not left and not status.positions and not status.is_in_doubt,
            _lines(told, self.words.halted, wording.troubles(status), self.words.last),
        )

    async def _once(self, command: Command, cause: str) -> Outcome | None:
        try:
            outcome = await self._desk.execute(command, THIS_MACHINE, cause)
        except AlreadyRecorded:
            return None
        self._is_unwritten = False
        return outcome

    async def _settled(self, intent_ids: frozenset[str]) -> frozenset[str]:
        """Wait until the intents have ended, as long as a terminal should; return the rest."""
        deadline_s = self._clock.monotonic() + _SETTLE_S
        while True:
            at_work = {intent.intent_id for intent, _ in self._desk.open_orders()}
            rest = intent_ids & at_work
            # A sale that could not be sent yet is no order of the exchange's.
            is_over = not rest and not self._desk.status().positions
            if is_over or self._clock.monotonic() >= deadline_s:
                return rest
            await self._sleep(_LOOK_S)


_HALT = SetTradingMode(TradingMode.HALTED, "asked for on this machine: umbra halt")


def _resume(request: Request) -> SetTradingMode:
    return SetTradingMode(TradingMode.ACTIVE, modes.with_note("resume", request.note))


def _cause(request: Request) -> str:
    return f"local:{request.request_id}"


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
