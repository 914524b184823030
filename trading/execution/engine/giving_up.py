"""Decisions that end before they are done: that is durable before their orders are cancelled."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from trading.domain.errors import NotCarriedOn, UmbraError
from trading.domain.events import Event, IntentChanged
from trading.domain.money import ZERO
from trading.domain.order import PANICKED, IntentState, Purpose
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings
from trading.execution.excess import UNWOUND, is_unwinding
from trading.execution.ladder import Finish

BY_PERSON = "given up by a person"
# As older versions wrote it before they decided the newer sale.
_FOR_NEWER = "a newer sale takes its coins"


class GivingUp:
    """Gives decisions up; each ends once the end of its order is proven, a restart between or not.

    What a start finds out anew needs no record: which backstops nobody wants, or what is in the way
    of an exit.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._s = surroundings

    async def ordered(
        self,
        intent_ids: Iterable[str],
        reason: str,
        cause: Sequence[Event],
        *,
        reserve: bool,
        at_once: Sequence[Event] = (),
    ) -> None:
        """Write a command with what it gives up; raises StorageLost, and gives it up all the same.

        Nobody can tell then whether it was written: it is carried out, with those facts of the
        cause that hold `at_once`, and whoever gave it is told that it has to be given again.
        """
        ids = list(intent_ids)
        # A word that is given once more goes on from what the first one left in memory.
        is_sequel = not reserve or bool(self._open(ids))
        cases = self._at_work(ids, reason)
        with self._one_fact(cases, reason) as noted:
            events, lost = await self._s.writer.insist(
                cause, noted, at_once, is_exit=reserve, is_sequel=is_sequel
            )
        self._s.writer.publish(events)
        if lost is not None:
            raise lost

    async def unwound(self, symbol: str, cause: Sequence[Event]) -> None:
        """Write what has fired and cannot sell yet, and give up the same entries with it."""
        with self.unwinding(symbol) as noted:
            events = [*cause, *noted]
            await self._s.writer.write(*events, is_exit=False, is_sequel=bool(noted))
        self._s.writer.publish(events)

    @contextmanager
    def unwinding(self, symbol: str) -> Iterator[Sequence[Event]]:
        """Give up what has bought a part of what a stop sells now; what it still buys goes, too.

        The block writes these events in the transaction of what has fired; where that cannot be,
        nothing is given up.
        """
        with self._one_fact(self._at_work(self.bought_into(symbol), UNWOUND), UNWOUND) as noted:
            yield noted

    @contextmanager
    def panicking(self) -> Iterator[Sequence[Event]]:
        """The same of all entries, as everything is sold."""
        with self._one_fact(self._at_work(self.entries, PANICKED), PANICKED) as noted:
            yield noted

    @property
    def entries(self) -> Sequence[str]:
        """The ids of all open entries."""
        cases = self._s.cases.values()
        return [one.intent.intent_id for one in cases if one.intent.purpose is Purpose.ENTRY]

    def bought_into(self, symbol: str) -> Sequence[str]:
        """Return the ids of entries that have bought a part of what is held of a symbol."""
        return [
            case.intent.intent_id
            for case in self._s.cases.values()
            if case.intent.symbol == symbol
            and case.intent.purpose is Purpose.ENTRY
            and case.intent.filled_quantity > 0
        ]

    async def follows(self, intent_ids: Iterable[str], reason: str) -> None:
        """Give decisions up, whatever storage says: what follows from a fact that is durable."""
        cases = self._at_work(intent_ids, reason)
        events = self._noted(cases, reason)
        _end(cases)
        if events:
            await self._s.writer.keep(*events)

    def withdraw(self, intent_id: str, reason: str) -> None:
        """Take a backstop off the exchange; it ends once that is proven."""
        case = self._s.cases.get(intent_id)
        if case is not None and case.is_backstop and case.giving_up is None:
            case.giving_up = Finish(IntentState.ABORTED, reason)
            case.wake()

    async def settle(self, intent_ids: Iterable[str]) -> None:
        """Wait a moment for the ends of these decisions; what takes longer ends by itself."""
        found = (self._s.cases.get(intent_id) for intent_id in intent_ids)
        open_yet = {case.task for case in found if case is not None and case.task is not None}
        alarm = asyncio.ensure_future(self._s.sleep(self._s.settings.stop_deadline_s))
        try:
            while open_yet and not alarm.done():
                await asyncio.wait({alarm, *open_yet}, return_when=asyncio.FIRST_COMPLETED)
                open_yet = {task for task in open_yet if not task.done()}
        finally:
            alarm.cancel()

    def _open(self, intent_ids: Iterable[str]) -> list[Case]:
        # One may have ended since it was counted.
        found = (self._s.cases.get(intent_id) for intent_id in intent_ids)
        return [case for case in found if case is not None and not case.intent.state.is_terminal]

    def _at_work(self, intent_ids: Iterable[str], reason: str) -> list[Case]:
        # One may have been given up since it was counted. Whatever else gave it up: what it buys
        # after a stop has fired, or a panic, is not wanted.
        is_sold = is_unwinding(reason)
        return [
            case
            for case in self._open(intent_ids)
            if not case.intent.given_up or (is_sold and case.unwound_at is None)
        ]

    @contextmanager
    def _one_fact(self, cases: Sequence[Case], reason: str) -> Iterator[Sequence[Event]]:
        before = [(case, case.intent, case.beyond) for case in cases]
        try:
            yield self._noted(cases, reason)
        except NotCarriedOn:
            # It is written; what is booked until the process ends goes on from there.
            _end(cases)
            raise
        except UmbraError:
            for case, known, beyond in before:
                case.beyond = beyond
                case.intent = replace(
                    case.intent, given_up=known.given_up, given_up_filled=known.given_up_filled
                )
            raise
        except BaseException:
            # Who asked has gone away; what he began is written nevertheless.
            _end(cases)
            raise
        _end(cases)

    def _noted(self, cases: Sequence[Case], reason: str) -> list[Event]:
        now, events = self._s.now(), list[Event]()
        for case in cases:
            # What is not booked yet is held by nobody: whoever sells now does not sell it.
            done = case.intent.filled_quantity - case.unbooked
            case.intent = replace(case.intent, given_up=reason, given_up_filled=done)
            if is_unwinding(reason):
                # Counted from here on.
                case.beyond = ZERO
            if case.is_begun:
                # Of one that is just being opened there must be no record before that.
                events.append(IntentChanged(case.intent, now))
        return events


def taken_up(case: Case) -> None:
    """Let a decision that was given up before a restart end, as it would have without one.

    A stop that an older version gave up for a closing goes on: whether that was ever decided, only
    who asked for it can tell.
    """
    reason = case.intent.given_up
    if reason == _FOR_NEWER and case.intent.purpose is Purpose.PROTECT:
        case.intent = replace(case.intent, given_up="", given_up_filled=ZERO)
        return
    if not reason:
        return
    case.giving_up = Finish(IntentState.ABORTED, reason)


def _end(cases: Iterable[Case]) -> None:
    for case in cases:
        case.giving_up = Finish(IntentState.ABORTED, case.intent.given_up)
        case.wake()
