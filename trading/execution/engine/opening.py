"""Opening decisions: cause, decision and first attempt are one transaction, and then it is sent."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from trading.domain.errors import (
    AlreadyRecorded,
    NotCarriedOn,
    Refused,
    StorageLost,
    UmbraError,
)
from trading.domain.events import (
    AttemptChanged,
    AttemptPrepared,
    Event,
    IntentChanged,
    IntentOpened,
)
from trading.domain.order import Attempt, AttemptState, Intent, IntentState
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.reporting import Reporting
from trading.execution.engine.running import Running
from trading.execution.engine.sending import Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.engine.unrecorded import Unrecorded
from trading.execution.ladder import HELD
from trading.risk.gate import Approved

# Turns of the loop from a started send to its bytes: one makes the request, one writes it, and
# one is to spare. A connection that must be made first takes longer, and is not waited for.
_TURNS_TO_THE_WIRE = 3


class Opening:
    """Opens decisions; `begin` sends the first attempt of a durable one, and carries it on."""

    def __init__(
        self,
        surroundings: Surroundings,
        booking: Booking,
        running: Running,
        sending: Sending,
        reporting: Reporting,
        begin: Callable[[Case, Attempt | None], None],
    ) -> None:
        self._s = surroundings
        self._booking = booking
        self._running = running
        self._sending = sending
        self._reporting = reporting
        self._unrecorded = Unrecorded(surroundings, booking, sending)
        self._begin = begin
        self.tasks: set[asyncio.Task[None]] = set()
        # Decisions whose opening was broken off by an error that says nothing of the journal.
        self._broken_off: set[str] = set()

    async def open_all(
        self, approvals: Sequence[Approved], cause: Sequence[Event]
    ) -> Sequence[Intent]:
        """Make decisions durable with their cause, all of them or none, and send at once.

        While the process ends nothing new is: Refused.
        """
        if self._s.is_stopping:
            raise Refused("Umbra is stopping; nothing new is sent")
        cases = [Case(each.intent) for each in approvals]
        cases.sort(key=lambda case: -self._s.at_risk(case))
        held = {each.intent.intent_id for each in approvals if each.is_held}
        for case in cases:
            if case.intent.intent_id in self._s.cases:
                raise AlreadyRecorded(IntentOpened.__name__, case.intent.intent_id)
        for case in cases:
            # It counts for the gate from now on, not from when it is durable.
            self._s.cases[case.intent.intent_id] = case
            case.is_held = case.intent.intent_id in held
        # What is being written is sent as soon as it is durable, whatever becomes of who asked:
        # nobody could tell afterwards on which side of the commit he went away.
        opening = asyncio.create_task(self._open_or_forget(cases, cause))
        self.tasks.add(opening)
        opening.add_done_callback(self._ended)
        await asyncio.shield(opening)
        return [case.intent for case in cases]

    def _ended(self, opening: asyncio.Task[None]) -> None:
        self.tasks.discard(opening)
        if not opening.cancelled():
            # Raised to who asked; if he went away, nobody else would look at it.
            opening.exception()

    async def _open_or_forget(self, cases: Sequence[Case], cause: Sequence[Event]) -> None:
        intent_ids = {case.intent.intent_id for case in cases}
        try:
            await self._open(cases, cause)
        except AlreadyRecorded as known:
            self._forget(cases)
            if intent_ids & self._broken_off:
                raise NotCarriedOn(cases[0].intent.symbol) from known
            raise
        except UmbraError:
            self._forget(cases)
            raise
        except BaseException:
            self._forget(cases)
            self._broken_off |= intent_ids
            raise
        self._broken_off -= intent_ids

    def _forget(self, cases: Sequence[Case]) -> None:
        for case in cases:
            if case.task is None:
                self._s.cases.pop(case.intent.intent_id, None)

    async def _open(self, cases: Sequence[Case], cause: Sequence[Event]) -> None:
        adopting = [report for case in cases for report in self._reporting.claim(case)]
        attempts = [None if case.attempts else self._running.first(case) for case in cases]
        events = list(cause)
        for case, attempt in zip(cases, attempts, strict=True):
            events += self._opening(case, attempt)
        is_exit = all(case.is_exit for case in cases)
        # One of several would hold up the sending of the others.
        is_urgent = is_exit and len(self.tasks) == 1
        ready = attempts[0] if is_urgent else None
        if ready is not None:
            self._sending.make_ready(cases[0], ready)
        turn = self._s.writer.turn
        try:
            # What is given up in the same breath goes on from what only memory may hold.
            is_sequel = any(isinstance(each, IntentChanged) for each in cause)
            await self._s.writer.write(
                *events, is_exit=is_exit, is_urgent=is_urgent, is_sequel=is_sequel
            )
        except StorageLost as error:
            if not is_exit:
                raise
            self._sending.forget_ready(cases[0])
            await self._open_without_storage(cases, cause, attempts, turn, str(error))
        else:
            try:
                await self._send(cases, attempts, ready)
            except Exception as error:
                # A trigger is tried again; what a person asked for nobody asks again.
                raise NotCarriedOn(cases[0].intent.symbol) from error
            self._s.writer.put_off(events)
        finally:
            self._sending.forget_ready(cases[0])
        try:
            # Whoever listens can wait until the requests are on the wire.
            for _ in range(_TURNS_TO_THE_WIRE):
                await asyncio.sleep(0)
        finally:
            self._tell(cases)
        for report in adopting:
            self._reporting.take(report)

    async def _send(
        self, cases: Sequence[Case], attempts: Sequence[Attempt | None], ready: Attempt | None
    ) -> None:
        for case in cases:
            self._reporting.register(case)
        try:
            if ready is not None:
                # What its sending means in memory can wait until it is on the wire.
                self._sending.release(cases[0], ready)
                await asyncio.sleep(0)
        finally:
            for case, attempt in zip(cases, attempts, strict=True):
                self._begin(case, attempt)

    def _tell(self, cases: Sequence[Case]) -> None:
        try:
            self._s.writer.publish()
        finally:
            for case in cases:
                case.is_booked = True
                case.wake()

    async def _open_without_storage(
        self,
        cases: Sequence[Case],
        cause: Sequence[Event],
        attempts: Sequence[Attempt | None],
        turn: int,
        text: str,
    ) -> None:
        events = list(cause)
        for case, prepared in zip(cases, attempts, strict=True):
            attempt = self._without_storage(case, prepared)
            events += self._opening(case, attempt)
            self._reporting.register(case)
            self._begin(case, attempt)
            case.is_unwritten = True
        self._s.writer.hold(events, turn)
        self._s.writer.put_off(events)
        for case in cases:
            # What waits for a backstop to let its coins go is told when it leaves.
            if case.attempts:
                await self._unrecorded.tell(case, text)

    def _opening(self, case: Case, attempt: Attempt | None) -> Sequence[Event]:
        now = self._s.now()
        if case.is_held:
            case.intent = replace(case.intent, state=IntentState.BLOCKED, reason=str(HELD))
            case.reminded_s = self._s.monotonic()
        events: list[Event] = [IntentOpened(case.intent, now)]
        events += [
            AttemptPrepared(one, now)
            if one.state is AttemptState.UNKNOWN
            else AttemptChanged(one, "its decision was made anew", now)
            for one in case.attempts
        ]
        if attempt is not None:
            events.append(AttemptPrepared(attempt, now))
        if case.is_held:
            events += self._booking.told(case)
        return events

    def _without_storage(self, case: Case, prepared: Attempt | None) -> Attempt | None:
        is_alone = not (case.attempts or self._s.in_the_way(case) or self._running.must_ask(case))
        return self._unrecorded.attempt(case, prepared) if is_alone else prepared
