"""What became of an order: queries, lists and executions, until it is found or proven absent."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from trading.domain.chat import Severity
from trading.domain.errors import AuthLost, Retryable, Unreachable
from trading.domain.order import Attempt, AttemptState, OrderReport, SendEvidence
from trading.execution import absence, ladder
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.sending import Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.lifecycle import Observed, advance, merge

logger = logging.getLogger(__name__)
_NO_ANSWER = (Retryable, AuthLost)
# An exchange may say that it does not know an order which rests all the same: a stop waits for it.
_CANCEL_AGAIN_S = 0.5
_CANCEL_AGAIN_S_MAX = 10.0
_CANCELS_COUNTED = 5


class Searching:
    """Looks for live orders; an unreachable exchange never counts as an answer."""

    def __init__(self, surroundings: Surroundings, booking: Booking, sending: Sending) -> None:
        self._s = surroundings
        self._booking = booking
        self._sending = sending
        # Cancels on their way, some of them of orders that are known to have ended.
        self._cancels: set[asyncio.Task[SendEvidence]] = set()
        # Those of orders that nobody wants, with all that follows from their answers, by order.
        self._unwanted: dict[str, asyncio.Task[None]] = {}

    async def step(self, case: Case, live: Attempt, most_s: float = float("inf")) -> None:
        """Wait until the next query is due, ask, and note what that proves; or wait `most_s`."""
        settings = self._s.settings.absence
        if case.search is None:
            now_s = self._s.monotonic()
            case.search = absence.search(live.request, case.sent_s, now_s, settings)
        wait_s = absence.next_query_s(case.search, settings) - self._s.monotonic()
        if wait_s > 0:
            await self._s.wait(case, min(wait_s, most_s))
            return
        await self.query(case, live)
        await self._complain(case)

    async def query(self, case: Case, live: Attempt) -> bool:
        """Ask for the order once; whether the exchange gave any answer."""
        if not self._s.is_listed(live.request.symbol):
            return False
        now_s = self._s.monotonic()
        if case.search is not None:
            case.search = absence.asked(case.search, now_s)
        try:
            report = await self._s.read(
                self._s.gateway.order(live.request.symbol, live.client_order_id)
            )
        except _NO_ANSWER as error:
            logger.info("query_unanswered", extra={"error": str(error)})
            if case.search is not None and isinstance(error, Unreachable):
                case.search = absence.unanswered(case.search)
            return False
        if case.search is not None:
            case.search = absence.answered(case.search)
        if report is not None:
            await self.found(case, report, "found by query")
        elif live.state is AttemptState.UNKNOWN:
            await self._not_found(case, live)
        return True

    async def found(self, case: Case, report: OrderReport, text: str) -> None:
        """Merge a report of this case."""
        async with case.lock:
            attempt = case.attempt(report.client_order_id)
            if attempt is None:
                return
            known = case.known_fills(attempt.client_order_id)
            await self._booking.merged(case, merge(attempt, report, known), text)

    async def _not_found(self, case: Case, live: Attempt) -> None:
        settings = self._s.settings.absence
        if case.search is None:
            return
        case.search = absence.not_found(case.search, self._s.monotonic(), settings)
        if absence.needs_lists(case.search, settings) and await self._lists_agree(case, live):
            case.search = absence.lists_agree(case.search, self._s.monotonic())
        if not self._s.is_clock_known:
            await self._sending.measure_clock()
        if not absence.is_proved(case.search, settings, is_clock_known=self._s.is_clock_known):
            return
        async with case.lock:
            attempt = case.attempt(live.client_order_id)
            if attempt is None or attempt.state is not AttemptState.UNKNOWN:
                return
            text = absence.evidence(case.search)
            case.search = None
            await self._booking.note(case, advance(attempt, Observed.ABSENCE_PROVED, text), text)

    async def _lists_agree(self, case: Case, live: Attempt) -> bool:
        symbol, order_id = live.request.symbol, live.client_order_id
        since = live.prepared_at - timedelta(seconds=self._s.settings.absence.lookback_s)
        try:
            open_orders = await self._s.read(self._s.gateway.open_orders(symbol))
            all_orders = await self._s.read(self._s.gateway.orders_since(symbol, since))
            fills = await self._s.read(self._s.gateway.fills_since(symbol, since))
        except _NO_ANSWER as error:
            logger.info("lists_unanswered", extra={"error": str(error)})
            return False
        for report in (*open_orders, *all_orders):
            if report.client_order_id == order_id:
                await self.found(case, report, "found in a list")
                return False
        return not any(fill.client_order_id == order_id for fill in fills)

    async def complete_fills(self, case: Case) -> None:
        """Read executions that a report did not list; a late list is waited for, then told."""
        waited_s = await self.look_for_fills(case)
        if waited_s is not None:
            at_most_s = self._s.settings.absence.query_every_s
            await self._s.wait(case, min(max(waited_s, 0.25), at_most_s))

    async def look_for_fills(self, case: Case) -> float | None:
        """Read them once; returns for how many seconds they are missing, None once they are not.

        A person is told of those that are missing for long.
        """
        if case.missing_fills() and case.fills_missing_s is None:
            case.fills_missing_s = self._s.monotonic()
        since_s = case.fills_missing_s
        if since_s is None or not self._s.is_listed(case.intent.symbol):
            return None
        await self.read_fills(case)
        if not case.missing_fills():
            case.fills_missing_s = None
            await self._booking.over(case, "fills")
            return None
        waited_s = self._s.monotonic() - since_s
        if waited_s > self._s.settings.fills_deadline_s:
            case.fills_missing_s = self._s.monotonic()
            await self._booking.alert(
                case,
                "fills",
                f"{case.intent.symbol}: an order was filled, but the exchange has not listed its "
                f"executions for {waited_s:.0f} s; the position is not booked yet",
            )
        return waited_s

    async def read_fills(self, case: Case) -> None:
        """Read executions that a report did not list, once."""
        if not self._s.is_listed(case.intent.symbol):
            return
        for attempt in case.missing_fills():
            await self._complete(case, attempt)

    async def _complete(self, case: Case, attempt: Attempt) -> None:
        since = attempt.prepared_at - timedelta(seconds=self._s.settings.absence.lookback_s)
        try:
            listed = await self._s.read(self._s.gateway.fills_since(attempt.request.symbol, since))
        except _NO_ANSWER as error:
            logger.info("fills_unanswered", extra={"error": str(error)})
            return
        async with case.lock:
            current = case.attempt(attempt.client_order_id) or attempt
            known = case.known_fills(attempt.client_order_id)
            new = {
                fill.trade_id: fill
                for fill in listed
                if fill.client_order_id == attempt.client_order_id and fill.trade_id not in known
            }
            if new:
                text = f"{len(new)} executions listed"
                await self._booking.note(case, current, text, tuple(new.values()))

    async def cancel(self, case: Case, live: Attempt) -> None:
        """Ask to cancel an order; only a report or a query says what came of it."""
        async with case.lock:
            # What was waited for may have told more of it.
            known = case.attempt(live.client_order_id) or live
            if known.state.is_terminal:
                return
            # One that was sent in its place is looked for by itself.
            is_newest = case.live is known
            asked = advance(known, Observed.CANCEL_ASKED)
            if asked is not known:
                await self._booking.note(case, asked, "cancel asked")
                if is_newest:
                    case.cancels, case.sent_s = 0, self._s.monotonic()
        if is_newest:
            case.search = None
            pause_s = min(_CANCEL_AGAIN_S * 2**case.cancels, _CANCEL_AGAIN_S_MAX)
            case.cancels = min(case.cancels + 1, _CANCELS_COUNTED)
            case.cancel_again_s = self._s.monotonic() + pause_s
        evidence = await self._answer(case, live)
        if evidence is None:
            return
        if evidence.report is not None:
            await self.found(case, evidence.report, "answer to the cancel")
            return
        await self.query(case, case.attempt(live.client_order_id) or live)

    def cancel_unwanted(self, case: Case, live: Attempt) -> None:
        """Have an order cancelled that nobody waits for; returns at once, as its answer may not."""
        order_id = live.client_order_id
        if order_id not in self._unwanted:
            cancelling = asyncio.create_task(self._cancel_unwanted(case, live))
            self._unwanted[order_id] = cancelling
            cancelling.add_done_callback(lambda _: self._unwanted.pop(order_id))

    async def _cancel_unwanted(self, case: Case, live: Attempt) -> None:
        try:
            await self.cancel(case, live)
        except Exception:
            # It is asked for again as long as it rests.
            logger.exception("cancel_failed", extra={"order": live.client_order_id})

    @property
    def asking(self) -> Sequence[asyncio.Task[SendEvidence] | asyncio.Task[None]]:
        """What an end must not leave behind."""
        return [*self._cancels, *self._unwanted.values()]

    async def _answer(self, case: Case, live: Attempt) -> SendEvidence | None:
        """Return what came of a cancel, None where the order has ended before that was answered."""
        asking = asyncio.create_task(
            self._s.gateway.cancel(live.request.symbol, live.client_order_id)
        )
        self._cancels.add(asking)
        asking.add_done_callback(self._cancels.discard)
        asking.add_done_callback(lambda _: case.wake())
        try:
            while not asking.done():
                known = case.attempt(live.client_order_id)
                if known is not None and known.state.is_terminal:
                    return None
                case.changed.clear()
                await case.changed.wait()
        except asyncio.CancelledError:
            asking.cancel()
            raise
        return asking.result()

    async def _complain(self, case: Case) -> None:
        live = case.live
        if live is None or case.search is None or ladder.is_resting(case.intent):
            return
        waited_s = self._s.monotonic() - case.sent_s
        told = case.told_unresolved
        limits = (
            (Severity.CRIT, self._s.settings.unresolved_crit_s),
            (Severity.WARN, self._s.settings.unresolved_warn_s),
        )
        for severity, after_s in limits:
            if waited_s > after_s and severity not in told:
                told.add(severity)
                text = (
                    f"{case.intent.symbol}: for {waited_s:.0f} s the exchange has not said what "
                    f"became of {case.wording}; nothing is sent twice"
                )
                await self._booking.alert(case, "unresolved", text, severity)
                return
        await self._booking.tell_unanswered(case)
