"""One decision while it is carried out: its attempts, its fills, and what stands in its way."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.instrument import base_and_quote
from trading.domain.money import ONE, ZERO, plain
from trading.domain.order import (
    Attempt,
    AttemptState,
    Fill,
    Intent,
    IntentState,
    OrderReport,
    OrderRequest,
    OrderType,
    Purpose,
    SendEvidence,
    Side,
)
from trading.execution import absence, ladder
from trading.execution.absence import Search
from trading.execution.classify import Cause
from trading.execution.engine.beforehand import Beforehand
from trading.execution.excess import too_much, unwound_at
from trading.execution.identity import client_order_id
from trading.execution.ladder import Block, Finish, Send
from trading.execution.reconcile import RESTING
from trading.execution.settings import AbsenceSettings


class Case:
    """The living side of an intent; who holds `lock` may change it."""

    __slots__ = (
        "_fills",
        "alerts",
        "attempts",
        "beforehand",
        "begun",
        "beyond",
        "book_read_s",
        "cancel_again_s",
        "cancels",
        "changed",
        "cleared_s",
        "empty_s",
        "ended_s",
        "fills_missing_s",
        "fresh_free",
        "giving_up",
        "has_ended",
        "insufficient",
        "intent",
        "is_alarmed",
        "is_band_refused",
        "is_booked",
        "is_held",
        "is_unwritten",
        "is_watch_only",
        "lock",
        "looked_s",
        "made_room_for",
        "number_from",
        "obstacle",
        "prepared_s",
        "refusals",
        "reminded_s",
        "search",
        "sending",
        "sends_s",
        "sent_s",
        "standing",
        "task",
        "told_unresolved",
        "told_unsent",
        "unbooked",
    )

    def __init__(
        self, intent: Intent, attempts: Iterable[Attempt] = (), fills: Iterable[Fill] = ()
    ) -> None:
        self.intent = intent
        self.attempts = list(attempts)
        # When this process first looked at it, by the wall and in monotonic seconds.
        self.begun: tuple[datetime, float] | None = None
        self._fills: dict[str, dict[str, Fill]] = {}
        self.lock = asyncio.Lock()
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.sending: asyncio.Task[SendEvidence] | None = None
        # The request of the attempt that is being written, on hold.
        self.beforehand: Beforehand | None = None
        self.search: Search | None = None
        # Monotonic seconds: when the present attempt was prepared and may have left.
        self.prepared_s = self.sent_s = 0.0
        self.ended_s = 0.0
        # How often the present order's cancel was asked for, and when it is to be asked for again.
        self.cancels, self.cancel_again_s = 0, float("-inf")
        # Monotonic seconds: when the book was last seen, or found by an order, to be empty.
        self.empty_s = float("-inf")
        self.book_read_s = float("-inf")
        self.sends_s: list[float] = []
        self.is_held = False
        # Whether its opening is booked, and with it the coins that came under care for it.
        self.is_booked = False
        # Whether its end is booked: it claims none of what is managed any more.
        self.has_ended = False
        # Whether its opening was refused by storage, and is kept in memory.
        self.is_unwritten = False
        # Kept only to recognise a late order of a decision that ended before this process began.
        self.is_watch_only = False
        # Base units bought too much that somebody takes care of already.
        self.beyond = ZERO
        # Base units of executions that are being written: a position learns of them after that.
        self.unbooked = ZERO
        self.giving_up: Finish | None = None
        self.obstacle: Block | None = None
        # Monotonic seconds: when the obstacle was met, or last looked at.
        self.looked_s = 0.0
        self.reminded_s = 0.0
        self.alerts = self.number_from = 0
        # Ids of the critical alarms that are still true, by what they are about.
        self.standing: dict[str, list[str]] = {}
        self.is_band_refused = False
        self.insufficient = 0
        self.refusals: Counter[Cause] = Counter()
        # Free units of what is sold or spent, when it was read afresh for the next attempt.
        self.fresh_free: Decimal | None = None
        self.fills_missing_s: float | None = None
        # Monotonic seconds: since when an exit waits for a backstop to let its coins go.
        self.cleared_s: float | None = None
        self.is_alarmed = False
        # The attempt that met an order of this account, and for which room was made.
        self.made_room_for = 0
        self.told_unsent = False
        self.told_unresolved: set[Severity] = set()
        for fill in fills:
            self._fills.setdefault(fill.client_order_id, {})[fill.trade_id] = fill

    @property
    def live(self) -> Attempt | None:
        """The one attempt that is not terminal."""
        return next((one for one in reversed(self.attempts) if not one.state.is_terminal), None)

    @property
    def unwanted(self) -> Sequence[Attempt]:
        """Attempts whose orders rest late: it has ended, or sent another one in their place."""
        is_over = self.is_watch_only or self.intent.state.is_terminal
        return [
            one
            for one in self.attempts
            if one.state in RESTING and (is_over or one is not self.live)
        ]

    @property
    def is_exit(self) -> bool:
        """Whether the intent sells now; a backstop only lies in wait."""
        return self.intent.purpose.reduces_risk and not self.is_backstop

    @property
    def is_backstop(self) -> bool:
        """Whether it is a stop that rests on the exchange, and locks its coins there."""
        return self.intent.purpose is Purpose.BACKSTOP

    @property
    def is_begun(self) -> bool:
        """Whether its opening is durable, or kept in memory: what follows may be written."""
        return self.is_booked or self.task is not None

    @property
    def next_number(self) -> int:
        """The number of the next attempt, and of the order that it sends."""
        return max([one.number for one in self.attempts], default=self.number_from) + 1

    @property
    def unwound_at(self) -> Decimal | None:
        """The base units that it had bought when the stop of its coins fired: more is too much."""
        return unwound_at(self.intent)

    @property
    def is_bare(self) -> bool:
        """Whether the exchange was asked to let a backstop go for it: nothing else protects now."""
        return self.cleared_s is not None

    @property
    def is_leaving(self) -> bool:
        """Whether it is such an exit, and nothing that is known keeps it from selling."""
        return self.is_bare and self.obstacle is None and not (self.is_held or self.giving_up)

    @property
    def wording(self) -> str:
        """What is wanted, for people: no id says anything to them."""
        base, quote = base_and_quote(self.intent.symbol)
        if self.intent.side is Side.BUY and self.intent.quote_budget is not None:
            return f"the purchase for {plain(self.intent.quote_budget)} {quote}"
        noun = "sale" if self.intent.side is Side.SELL else "purchase"
        return f"the {noun} of {plain(self.intent.quantity)} {base}"

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All executions, oldest first."""
        found = (fill for fills in self._fills.values() for fill in fills.values())
        return tuple(sorted(found, key=lambda fill: (fill.at, len(fill.trade_id), fill.trade_id)))

    @property
    def value(self) -> Decimal:
        """Quote units at risk: what still has to be done, at the price the decision saw."""
        left = self.intent.quantity - ladder.filled(self.attempts)
        return (self.intent.quote_budget or ZERO) + max(left, ZERO) * self.intent.reference_price

    @property
    def unfilled_live(self) -> Decimal:
        """Base units that a live order may still take."""
        live = self.live
        return live.request.quantity - live.filled_quantity if live else ZERO

    @property
    def residual(self) -> Decimal:
        """Base units that are still to be sold."""
        return max(self.intent.quantity - self.intent.filled_quantity, ZERO)

    @property
    def unlisted(self) -> Decimal:
        """Base units that orders filled and whose executions are not booked yet."""
        return ladder.filled(self.attempts) - self.intent.filled_quantity

    def attempt(self, order_id: str) -> Attempt | None:
        """The attempt with this client order id."""
        found = (one for one in self.attempts if one.client_order_id == order_id)
        return next(found, None)

    def known_fills(self, order_id: str) -> Mapping[str, Fill]:
        """Booked executions of one attempt by trade id."""
        return self._fills.get(order_id, {})

    def put(self, changed: Attempt, fills: Sequence[Fill] = ()) -> None:
        """Take an attempt's new value and its new executions; the intent's sums follow."""
        known = self._fills.setdefault(changed.client_order_id, {})
        known.update({fill.trade_id: fill for fill in fills})
        places = [place for place, one in enumerate(self.attempts) if one.number == changed.number]
        if places:
            self.attempts[places[0]] = changed
        else:
            self.attempts.append(changed)
        booked = self.fills
        self.intent = replace(
            self.intent,
            filled_quantity=sum((fill.quantity for fill in booked), ZERO),
            filled_notional=sum((fill.notional for fill in booked), ZERO),
            attempts=len(self.attempts),
        )

    def missing_fills(self) -> Sequence[Attempt]:
        """Terminal attempts that filled more than the executions that are listed."""
        return [
            one
            for one in self.attempts
            if one.state.is_terminal
            and sum(
                (fill.quantity for fill in self.known_fills(one.client_order_id).values()), ZERO
            )
            < one.filled_quantity
        ]

    def is_settled(self, now: datetime, settings: AbsenceSettings) -> bool:
        """Whether it has ended, all that it filled is booked, and none of its orders may appear."""
        return (
            self.intent.state.is_terminal
            and self.live is None
            and not any(absence.is_watched(one, now, settings) for one in self.attempts)
            and not self.missing_fills()
        )

    def prepare(self, send: Send, prefix: str, recv_window_ms: int, now: datetime) -> Attempt:
        """Return the next attempt, not yet part of the case: it is durable first."""
        number = self.next_number
        request = OrderRequest(
            client_order_id=client_order_id(prefix, self.intent.intent_id, number),
            symbol=self.intent.symbol,
            side=self.intent.side,
            order_type=send.order_type,
            quantity=send.quantity,
            price=send.price,
            time_in_force=send.time_in_force,
            recv_window_ms=recv_window_ms,
            stop_price=send.stop_price,
        )
        return Attempt(self.intent.intent_id, number, request, AttemptState.JOURNALED, now)

    @property
    def is_outdated(self) -> bool:
        """Whether its order rests at a price that its decision does not wait for any more."""
        live = self.live
        rests = live is not None and live.request.rests
        return rests and not ladder.is_resting(self.intent)

    def hurry(self) -> None:
        """Forget what has kept it from selling: it is tried as if it were decided anew."""
        self.obstacle = self.fresh_free = None
        self.refusals.clear()
        self.insufficient = 0
        if self.sending is None:
            self.sends_s.clear()
        self.wake()

    def wake(self) -> None:
        """Let whoever waits for this case look again."""
        self.changed.set()


