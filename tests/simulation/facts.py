"""What the journal says, read from the disk beside the agent and folded independently of it."""

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from bot.telegram import sorts
from bot.telegram.appending import APART
from storage.codec import decode
from storage.projections import RESERVE_DRAINED
from storage.reserve import Reserve
from trading.domain import events
from trading.domain.chat import OutboxMessage
from trading.domain.events import Event
from trading.domain.order import (
    BACKSTOP_SOLD,
    Attempt,
    AttemptState,
    Fill,
    Intent,
    IntentState,
    Purpose,
    Side,
)
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.tracker import Tracker, TrackerChange

ZERO = Decimal(0)
# What nobody may miss of a tracker, by the sort that its message has.
_NEWS = {TrackerChange.TRIGGERED: sorts.TRIGGERED, TrackerChange.BLOCKED: sorts.BLOCKED}
_LEFT_OUT = re.compile(r"apart:event:fact (\d+)")
# What gives a tracker coins that it did not own before.
_TAKES = {TrackerChange.ARMED, TrackerChange.RESTED, TrackerChange.REARMED}


@dataclass(slots=True)
class Facts:
    """The fold of all rows up to `seq`; `breaches` are what the fold itself found wrong."""

    seq: int = 0
    last_hash: bytes = b""
    attempts: dict[str, Attempt] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)
    trackers: dict[int, Tracker] = field(default_factory=dict)
    # Base units that each arming of a tracker ever owned: what it began with, and what came later.
    slices: dict[tuple[int, int], Decimal] = field(default_factory=dict)
    changes: list[events.TrackerChanged] = field(default_factory=list)
    fills: dict[tuple[str, str], Fill] = field(default_factory=dict)
    adopted: dict[str, Decimal] = field(default_factory=dict)
    managed: dict[str, Decimal] = field(default_factory=dict)
    # Base units by decision, less fees in the same coin; of a sale they are below 0.
    brought: dict[str, Decimal] = field(default_factory=dict)
    # Base units that the sale which ended last had to let go of, and that others own.
    owed: Decimal = ZERO
    mode: TradingMode = TradingMode.ACTIVE
    queued: dict[str, events.MessageQueued] = field(default_factory=dict)
    delivered: dict[str, events.MessageDelivered] = field(default_factory=dict)
    received: dict[int, events.UpdateReceived] = field(default_factory=dict)
    handled: dict[int, events.UpdateHandled] = field(default_factory=dict)
    alerts: dict[str, events.AlertRaised] = field(default_factory=dict)
    unknown_since: dict[str, object] = field(default_factory=dict)
    # What the owner must be told: how many of each sort happened, and were written to the chat.
    newsworthy: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    breaches: list[tuple[str, str]] = field(default_factory=list)
    # The sort of each row that must be told, by its number.
    _sorts: dict[int, str] = field(default_factory=dict)
    _path: Path | None = None
    _connection: sqlite3.Connection | None = None

    def read(self, path: Path) -> list[Event]:
        """Take in what was committed since the last time; return it."""
        if not path.exists():
            return []
        connection = self._connected(path)
        try:
            rows = connection.execute(
                "SELECT seq, kind, payload, hash FROM journal WHERE seq > ? ORDER BY seq",
                (self.seq,),
            ).fetchall()
        except sqlite3.OperationalError:
            # No tables yet: the first start is still making them.
            return []
        fresh = []
        for seq, kind, payload, row_hash in rows:
            self.seq, self.last_hash = seq, row_hash
            event = decode(kind, payload)
            self._apply(event)
            fresh.append(event)
        return fresh

    def knows(self, path: Path, kind: str, key: str) -> bool:
        """Whether a keyed fact is durable now."""
        query = "SELECT 1 FROM journal WHERE kind = ? AND key = ?"
        return self._connected(path).execute(query, (kind, key)).fetchone() is not None

    def reserved(self, path: Path) -> list[Event]:
        """What is durable in the reserve and waits for the journal to have room."""
        place = path.with_name(f"{path.name}.reserve")
        if not place.exists():
            return []
        query = "SELECT number FROM meta WHERE name = ?"
        drained = self._connected(path).execute(query, (RESERVE_DRAINED,)).fetchone()
        reserve = Reserve(place, drained[0] if drained else 0)
        reserve.close()
        return [
            event
            for record in reserve.pending
            if record.in_doubt is None or not self._holds(path, *record.in_doubt)
            for event in record.events
        ]

    def _holds(self, path: Path, seq: int, row_hash: bytes) -> bool:
        query = "SELECT 1 FROM journal WHERE seq = ? AND hash = ?"
        return self._connected(path).execute(query, (seq, row_hash)).fetchone() is not None

    def _connected(self, path: Path) -> sqlite3.Connection:
        if self._path != path or self._connection is None:
            self.close()
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            self._path = path
            self._check_kept(self._connection)
        return self._connection

    def _check_kept(self, connection: sqlite3.Connection) -> None:
        if self.seq == 0:
            return
        query = "SELECT hash FROM journal WHERE seq = ?"
        row = connection.execute(query, (self.seq,)).fetchone()
        if row is None or bytes(row[0]) != self.last_hash:
            self.breaches.append(("KEEP", f"row {self.seq} was durable and is gone"))

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ------------------------------------------------------------ the fold

    def _apply(self, event: Event) -> None:
        match event:
            case events.AttemptPrepared(attempt) | events.AttemptChanged(attempt):
                self._attempt(attempt, event)
            case events.IntentOpened(intent) | events.IntentChanged(intent):
                self._inherit(intent)
                self.intents[intent.intent_id] = intent
            case events.IntentClosed(intent):
                self._let_go(intent)
                self._adopt(event, intent.symbol)
                self.intents[intent.intent_id] = intent
                if _is_told_as_done(intent):
                    self._owe(sorts.DONE)
            case events.TrackerChanged(tracker):
                self.changes.append(event)
                self._own(self.trackers.get(tracker.tracker_id), tracker)
                self.trackers[tracker.tracker_id] = tracker
                self._owe("" if _is_told_as_blocked(event) else _NEWS.get(event.change, ""))
                self._check_slices(event)
            case events.FillBooked(fill):
                self.fills[fill.symbol, fill.trade_id] = fill
                fee = fill.fee if fill.fee_asset == event.base else ZERO
                moved = fill.side.sign * fill.quantity - fee
                self.brought[event.intent_id] = self.brought.get(event.intent_id, ZERO) + moved
                self._adopt(event, fill.symbol)
                self._manage(fill.symbol, moved + event.unmanaged)
            case events.PositionAdjusted(symbol):
                self._adopt(event, symbol)
                self._manage(symbol, event.quantity)
            case events.TradingModeChanged(mode):
                self.mode = mode
            case _:
                self._message(event)

    def _owe(self, sort: str) -> None:
        self.newsworthy[sort] += 1
        self._sorts[self.seq] = sort

    def _tell(self, message: OutboxMessage) -> None:
        if APART in message.message_key:
            self.breaches.append(("I-35", f"two messages had the key of {message.message_key}"))
        if message.message_key.startswith("alert:"):
            # A storm tells of as many as it has lines.
            self.told[message.sort] += max(len(message.gist), 1)

    def _adopt(self, event: Event, symbol: str) -> None:
        self.adopted[symbol] = self.adopted.get(symbol, ZERO) + adopted(event, symbol)

    def _let_go(self, ended: Intent) -> None:
        """CARE: what came under care for a sale leaves with it, and nothing of anybody else's."""
        symbol, name = ended.symbol, ended.intent_id
        before = self.managed.get(symbol, ZERO) - self._owned_beside(ended)
        unsold = ended.quantity - ended.filled_quantity
        due = min(ended.adopted + ended.inherited, unsold + ended.released)
        # What was in the sale itself until now no other one can have taken over.
        self.owed = max(min(due - ended.let_go, due - unsold), ZERO)
        if ended.let_go > max(min(due, before), ZERO):
            self.breaches.append(("CARE", f"{name} let go of {ended.let_go}, {due} of {before}"))
        if ended.let_go < min(due, before):
            kept = f"{min(due, before) - ended.let_go} {symbol}"
            self.breaches.append(("CARE", f"{kept} stay managed, that {name} did not sell"))
        self._manage(symbol, -ended.let_go)

    def _inherit(self, intent: Intent) -> None:
        """CARE: a sale lets go of no more in another's stead than that one has just left behind."""
        before = self.intents.get(intent.intent_id)
        more = intent.inherited - (ZERO if before is None else before.inherited)
        if more > self.owed:
            what = f"{intent.intent_id} is to let go of {more}, left to others were {self.owed}"
            self.breaches.append(("CARE", what))
        self.owed = max(self.owed - more, ZERO)

    def _owned_beside(self, ended: Intent) -> Decimal:
        """Managed base units that trackers own, and that other open sales want."""
        exits = {
            one.tracker_id: one.quantity
            for one in self.intents.values()
            if one.purpose is Purpose.PROTECT and not one.state.is_terminal
        }
        slices = (
            # A slice that has fired keeps what its exit was cut down by: no coins stand for that.
            min(one.quantity, exits.get(one.tracker_id, one.quantity))
            for one in self.trackers.values()
            if one.symbol == ended.symbol and one.side is Side.SELL and not one.state.is_terminal
        )
        others = (
            -one.filled_quantity if one.tracker_id is not None else one.residual
            for one in self.intents.values()
            if one.symbol == ended.symbol
            and one.side is Side.SELL
            and one.intent_id != ended.intent_id
            and not one.state.is_terminal
        )
        # What a purchase of a tracker brings is its own, and in no slice before the end.
        brought = (
            self.brought.get(one.intent_id, ZERO)
            for one in self.intents.values()
            if one.symbol == ended.symbol
            and one.side is Side.BUY
            and one.tracker_id is not None
            and not one.state.is_terminal
        )
        return sum(slices, ZERO) + sum(others, ZERO) + sum(brought, ZERO)

    def _manage(self, symbol: str, quantity: Decimal) -> None:
        self.managed[symbol] = max(self.managed.get(symbol, ZERO) + quantity, ZERO)

    def _own(self, before: Tracker | None, tracker: Tracker) -> None:
        if tracker.side is not Side.SELL:
            return
        is_same = before is not None and before.arm_seq == tracker.arm_seq
        had = before.quantity if before is not None and is_same else ZERO
        arming = (tracker.tracker_id, tracker.arm_seq)
        came = max(tracker.quantity - had, ZERO)
        self.slices[arming] = self.slices.get(arming, ZERO) + came

    def _check_slices(self, event: events.TrackerChanged) -> None:
        if event.change not in _TAKES or event.tracker.side is not Side.SELL:
            return
        symbol, owned = event.tracker.symbol, ZERO
        for tracker in self.trackers.values():
            is_owner = tracker.symbol == symbol and tracker.side is Side.SELL
            owned += tracker.quantity if is_owner and tracker.state.is_waiting else ZERO
        if owned > (managed := self.managed.get(symbol, ZERO)):
            what = f"#{event.tracker.tracker_id} {event.change.value}"
            self.breaches.append(("I-27", f"{what}: {owned} owned of {managed} {symbol}"))

    def _message(self, event: Event) -> None:
        match event:
            case events.MessageQueued(message):
                self.queued[message.message_key] = event
                self._tell(message)
            case events.MessageDelivered(key):
                self.delivered[key] = event
            case events.UpdateReceived(update):
                self.received[update.update_id] = event
            case events.UpdateHandled(update_id):
                self.handled[update_id] = event
            case events.AlertRaised(alert_id):
                self.alerts[alert_id] = event
                # An alarm stands for the message that processes died of, three in a row.
                if left_out := _LEFT_OUT.match(alert_id):
                    self.told[self._sorts.get(int(left_out[1]), "")] += 1
            case _:
                pass

    def _attempt(
        self, attempt: Attempt, event: events.AttemptPrepared | events.AttemptChanged
    ) -> None:
        name = attempt.client_order_id
        before = self.attempts.get(name)
        self.attempts[name] = attempt
        if attempt.state is AttemptState.UNKNOWN:
            self.unknown_since.setdefault(name, event.at)
        else:
            self.unknown_since.pop(name, None)
        if before is None:
            return
        if attempt.filled_quantity < before.filled_quantity:
            self.breaches.append(
                ("I-07", f"{name} fell from {before.filled_quantity} to {attempt.filled_quantity}")
            )
        is_late = before.state is AttemptState.ABSENT
        if before.state.is_terminal and not attempt.state.is_terminal and not is_late:
            self.breaches.append(("I-07", f"{name} left {before.state} for {attempt.state}"))
        was_unknown = before.state is AttemptState.UNKNOWN
        ended = attempt.state in {AttemptState.REJECTED, AttemptState.ABSENT}
        if was_unknown and ended and not getattr(event, "evidence", ""):
            self.breaches.append(("I-08", f"{name} became {attempt.state} without evidence"))


