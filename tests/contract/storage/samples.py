"""Events for the tests of stores: one of each class, and histories that make sense."""

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from trading.domain import chat, events, order, position, tracker
from trading.domain.events import Event
from trading.domain.order import AttemptState, IntentState, Side
from trading.domain.tracker import TrackerChange, TrackerState

KINDS: tuple[type[Any], ...] = get_args(Event)
START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SYMBOLS = ("BTC/USDT", "ETH/USDT", "ADA/BTC")


def minimal(kind: Any) -> Any:
    """The plainest value of a type, for kinds of events that no history draws."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: minimal(hints[field.name]) for field in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if get_origin(kind) in {UnionType, Union}:
        return None if NoneType in get_args(kind) else minimal(get_args(kind)[0])
    plain = {str: "x", int: 1, bool: True, Decimal: Decimal("1.50"), datetime: START, tuple: ()}
    plain[date] = START.date()
    return plain[get_origin(kind) or kind]


def heartbeat(minute: int = 0) -> events.Heartbeat:
    return events.Heartbeat(START + timedelta(minutes=minute))


def armed(tracker_id: int, symbol: str = "BTC/USDT") -> events.TrackerChanged:
    spec = tracker.TrackerSpec(
        tracker.TrackerKind.TRAIL,
        symbol,
        tracker.Amount(tracker.AmountKind.ALL),
        level=Decimal("65000.10"),
        trail=tracker.Distance(Decimal("0.02")),
    )
    value = tracker.Tracker(
        tracker_id, spec, 42, Side.SELL, TrackerState.WATCHING, START, quantity=Decimal("0.50000")
    )
    return events.TrackerChanged(value, TrackerChange.ARMED, START)


def transaction_a(number: int, at: datetime = START) -> tuple[Event, ...]:
    """What must be durable before an order is sent: trigger, intent, attempt, message."""
    value = replace(armed(number).tracker, state=TrackerState.TRIGGERED)
    evidence = tracker.Evidence(
        Decimal("64000.1"), tracker.PriceKind.DECISION, "stream", 1, at, Decimal("64000.2"), "<="
    )
    request = order.OrderRequest(
        f"um{number}-1", value.symbol, Side.SELL, order.OrderType.MARKET, Decimal("0.5")
    )
    intent = order.Intent(
        f"i{number}", value.symbol, Side.SELL, order.Purpose.PROTECT, evidence.price, at
    )
    return (
        events.TrackerChanged(value, TrackerChange.TRIGGERED, at, evidence),
        events.IntentOpened(intent, at),
        events.AttemptPrepared(
            order.Attempt(intent.intent_id, 1, request, AttemptState.JOURNALED, at), at
        ),
        message(f"m{number}", at=at),
    )


def message(
    key: str,
    severity: chat.Severity = chat.Severity.INFO,
    card: str | None = None,
    at: datetime = START,
) -> events.MessageQueued:
    return events.MessageQueued(chat.OutboxMessage(key, 7, f"text {key}", at, severity, card=card))


def update(update_id: int) -> events.UpdateReceived:
    return events.UpdateReceived(chat.InboxUpdate(update_id, '{"text": "/status"}', START))


def fill(number: int, side: Side = Side.BUY, intent_id: str = "i1") -> events.FillBooked:
    booked = order.Fill(
        *("BTC/USDT", str(number), "um1-1", side, Decimal("0.3"), Decimal("64000.5")),
        *(Decimal("0.0003"), "BTC", START + timedelta(seconds=number)),
    )
    return events.FillBooked(booked, intent_id, "BTC", "USDT", booked.at)


class History:
    """Appends that a real agent could have made, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._at = START
        self._number = 0
        self._trackers: dict[int, tracker.Tracker] = {}
        self._intents: dict[str, order.Intent] = {}
        self._attempts: dict[str, order.Attempt] = {}
        self._seq = 0
        self._steps = (
            *(self._arm, self._change_tracker, self._open_intent, self._change_intent),
            *(self._change_attempt, self._fill, self._adjust, self._chat, self._question),
            *(self._mode, self._condition, self._alert, self._clockwork, self._person),
        )

    def appends(self, count: int) -> Iterator[tuple[Event, ...]]:
        """Yield `count` transactions in order."""
        first: tuple[Event, ...] = (
            events.Installed("id1", "um", "account", START),
            events.ProcessStarted("1", "paper", None, START),
        )
        yield first
        self._seq = len(first)
        for _ in range(count - 1):
            self._at += timedelta(milliseconds=self._random.randrange(4 * 3600 * 1000))
            made = tuple(self._random.choice(self._steps)())
            self._seq += len(made)
            yield made

    @property
    def now(self) -> datetime:
        """The time of the newest append."""
        return self._at

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _amount(self) -> Decimal:
        return Decimal(self._random.randrange(1, 10**18)).scaleb(-self._random.randrange(18))

    def _arm(self) -> Iterator[Event]:
        event = armed(self._next(), self._random.choice(SYMBOLS))
        event = replace(event, tracker=replace(event.tracker, armed_at=self._at), at=self._at)
        self._trackers[event.tracker.tracker_id] = event.tracker
        yield event

    def _change_tracker(self) -> Iterator[Event]:
        if self._trackers:
            number = self._random.choice(list(self._trackers))
            change, state = self._random.choice(
                [
                    (TrackerChange.TOUCHED, TrackerState.TRAILING),
                    (TrackerChange.MOVED, TrackerState.TRAILING),
                    (TrackerChange.CANCELLED, TrackerState.CANCELLED),
                    (TrackerChange.CLOSED, TrackerState.CLOSED),
                ]
            )
            value = replace(self._trackers[number], state=state, stop_price=self._amount())
            self._trackers[number] = value
            yield events.TrackerChanged(value, change, self._at)

    def _open_intent(self) -> Iterator[Event]:
        number = self._next()
        intent = order.Intent(
            *(f"i{number}", self._random.choice(SYMBOLS), self._random.choice(list(Side))),
            *(order.Purpose.CLOSE, self._amount(), self._at, self._amount()),
        )
        request = order.OrderRequest(
            f"um{number}-1", intent.symbol, intent.side, order.OrderType.MARKET, intent.quantity
        )
        attempt = order.Attempt(intent.intent_id, 1, request, AttemptState.JOURNALED, self._at)
        self._intents[intent.intent_id] = intent
        self._attempts[attempt.client_order_id] = attempt
        yield events.IntentOpened(intent, self._at)
        yield events.AttemptPrepared(attempt, self._at)
        yield message(f"m{number}", at=self._at)

    def _change_intent(self) -> Iterator[Event]:
        names = [name for name, one in self._intents.items() if not one.state.is_terminal]
        if names:
            name = self._random.choice(names)
            state = self._random.choice([IntentState.BLOCKED, IntentState.DONE, IntentState.OPEN])
            value = replace(self._intents[name], state=state, filled_quantity=self._amount())
            if state.is_terminal:
                value = replace(value, let_go=self._random.choice([Decimal(0), self._amount()]))
            self._intents[name] = value
            kind = events.IntentClosed if state.is_terminal else events.IntentChanged
            yield kind(value, self._at)

    def _change_attempt(self) -> Iterator[Event]:
        if self._attempts:
            name = self._random.choice(list(self._attempts))
            state = self._random.choice(list(AttemptState))
            self._attempts[name] = replace(self._attempts[name], state=state)
            yield events.AttemptChanged(self._attempts[name], "query said so", self._at)

    def _fill(self) -> Iterator[Event]:
        symbol = self._random.choice(SYMBOLS)
        base, quote = symbol.split("/")
        booked = order.Fill(
            *(symbol, str(self._next()), "um1-1", self._random.choice(list(Side))),
            *(self._amount(), self._amount(), self._amount()),
            *(self._random.choice([base, quote, "BNB"]), self._at),
            self._random.choice([None, self._amount()]),
        )
        is_late = booked.side is Side.SELL and self._random.random() < 0.3
        unmanaged = booked.quantity / 2 if is_late else Decimal(0)
        named = f"i{self._random.randrange(5)}"
        yield events.FillBooked(booked, named, base, quote, self._at, unmanaged)
        if self._random.random() < 0.3:
            trip = position.RoundTrip(
                *(symbol, f"r{self._next()}", self._amount(), None, self._amount()),
                *(-self._amount(), self._amount(), None, self._at, (("BNB", self._amount()),)),
            )
            yield events.RoundTripClosed(trip, self._at)

    def _adjust(self) -> Iterator[Event]:
        sign = self._random.choice([1, -1])
        yield events.PositionAdjusted(
            *(self._random.choice(SYMBOLS), sign * self._amount(), self._amount()),
            *(position.AdjustReason.ADOPTED, "", self._at),
        )

    def _chat(self) -> Iterator[Event]:
        number = self._next()
        yield update(number)
        if self._random.random() < 0.7:
            yield events.UpdateHandled(number, "answered", self._at)
            severity = self._random.choice(list(chat.Severity))
            yield message(f"m{number}", severity, self._random.choice([None, "card"]), self._at)
            yield events.EventsAddressed(self._seq, self._at)
        if self._random.random() < 0.5:
            yield events.MessageDelivered(f"m{self._next()}", None, "too old", self._at)
            key = f"m{self._next()}"
            yield message(key, card="card", at=self._at)
            yield events.MessageDelivered(key, self._number, "", self._at)

    def _question(self) -> Iterator[Event]:
        nonce = f"n{self._next()}"
        asked = chat.Confirmation(
            nonce, 1, 7, "panic", "{}", self._at, self._at + timedelta(minutes=1), "card"
        )
        yield events.ConfirmationAsked(asked)
        if self._random.random() < 0.5:
            answer = self._random.choice(list(chat.ConfirmationAnswer))
            yield events.ConfirmationAnswered(nonce, answer, 1, self._at)

    def _mode(self) -> Iterator[Event]:
        mode = self._random.choice(list(position.TradingMode))
        yield events.TradingModeChanged(mode, "because", "owner", self._at)

    def _condition(self) -> Iterator[Event]:
        name = self._random.choice(["STALE", "EXCHANGE_DOWN"])
        symbol = self._random.choice([None, *SYMBOLS])
        is_active = self._random.random() < 0.5
        yield events.ConditionChanged(name, symbol, is_active, chat.Severity.WARN, "", self._at)

    def _alert(self) -> Iterator[Event]:
        name = f"a{self._next()}"
        severity = self._random.choice(list(chat.Severity))
        yield events.AlertRaised(name, severity, "look", self._at)
        if self._random.random() < 0.5:
            yield events.AlertAcknowledged(name, 1, self._at)
        if self._random.random() < 0.3:
            yield events.AlertEnded(name, self._at)

    def _clockwork(self) -> Iterator[Event]:
        yield events.Heartbeat(self._at)
        yield events.JobRan(self._random.choice(["digest", "reconcile"]), "ok", self._at)
        yield events.DayOpened(date(2026, 1, 1) + timedelta(self._next()), self._amount(), self._at)
        yield events.AccountCounted((("BTC", self._amount()), ("ETH", self._amount())), self._at)
        movement = position.Movement("ETH", -self._amount(), self._at)
        yield events.FundsMoved(movement, -self._amount(), self._at)
        yield events.RecoveryReported(3, ("one", "two"), self._at)
        yield events.ProcessStopped("asked to", self._at)

    def _person(self) -> Iterator[Event]:
        user_id = self._random.randrange(3)
        role = self._random.choice(list(chat.Role))
        is_active = self._random.random() < 0.5
        person = chat.Person(user_id, user_id, "Ann", role, is_active=is_active)
        yield events.PersonChanged(person, "", self._at)
        yield events.AccessDenied(9, 9, "message", tell_owner=False, at=self._at)
