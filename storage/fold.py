"""What the events add up to, in memory: the rule that every stored projection must agree with."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import localcontext
from functools import singledispatchmethod

from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.money import EXACT, ZERO
from trading.domain.order import Attempt, AttemptState, Intent
from trading.domain.position import Position
from trading.domain.tracker import Tracker
from trading.ports.storage import StoredState

WATCH = timedelta(hours=24)


def adjusted(position: Position, event: events.PositionAdjusted) -> Position:
    """Adopt a positive quantity, release a negative one."""
    with localcontext(EXACT):
        if event.quantity >= 0:
            return position.adopt(event.quantity, event.price, event.at)
        return position.release(-event.quantity, event.at)


def filled(position: Position, event: events.FillBooked) -> Position:
    """Book a fill, exactly."""
    with localcontext(EXACT):
        return position.apply(event.fill, event.base, event.quote, event.unmanaged)


def closed(position: Position, event: events.IntentClosed) -> Position:
    """Let go of what came under care for a sale that did not sell it, exactly."""
    with localcontext(EXACT):
        return position.let_go(event.intent)


class Fold:
    """The live state after a sequence of events; grows from nothing or from a stored state."""

    def __init__(self) -> None:
        self.installed: events.Installed | None = None
        self.trackers: dict[int, Tracker] = {}
        self.intents: dict[str, Intent] = {}
        self.attempts: dict[str, Attempt] = {}
        self.attempt_changed_at: dict[str, datetime] = {}
        self.positions: dict[str, Position] = {}
        self.trading_mode: events.TradingModeChanged | None = None
        self.conditions: dict[tuple[str, str], events.ConditionChanged] = {}
        self.alerts: dict[str, events.AlertRaised] = {}
        self.acknowledged: set[str] = set()
        self.day: events.DayOpened | None = None
        self.moved: list[events.FundsMoved] = []
        self.last_alive_at: datetime | None = None
        self.next_tracker_id = 1
        self.last_seq = 0

    @staticmethod
    def of(state: StoredState, positions: Mapping[str, Position], at: datetime) -> "Fold":
        """Go on from a state that was stored at `at`; `positions` are all, the empty ones too."""
        fold = Fold()
        fold.installed = state.installed
        fold.trackers = {one.tracker_id: one for one in state.trackers}
        fold.intents = {one.intent_id: one for one in state.intents}
        # When exactly an attempt changed is not known here; only whether it was watched at `at`.
        for attempts, changed_at in (
            (state.attempts, at - 2 * WATCH),
            (state.watched_attempts, at),
        ):
            for attempt in attempts:
                fold.attempts[attempt.client_order_id] = attempt
                fold.attempt_changed_at[attempt.client_order_id] = changed_at
        fold.positions = dict(positions)
        fold.trading_mode = state.trading_mode
        fold.conditions = {(one.condition, one.symbol or ""): one for one in state.conditions}
        fold.alerts = {one.alert_id: one for one in state.alerts}
        fold.day, fold.moved = state.day, list(state.moved)
        fold.last_alive_at = state.last_alive_at
        fold.next_tracker_id = state.next_tracker_id
        fold.last_seq = state.last_seq
        return fold

    def add(self, seq: int, event: events.Event) -> None:
        """Take the next event in."""
        self._apply(event)
        self.last_seq = seq

    def add_all(self, recorded: Iterable[tuple[int, events.Event]]) -> None:
        """Take events in, in order."""
        for seq, event in recorded:
            self.add(seq, event)

    def state(self, now: datetime) -> StoredState:
        """Return what still matters at `now`."""
        open_intents = {
            name: one for name, one in self.intents.items() if not one.state.is_terminal
        }
        return StoredState(
            installed=self.installed,
            trackers=[one for _, one in sorted(self.trackers.items()) if not one.state.is_terminal],
            intents=list(open_intents.values()),
            attempts=[
                one
                for one in self.attempts.values()
                if one.intent_id in open_intents or not one.state.is_terminal
            ],
            watched_attempts=[
                one
                for one in self.attempts.values()
                if one.state is AttemptState.ABSENT
                and self.attempt_changed_at[one.client_order_id] >= now - WATCH
            ],
            positions={
                name: one for name, one in sorted(self.positions.items()) if one.quantity != ZERO
            },
            trading_mode=self.trading_mode,
            conditions=[one for _, one in sorted(self.conditions.items()) if one.is_active],
            alerts=[
                one
                for one in self.alerts.values()
                if one.severity is Severity.CRIT and one.alert_id not in self.acknowledged
            ],
            day=self.day,
            moved=list(self.moved),
            last_alive_at=self.last_alive_at,
            next_tracker_id=self.next_tracker_id,
            last_seq=self.last_seq,
        )

    @singledispatchmethod
    def _apply(self, event: events.Event) -> None:
        """Most kinds of events leave the live state as it is."""

    @_apply.register
    def _(self, event: events.Installed) -> None:
        self.installed = event

    @_apply.register
    def _(self, event: events.Heartbeat) -> None:
        # The only proof that prices were watched: a stop proves nothing, as the process may have
        # ended before it had looked at what it missed.
        self.last_alive_at = event.at

    @_apply.register
    def _(self, event: events.TrackerChanged) -> None:
        self.trackers[event.tracker.tracker_id] = event.tracker
        self.next_tracker_id = max(self.next_tracker_id, event.tracker.tracker_id + 1)

    @_apply.register(events.IntentOpened | events.IntentChanged | events.IntentClosed)
    def _(self, event: events.IntentOpened | events.IntentChanged | events.IntentClosed) -> None:
        intent = event.intent
        self.intents[intent.intent_id] = intent
        if isinstance(event, events.IntentClosed) and intent.let_go:
            before = self.positions.get(intent.symbol, Position(intent.symbol))
            self.positions[intent.symbol] = closed(before, event)

    @_apply.register(events.AttemptPrepared | events.AttemptChanged)
    def _(self, event: events.AttemptPrepared | events.AttemptChanged) -> None:
        self.attempts[event.attempt.client_order_id] = event.attempt
        self.attempt_changed_at[event.attempt.client_order_id] = event.at

    @_apply.register
    def _(self, event: events.FillBooked) -> None:
        symbol = event.fill.symbol
        self.positions[symbol] = filled(self.positions.get(symbol, Position(symbol)), event)

    @_apply.register
    def _(self, event: events.PositionAdjusted) -> None:
        before = self.positions.get(event.symbol, Position(event.symbol))
        self.positions[event.symbol] = adjusted(before, event)

    @_apply.register
    def _(self, event: events.TradingModeChanged) -> None:
        self.trading_mode = event

    @_apply.register
    def _(self, event: events.ConditionChanged) -> None:
        self.conditions[event.condition, event.symbol or ""] = event

    @_apply.register
    def _(self, event: events.AlertRaised) -> None:
        self.alerts[event.alert_id] = event

    @_apply.register
    def _(self, event: events.AlertEnded) -> None:
        self.acknowledged.add(event.alert_id)

    @_apply.register
    def _(self, event: events.AlertAcknowledged) -> None:
        self.acknowledged.add(event.alert_id)

    @_apply.register
    def _(self, event: events.DayOpened) -> None:
        self.day, self.moved = event, []

    @_apply.register
    def _(self, event: events.FundsMoved) -> None:
        self.moved.append(event)
