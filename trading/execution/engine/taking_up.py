"""What a start takes up: decisions that were open, asked about first and carried out afterwards."""

import asyncio
import logging
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime

from trading.domain.errors import UmbraError
from trading.domain.order import Attempt, Side
from trading.execution import reconcile
from trading.execution.engine import alerting
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.proving import Proving
from trading.execution.engine.recovery import Recovery
from trading.execution.engine.reporting import Reporting
from trading.execution.engine.surroundings import Surroundings
from trading.execution.reconcile import Difference, Finding
from trading.ports.storage import StoredState

logger = logging.getLogger(__name__)
_SWEPT_AT_START = 40


class TakingUp:
    """Finds out what became of all that was open, and carries it on; `begin` has a case go on."""

    def __init__(
        self,
        surroundings: Surroundings,
        booking: Booking,
        recovery: Recovery,
        reporting: Reporting,
        proving: Proving,
        begin: Callable[[Case, Attempt | None], None],
    ) -> None:
        self._s = surroundings
        self._booking = booking
        self._recovery = recovery
        self._reporting = reporting
        self._proving = proving
        self._begin = begin
        # What was found and is not carried out yet.
        self._found: Sequence[Case] = ()

    async def recover(
        self, state: StoredState, whole_at: Mapping[str, datetime] | None = None
    ) -> Sequence[str]:
        """Take up everything that was open, and ask the exchange once; `go_on` carries it out.

        Whatever was journaled is treated as maybe sent. Returns a sentence per decision; none ends
        before `go_on`, so that the caller can load what ends with it. What others sold before the
        account last showed all that is managed (`whole_at`, by asset) took none of it.
        """
        for attempt_case in await self._recovery.watched(state.watched_attempts):
            self._reporting.register(attempt_case)
        cases = self._found = await self._recovery.cases(state)
        for case in cases:
            case.is_booked = True
            self._s.cases[case.intent.intent_id] = case
            self._reporting.register(case)
        # What is booked from here on is told as it is booked.
        for excess in await self._recovery.excess(state.intents):
            self._s.on_excess(excess)
        await self._recovery.look(cases)
        held = {*state.positions, *self._s.portfolio_of().positions}
        # A purchase that an older journal does not know has left nothing that is held.
        held |= {tracker.symbol for tracker in state.trackers if tracker.side is Side.BUY}
        working = {case.intent.symbol for case in cases}
        # More would use the exchange's budget up; the rest is compared by `reconcile`, in turns.
        symbols = working | set(sorted(held & set(self._s.rules))[:_SWEPT_AT_START])
        self._reporting.is_telling_orphans = False
        if state.lost is not None:
            # What fired and sold in the time that is missing must not do so again.
            symbols |= {tracker.symbol for tracker in state.trackers} & set(self._s.rules)
        if ended := alerting.taken_up(cases, state.alerts, self._s.now()):
            await self._s.writer.keep(*ended)
        lines = list(self._recovery.report(cases))
        try:
            findings = await self._recovery.sweep(symbols, whole_at)
        except UmbraError as error:
            lines.append(f"the exchange could not be compared with the journal yet: {error.words}")
        else:
            short = {each.asset for each in findings if each.kind is Difference.SHORT}
            lines += [
                reconcile.sentence(finding) for finding in findings if _is_news(finding, short)
            ]
        self._reporting.is_telling_orphans = True
        return lines

    def go_on(self) -> None:
        """Carry out what was taken up, once everything is loaded that ends with it."""
        for case in self._found:
            self._begin(case, None)

    async def conclude(self) -> None:
        """Book what orders have done that ended before this start, and end their decisions.

        After `go_on`, and before anything is judged by what is held. What the exchange does not
        list yet is booked later: who sells the same coins waits for that.
        """
        taken_up, self._found = self._found, ()
        await asyncio.gather(*(self._conclude(case) for case in taken_up if case.live is None))

    async def _conclude(self, case: Case) -> None:
        try:
            await self._recovery.read_fills(case)
            # A backstop has one order; another decision may have sent one that is not known yet.
            if case.is_backstop or not self._proving.doubts(case):
                await self._booking.conclude(case)
        except Exception:
            # Others must be watched, whatever is wrong with this one: its own task goes on.
            logger.exception("case_not_concluded", extra={"intent": case.intent.intent_id})


def _is_news(finding: Finding, short: Container[str]) -> bool:
    # Orders without a record are told together.
    if finding.kind is Difference.ORPHAN:
        return False
    # What a person sold elsewhere, less what was bought, matters where managed coins are missing.
    is_sale = finding.kind is Difference.FOREIGN_SALE
    return not is_sale or (finding.asset in short and finding.quantity > 0)
