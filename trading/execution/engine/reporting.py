"""Reports of the user stream: every one of ours finds its attempt, or raises an alarm."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.events import (
    AlertRaised,
    AttemptChanged,
    AttemptPrepared,
    FillBooked,
    IntentClosed,
    IntentOpened,
)
from trading.domain.money import ONE
from trading.domain.order import Attempt, AttemptState, Fill, Intent, OrderReport, Purpose, Side
from trading.execution import identity, reconcile
from trading.execution.engine.case import Case, adopted, watch_only
from trading.execution.engine.searching import Searching
from trading.execution.engine.surroundings import Surroundings
from trading.execution.identity import is_ours

logger = logging.getLogger(__name__)
# Ended decisions that are kept whole, for reports that come late or twice.
_ENDED_KEPT = 200
# Orders of older ones, by id alone: what the exchange lists of a day names them again and again.
_SETTLED_KEPT = 20_000
_JOURNAL_SCANNED = 5000
_SEEN_ENDS = frozenset({AttemptState.FILLED, AttemptState.CANCELED, AttemptState.EXPIRED})
# What the journal says of an order and of the decision behind it.
_TELLING = tuple(
    kind.__name__
    for kind in (IntentOpened, AttemptPrepared, AttemptChanged, FillBooked, IntentClosed)
)


class Reporting:
    """Takes reports in a plain call and applies them in order (tx C).

    The queue is bounded: past its size a report is dropped and its instrument is swept over REST,
    where the same facts stand.
    """

    def __init__(self, surroundings: Surroundings, searching: Searching) -> None:
        self._s = surroundings
        self._searching = searching
        self._queue: deque[OrderReport] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._stems: OrderedDict[str, Case] = OrderedDict()
        # What each order of a decision that is kept no more has filled, all of it booked.
        self._settled: OrderedDict[str, Decimal] = OrderedDict()
        self._overflowed: set[str] = set()
        self.orphans: dict[str, OrderReport] = {}
        self._orphaned_s: dict[str, float] = {}
        # Orders that nobody claimed, by the stem of their ids.
        self.adopted: dict[str, Case] = {}
        self.sweep: Callable[[set[str]], Awaitable[object]] | None = None
        # Whether each is told as it appears; what a start finds is told together.
        self.is_telling_orphans = True

    def register(self, case: Case, stem: str = "") -> None:
        """Let reports of a case's orders find it, also for a while after it is closed.

        `stem` is what their ids begin with where the decision itself is not known.
        """
        self._stems[stem or identity.stem(self._s.prefix, case.intent.intent_id)] = case

    def forget_old(self) -> None:
        """Keep the newest ended cases, and of older ones what their orders have filled."""
        now, settings = self._s.now(), self._s.settings.absence
        settled = [stem for stem, case in self._stems.items() if case.is_settled(now, settings)]
        for stem in settled[:-_ENDED_KEPT]:
            for attempt in self._stems.pop(stem).attempts:
                # What the exchange was never seen to have must be news when it has it.
                if attempt.state in _SEEN_ENDS:
                    self._settled[attempt.client_order_id] = attempt.filled_quantity
        while len(self._settled) > _SETTLED_KEPT:
            self._settled.popitem(last=False)

    def case_of(self, order_id: str) -> Case | None:
        """The case whose attempt carries this client order id."""
        case = self._stems.get(order_id.rpartition("-")[0])
        return case if case is not None and case.attempt(order_id) is not None else None

    def known(self) -> list[Case]:
        """Every case that is open or was closed not long ago."""
        return list(self._stems.values())

    def take(self, report: OrderReport) -> None:
        """Queue a report."""
        if len(self._queue) >= self._s.settings.reports_max:
            self._overflowed.add(report.symbol)
            logger.error("reports_overflowed", extra={"symbol": report.symbol})
            return
        self._queue.append(report)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._queue or self._overflowed:
            while self._queue:
                report = self._queue.popleft()
                try:
                    if self._is_second(report):
                        # Only lists tell of both: they say what was carried out twice.
                        self._overflowed.add(report.symbol)
                    await self.apply(report)
                except Exception:
                    # The next report must not suffer for this one; the 10 s check asks again.
                    logger.exception("report_failed", extra={"order": report.client_order_id})
            if self._overflowed and self.sweep is not None:
                symbols, self._overflowed = self._overflowed, set()
                await self.sweep(symbols)

    async def apply(self, report: OrderReport, text: str = "user stream") -> None:
        """Merge one report into its attempt, or say that nobody knows it."""
        if not is_ours(report.client_order_id, self._s.prefix) or self._is_settled(report):
            return
        case = self.case_of(report.client_order_id)
        if case is None and report.client_order_id not in self.orphans:
            case = await self._remembered(report.client_order_id)
        if case is None:
            await self._orphan(report)
            await self._take_over(report)
            return
        before = case.attempt(report.client_order_id)
        await self._searching.found(case, report, text)
        after = case.attempt(report.client_order_id)
        was_absent = before is not None and before.state is AttemptState.ABSENT
        is_unwanted = was_absent or case.is_watch_only
        if is_unwanted and after is not None and not after.state.is_terminal:
            # Something else may have been sent in its place: it must not fill on top.
            self._searching.cancel_unwanted(case, after)

    def _is_second(self, report: OrderReport) -> bool:
        case = self.case_of(report.client_order_id)
        known = case.attempt(report.client_order_id) if case is not None else None
        ours = known.exchange_order_id if known is not None else None
        return bool(ours and report.exchange_order_id) and ours != report.exchange_order_id

    def _is_settled(self, report: OrderReport) -> bool:
        booked = self._settled.get(report.client_order_id)
        if booked is None or not report.status.is_terminal:
            return False
        return report.filled_quantity <= booked

    async def _orphan(self, report: OrderReport) -> None:
        order_id = report.client_order_id
        if order_id in self.orphans:
            self.orphans[order_id] = report
            return
        self.orphans[order_id] = report
        self._orphaned_s[order_id] = self._s.monotonic()
        if self.is_telling_orphans and not self._s.on_stranger(report):
            text = (
                "the exchange has an order of ours that the journal does not know; what it trades "
                f"counts. {reconcile.in_words(report)}"
            )
            await self._s.writer.keep(
                AlertRaised(f"orphan:{order_id}", Severity.CRIT, text, self._s.now())
            )

    async def _take_over(self, report: OrderReport) -> None:
        """Give an open decision an order of its own at once that no record tells of.

        A copy of the journal from before that order was put back. The decision must know what is
        sold before it goes on, and that the order's id is used up.
        """
        order_id = report.client_order_id
        case = self._stems.get(order_id.rpartition("-")[0])
        if case is None or case.is_watch_only or case.intent.state.is_terminal:
            return
        async with case.lock:
            if order_id not in self.orphans or case.attempt(order_id) is not None:
                return
            del self.orphans[order_id], self._orphaned_s[order_id]
            attempt = adopted(report, case.intent, identity.attempt_number(order_id))
            case.put(attempt)
            await self._s.writer.keep(AttemptPrepared(attempt, self._s.now()))
        await self._searching.found(case, report, "adopted: its decision is open")

    async def adopt_orphans(self) -> None:
        """Book what orders did that nobody claimed for a while: the position follows them.

        Right after a start the decision behind one may be made anew, and takes it over itself.
        """
        now_s = self._s.monotonic()
        for order_id, report in list(self.orphans.items()):
            if now_s - self._orphaned_s[order_id] >= self._s.settings.orphan_wait_s:
                await self.take_in(report)
        await self.complete_adopted()

    def claim(self, case: Case) -> Sequence[OrderReport]:
        """Give a decision its own orders, sent when storage was lost and found at a restart."""
        if not self.adopted and not self.orphans:
            return ()
        stem = identity.stem(self._s.prefix, case.intent.intent_id)
        known = self.adopted.pop(stem, None)
        for attempt in known.attempts if known is not None else ():
            # Taken in meanwhile: what it filled is booked, and no id of it is sent again.
            fills = known.known_fills(attempt.client_order_id) if known is not None else {}
            case.put(replace(attempt, intent_id=case.intent.intent_id), tuple(fills.values()))
        found = sorted(
            (
                report
                for order_id, report in self.orphans.items()
                if order_id.rpartition("-")[0] == stem
            ),
            key=lambda report: identity.attempt_number(report.client_order_id),
        )
        for report in found:
            number = identity.attempt_number(report.client_order_id)
            case.attempts.append(adopted(report, case.intent, number))
            del self.orphans[report.client_order_id], self._orphaned_s[report.client_order_id]
        return found

    async def complete_adopted(self) -> None:
        """Read the executions of orders that nobody claimed: lists of orders do not name them.

        One that still rests is cancelled: it would trade coins that known decisions count on.
        """
        for case in self.adopted.values():
            if case.live is not None:
                await self._tell_cancelled(case, case.live)
                await self._searching.cancel(case, case.live)
            if case.missing_fills():
                await self._searching.complete_fills(case)

    async def _tell_cancelled(self, case: Case, live: Attempt) -> None:
        if live.state is AttemptState.PENDING_CANCEL:
            return
        text = (
            f"{case.intent.symbol}: that order of ours ({live.client_order_id}) still rests and is "
            "cancelled: what is known here counts on its coins"
        )
        name = f"orphan_cancelled:{live.client_order_id}"
        await self._s.writer.keep(AlertRaised(name, Severity.WARN, text, self._s.now()))

    async def take_in(self, report: OrderReport) -> None:
        """Book what an order did that nobody claims; of a market that is gone it has to wait."""
        order_id = report.client_order_id
        if report.symbol not in self._s.rules:
            return
        del self.orphans[order_id], self._orphaned_s[order_id]
        stem, number = order_id.rpartition("-")[0], identity.attempt_number(order_id)
        case = self._stems.get(stem)
        intent = case.intent if case is not None else None
        attempt = adopted(report, intent or _unknown(stem, report), number)
        if case is None:
            case = watch_only([attempt], (), _unknown(stem, report))
            self.register(case, stem)
            self.adopted[stem] = case
        case.put(attempt)
        await self._s.writer.keep(AttemptPrepared(attempt, self._s.now()))
        await self._searching.found(case, report, "adopted: nobody claimed it")

    async def _remembered(self, order_id: str) -> Case | None:
        """Rebuild what the journal knows of an order from before this process, newest first."""
        attempt: Attempt | None = None
        decided: Intent | None = None
        ended: Intent | None = None
        fills: list[Fill] = []
        stem = order_id.rpartition("-")[0]
        for each in await self._s.writer.latest(_JOURNAL_SCANNED, _TELLING):
            event = each.event
            if isinstance(event, FillBooked):
                if event.fill.client_order_id.rpartition("-")[0] == stem:
                    fills.append(event.fill)
            elif isinstance(event, IntentOpened | IntentClosed):
                is_it = identity.stem(self._s.prefix, event.intent.intent_id) == stem
                if is_it and isinstance(event, IntentClosed):
                    ended = event.intent
                elif is_it:
                    decided = event.intent
            elif isinstance(event, AttemptPrepared | AttemptChanged):
                is_it = event.attempt.client_order_id == order_id
                attempt = event.attempt if is_it and attempt is None else attempt
        if attempt is None:
            return None
        case = self._stems.get(stem)
        if case is None:
            case = watch_only([attempt], fills, decided, ended)
            self.register(case, stem)
        case.put(attempt, [fill for fill in fills if fill.client_order_id == order_id])
        return case

    async def idle(self) -> None:
        """Wait until every queued report is applied."""
        while self._worker is not None and not self._worker.done():
            await asyncio.shield(self._worker)

    async def close(self) -> None:
        """Apply what is queued, then end."""
        await self.idle()


def _unknown(stem: str, report: OrderReport) -> Intent:
    return Intent(
        intent_id=f"orphan:{stem}",
        symbol=report.symbol,
        side=report.side,
        purpose=Purpose.CLOSE if report.side is Side.SELL else Purpose.ENTRY,
        reference_price=report.price or ONE,
        created_at=report.updated_at,
        quantity=report.quantity,
    )
