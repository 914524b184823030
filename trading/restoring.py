"""A journal that is older than what was done already: an older copy of it was put back.

What the exchange still tells of the missing time is booked, and decisions that were made in it are
not made again. What it does not tell (levels that moved, stops that were set) only a person knows.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from trading import decide, overview
from trading.alarms import Alarms
from trading.commanding.workings import Workings
from trading.domain.events import PUT_BACK, TrackerChanged
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO, grouped
from trading.domain.order import OrderReport, Side
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.execution import reconcile
from trading.follow_ups import FollowUps
from trading.ports.storage import StoredState
from trading.risk import halts

# Of what a person changed in the missing time no exchange knows.
_WATCHED = (
    "Stops that were set, moved or cancelled after that are not known. Private stops that are "
    "known are watched and sell unless everything is halted, nothing new is bought. Look at "
    "/trackers and /positions, set what is missing with /track, then /resume"
)
# Whoever reads that stops are watched sets none.
_UNKNOWN = (
    "UMBRA KNOWS OF NO STOP ANY MORE: none is watched, and nothing new is bought. Put the newest "
    "copy of the database back and start again, or set each stop anew with /track. Then /resume"
)


_NAMED_MAX = 3


class Restoring:
    """Judges at a start whether its journal is the newest one, and makes up what it can."""

    def __init__(self, workings: Workings, alarms: Alarms, follow_ups: FollowUps) -> None:
        self._of = workings
        self._alarms = alarms
        self._follow_ups = follow_ups
        # Of the journal that this start found.
        self._known: Sequence[Tracker] = ()
        self._last_at: datetime | None = None

    async def judge(self, stored: StoredState) -> None:
        """Add no risk on a journal that lacks records, until a person has looked."""
        lost = stored.lost
        if lost is not None:
            why = halts.put_back(lost.count, lost.last_at)
            self._known = stored.trackers
            await self._halt(why, str(lost.reached_seq))

    def doubt(self, stored: StoredState, since: datetime) -> None:
        """Have every decision that is known asked for before it goes out, until it is proven new.

        A journal that was put back as a whole, its marks with it, does not know that it is old.
        """
        decisions = self._of.decisions
        doubted = {decide.intent_id(each, decisions): each.symbol for each in stored.trackers}
        doubted |= {each.intent_id: each.symbol for each in stored.intents}
        last_at = stored.lost.last_at if stored.lost is not None else None
        since = since if last_at is None else min(since, last_at)
        self._known, self._last_at = stored.trackers, since
        self._of.execution.doubt(doubted, since)

    def on_stranger(self, report: OrderReport) -> bool:
        """Take an order of ours that no record tells of; whether what follows tells of it."""
        if overview.is_in_doubt(self._of.state.alerts):
            return False
        self._follow_ups.add(partial(self.find_strangers, (report,)))
        return True

    async def find_strangers(self, reports: Sequence[OrderReport]) -> None:
        """Add no risk once orders of ours have come to light that no record tells of.

        Also where each belongs to a stop that is known: what else a person did before an older
        copy was put back is unknown then, and a sale that went out while nothing could be written
        is worth the same look.
        """
        named = [reconcile.in_words(each) for each in reports[:_NAMED_MAX]]
        if more := len(reports) - len(named):
            named.append(f"and {more} more")
        trade = "it trades" if len(reports) == 1 else "they trade"
        found = f"{'; '.join(named)}. What {trade} counts"
        if overview.is_in_doubt(self._of.state.alerts):
            # Another one has come in the same moment.
            text = f"safe mode stands, and the exchange has more of ours: {found}"
            await self._alarms.alert(f"orphan:{reports[0].client_order_id}", text)
            return
        halt = halts.unknown_orders(len(reports), self._last_at)
        await self._halt(halt, self._of.clock.now().isoformat(), found)

    async def settle(self, stored: StoredState) -> Sequence[str]:
        """Book orders that the journal does not know, and take each for the decision that it was.

        Only after execution has recovered, and before anything is watched. Returns lines for the
        recovery card; trackers may have changed in storage.
        """
        execution = self._of.execution
        names = {decide.intent_id(each, self._of.decisions): each for each in stored.trackers}
        strange = execution.unrecorded()
        if stored.lost is None and not strange:
            return ()
        if stored.lost is None:
            await self.find_strangers(strange)
        await execution.take_in_unrecorded()
        lines = [f"Orders that the database did not know: {len(strange)}; all are booked"]
        lines *= bool(strange)
        for intent_id, tracker in names.items():
            filled = execution.taken_in(intent_id)
            if filled is not None:
                lines.append(await self._fired(tracker, filled))
        return lines

    async def _halt(self, halt: halts.Halt, name: str, *found: str) -> None:
        await self._alarms.halt(halt)
        look = _WATCHED if self._known or self._of.trackers.count() else _UNKNOWN
        await self._alarms.alert(f"{PUT_BACK}:{name}", ". ".join((halt.reason, *found, look)))

    async def _fired(self, tracker: Tracker, filled: Decimal) -> str:
        now = self._of.clock.now()
        change, after = _after(tracker, filled, now)
        for backstop, _ in self._of.execution.backstops:
            if backstop.tracker_id == tracker.tracker_id:
                # It was taken off for that sale: nobody has to miss it.
                self._of.execution.withdraw(backstop.intent_id, after.reason)
        await self._of.record(TrackerChanged(after, change, now, reason=after.reason))
        return f"#{tracker.tracker_id} {tracker.symbol}: {after.reason}"


def _after(tracker: Tracker, filled: Decimal, now: datetime) -> tuple[TrackerChange, Tracker]:
    base = base_and_quote(tracker.symbol)[0]
    verb = "sold" if tracker.side is Side.SELL else "bought"
    reason = f"had fired already, and {verb} {grouped(filled)} {base}"
    left = tracker.quantity - filled if tracker.side is Side.SELL else ZERO
    if left <= ZERO:
        ended = replace(
            tracker,
            state=TrackerState.CLOSED,
            quantity=ZERO,
            quote=ZERO,
            reason=reason,
            changed_at=now,
        )
        return TrackerChange.CLOSED, ended
    # The rest is a decision of its own: the one before has used its orders' names up.
    again = replace(
        tracker,
        # Fired, and its sale never opened: the rest must not be taken for one that is on its way.
        state=TrackerState.WATCHING if tracker.state.is_acting else tracker.state,
        arm_seq=tracker.arm_seq + 1,
        intent_id=None,
        quantity=left,
        reason=f"{reason}; it watches the rest",
        changed_at=now,
    )
    return TrackerChange.REARMED, again
