"""What follows from a durable fact: a tracker mirrors its exit, slices shrink, entries end."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial

from trading.commanding.guarding import Guarding
from trading.commanding.workings import Workings
from trading.domain.events import (
    Event,
    FillBooked,
    IntentChanged,
    IntentClosed,
    PositionAdjusted,
    TradingModeChanged,
)
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import TradingMode
from trading.domain.tracker import TrackerState
from trading.follow_ups import FollowUps
from trading.risk import halts
from trading.trackers import slices


class Reacting:
    """Asks for what a fact makes necessary; what is written waits for its turn.

    `owed` says how many base units of a symbol were bought too much and are to be sold again.
    """

    def __init__(
        self,
        workings: Workings,
        guarding: Guarding,
        follow_ups: FollowUps,
        owed: Callable[[str], Decimal],
    ) -> None:
        self._of = workings
        self._guarding = guarding
        self._follow_ups = follow_ups
        self._owed = owed

    def react(self, event: Event) -> None:
        """React to a fact that is durable and known to everybody."""
        match event:
            case IntentChanged(intent=intent):
                self.mirror((intent,))
            case IntentClosed(intent=intent):
                if intent.purpose is Purpose.BACKSTOP:
                    self._guarding.closed(intent)
                self._follow_ups.add(partial(self.resize, intent.symbol))
            case FillBooked(fill=fill) if not self._is_open(event):
                # Proven absent and filled after all: what was sold was another tracker's by then,
                # and what was bought is nobody's.
                self._follow_ups.add(partial(self.resize, fill.symbol))
            case TradingModeChanged(mode=mode, by=by):
                # Whoever changes it: what `/halt everything` held goes out with its end.
                if mode is TradingMode.HALTED_EVERYTHING:
                    self._of.execution.hold()
                else:
                    self._of.execution.release()
                if by == halts.BY:
                    why = f"nothing new is bought: {event.reason}"
                    self._follow_ups.add(partial(self._of.execution.cancel_entries, why))
            case PositionAdjusted(symbol=symbol) if event.quantity < 0:
                self._follow_ups.add(partial(self.resize, symbol))
            case _:
                pass

    def _is_open(self, event: FillBooked) -> bool:
        return any(one.intent_id == event.intent_id for one in self._of.execution.intents)

    def mirror(self, intents: Iterable[Intent]) -> None:
        """Have the trackers of these intents say how they are, and own what purchases brought."""
        for intent in intents:
            self._follow_ups.add(partial(self._mirror, intent))
            # A purchase may rest for days with a part of it bought. A tracker's own is its slice.
            if intent.side is Side.BUY and intent.tracker_id is None and intent.filled_quantity:
                self._follow_ups.add(partial(self.resize, intent.symbol))

    async def _mirror(self, intent: Intent) -> None:
        if intent.tracker_id is None or intent.purpose is Purpose.BACKSTOP:
            return
        blocked = intent.state is IntentState.BLOCKED
        state = TrackerState.BLOCKED if blocked else TrackerState.EXITING
        async with self._of.trackers.undisturbed():
            event = self._of.trackers.changed(intent.tracker_id, state, intent.reason)
            if event is not None:
                await self._of.record(event)

    async def resize(self, symbol: str) -> None:
        """Cut exits and slices of a symbol down to what is managed of it."""
        await self._of.execution.fit(symbol)
        # Counted inside: while a sale is being booked, it is both sold and still managed.
        async with self._of.trackers.undisturbed():
            sold = self._of.execution.sold_of_slices(symbol)
            ordered = self._of.execution.sold_by_order(symbol)
            fired, exits = self._of.trackers.acting(), self._of.execution.intents
            cut = slices.cut(fired, symbol, exits)
            managed = self._of.state.book.managed(symbol) + sold + cut - ordered
            bought = self._of.execution.bought_of_slices(symbol) + self._owed(symbol)
            events = self._of.trackers.resized(symbol, managed, bought=bought)
            if events:
                await self._of.record(*events)