def _is_told_as_blocked(event: events.TrackerChanged) -> bool:
    """Whether a stop fired and may not sell: the alarm that is written with it tells of both."""
    is_trigger = event.change is TrackerChange.TRIGGERED
    return is_trigger and bool(event.reason) and event.tracker.side is Side.SELL


def _is_told_as_done(intent: Intent) -> bool:
    if intent.filled_quantity == 0 or intent.purpose is Purpose.BACKSTOP:
        return intent.filled_quantity > 0
    is_told_by_backstop = intent.tracker_id is not None and intent.reason == BACKSTOP_SOLD
    return intent.state in {IntentState.DONE, IntentState.DUST} and not is_told_by_backstop


def adopted(event: Event, symbol: str) -> Decimal:
    """Base units of a symbol that a fact puts under care, or lets go when it is less than 0."""
    if isinstance(event, events.FillBooked):
        # Sold after they were let go of: they count as under care until then.
        return event.unmanaged if event.fill.symbol == symbol else ZERO
    if isinstance(event, events.IntentClosed):
        return -event.intent.let_go if event.intent.symbol == symbol else ZERO
    if not isinstance(event, events.PositionAdjusted) or event.symbol != symbol:
        return ZERO
    moves = event.reason in {AdjustReason.ADOPTED, AdjustReason.RELEASED}
    return event.quantity if moves else ZERO
