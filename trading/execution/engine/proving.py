"""Decisions from before a start, which an older journal may have carried out: asked for first.

Ids are derived, so that a decision made twice would go out twice under one id, once the first order
is done. A journal that was put back as a whole does not know that it is old, and only the exchange
can tell: by its lists of a symbol, or by the id that would be sent next. The candles of the missing
time may tell as well that no rule has come true in it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from trading.domain.errors import AuthLost, Retryable
from trading.domain.order import OrderReport
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings
from trading.execution.identity import client_order_id

logger = logging.getLogger(__name__)
_ASK_AGAIN_S = 1.0
_TOLD = "unproven"

Apply = Callable[[OrderReport, str], Awaitable[None]]


class Proving:
    """Keeps the decisions that may have been carried out unseen, and asks before one goes out."""

    def __init__(self, surroundings: Surroundings, booking: Booking, apply: Apply) -> None:
        self._s = surroundings
        self._booking = booking
        self._apply = apply
        # Ids of decisions by their symbol.
        self._doubted: dict[str, set[str]] = {}
        # When the journal was last known to be the newest.
        self.since: datetime | None = None
        # Monotonic seconds: from when on nothing that was sent before the start can still appear.
        self._settled_s = float("-inf")
        # The same for decisions that a process before this one marked as sent without a record: not
        # all of them are known to a journal that could not be written.
        self._unrecorded_settled_s = float("-inf")
        self._unrecorded: set[str] = set()

    def doubt(self, symbols: Mapping[str, str], since: datetime) -> None:
        """Take the ids of decisions, each with its symbol, and the moment of the last record."""
        self._doubted, self.since = {}, since
        for intent_id, symbol in symbols.items():
            self._doubted.setdefault(symbol, set()).add(intent_id)
        absence = self._s.settings.absence
        settled = absence.sent_late_s
        # A clock that was set back must not make a sale wait for longer.
        left_s = settled - (self._s.now() - since).total_seconds()
        self._settled_s = self._s.monotonic() + min(max(left_s, 0.0), settled)
        # It may have left until the end, which no record tells, and be listed as late as any order.
        self._unrecorded_settled_s = self._s.monotonic() + absence.settled_s(
            absence.exit_recv_window_ms
        )
        self._unrecorded = set(self._s.unrecorded.keys)

    def doubts(self, case: Case) -> bool:
        """Whether the next order of a case may have been sent by a process before this one."""
        intent_id = case.intent.intent_id
        doubted = self._doubted.get(case.intent.symbol, ())
        return intent_id in self._unrecorded or intent_id in doubted

    def trust(self, symbols: Iterable[str]) -> None:
        """Nothing was sent of these symbols in the missing time that is not known by now."""
        for symbol in symbols:
            # What is marked stays in doubt by its mark.
            self._doubted.pop(symbol, None)

    def compared(self, symbol: str) -> None:
        """The exchange has listed a symbol's orders: believed once nothing is on its way."""
        if self._s.monotonic() >= self._settled_s:
            self.trust([symbol])

    async def ask(self, case: Case) -> None:
        """Look for the order that would be sent next; without an answer, wait and tell it."""
        intent = case.intent
        order_id = client_order_id(self._s.prefix, intent.intent_id, case.next_number)
        try:
            report = await self._s.read(self._s.gateway.order(intent.symbol, order_id))
        except (Retryable, AuthLost) as error:
            logger.info("query_unanswered", extra={"error": str(error)})
            await self._tell(case)
            await self._s.wait(case, _ASK_AGAIN_S)
            return
        await self._booking.over(case, _TOLD)
        if report is not None:
            await self._apply(report, "found before it was sent again")
        elif (left_s := self._settles_s(intent.intent_id) - self._s.monotonic()) > 0:
            await self._s.wait(case, left_s)
        else:
            self._doubted.get(intent.symbol, set()).discard(intent.intent_id)
            self._unrecorded.discard(intent.intent_id)
            self._s.unrecorded.arrive(intent.intent_id)

    def _settles_s(self, intent_id: str) -> float:
        is_unrecorded = intent_id in self._unrecorded
        return self._unrecorded_settled_s if is_unrecorded else self._settled_s

    async def _tell(self, case: Case) -> None:
        if _TOLD not in case.standing:
            await self._booking.alert(
                case,
                _TOLD,
                f"{case.intent.symbol}: {case.wording} waits until the exchange says whether it "
                "was made before this start; nothing is sent twice",
            )