def watch_only(
    attempts: Sequence[Attempt],
    fills: Iterable[Fill] = (),
    decided: Intent | None = None,
    ended: Intent | None = None,
) -> Case:
    """Return a case that recognises orders of a decision which ended before this process began.

    `decided` is what was wanted, where the journal still tells it, and `ended` how that ended.
    """
    case = Case(decided or _guessed(attempts), attempts, fills)
    case.intent = replace(case.intent, state=IntentState.DONE)
    if ended is not None:
        sold = sum((fill.quantity for fill in case.fills), ZERO)
        case.intent = replace(case.intent, let_go=ended.still_let_go(sold))
    case.is_watch_only = True
    case.beyond = too_much(case.intent, case.fills)
    return case


def adopted(report: OrderReport, intent: Intent, number: int) -> Attempt:
    """Return the attempt that an order of ours must have been, from what the exchange tells."""
    request = OrderRequest(
        client_order_id=report.client_order_id,
        symbol=report.symbol,
        side=report.side,
        order_type=OrderType.LIMIT if report.price else OrderType.MARKET,
        quantity=report.quantity,
        price=report.price or None,
    )
    return Attempt(intent.intent_id, number, request, AttemptState.UNKNOWN, intent.created_at)


def _guessed(attempts: Sequence[Attempt]) -> Intent:
    first = attempts[0]
    request = first.request
    return Intent(
        intent_id=first.intent_id,
        symbol=request.symbol,
        side=request.side,
        purpose=Purpose.CLOSE if request.side is Side.SELL else Purpose.ENTRY,
        reference_price=request.price or ONE,
        created_at=first.prepared_at,
        quantity=request.quantity,
    )
