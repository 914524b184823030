"""What people do to trackers: arm, change, pause, cancel; written first, one at a time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from trading.domain.commands import EditTracker
from trading.domain.errors import Refused
from trading.domain.events import Event, PositionAdjusted, TrackerChanged
from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.domain.position import AdjustReason
from trading.domain.tracker import Tracker, TrackerChange, TrackerSpec, TrackerState
from trading.ports import Clock, Journal
from trading.trackers import arming, editing, slices
from trading.trackers.arming import Armed, Present
from trading.trackers.editing import Edit
from trading.trackers.engine.hooks import Hooks
from trading.trackers.engine.runner import TrackerEngine


class TrackerDesk:
    """Commands on trackers, serialized: a trigger and a change of one tracker never both win.

    While a change is being written the tracker neither touches nor fires; what it would have
    reacted to is evaluated against the outcome right after.
    """

    def __init__(
        self, engine: TrackerEngine, journal: Journal, clock: Clock, hooks: Hooks, next_id: int = 1
    ) -> None:
        self._engine = engine
        self._watch = engine.watch
        self._journal = journal
        self._clock = clock
        self._hooks = hooks
        self._next_id = next_id
        self._lock = asyncio.Lock()

    def prepare(self, spec: TrackerSpec, person_id: int, atr_share: Decimal | None = None) -> Armed:
        """Return the tracker as it would be armed now and its card's facts, or refuse.

        `atr_share` is the asked multiple of ATR(14) as a share of the price, when `trail` is one.
        """
        instrument = self._hooks.instrument(spec.symbol)
        present = self._present(spec.symbol, atr_share)
        arming.check(spec, present, instrument)
        owned = slices.allocate(
            spec.amount,
            spec.first_side,
            self._hooks.holdings(spec.symbol),
            self._engine.rivals(spec.symbol, spec.first_side),
            instrument,
            present.price,
        )
        return arming.arm(spec, (self._next_id, person_id), owned, present, instrument)

    async def arm(
        self,
        spec: TrackerSpec,
        person_id: int,
        atr_share: Decimal | None = None,
        cause: Sequence[Event] = (),
    ) -> Armed:
        """Arm a confirmed tracker at the present price; coins it owns come under care with it.

        `cause` is written in the same transaction, here and below.
        """
        async with self._lock:
            armed = self.prepare(spec, person_id, atr_share)
            now = self._clock.now()
            event = TrackerChanged(armed.tracker, TrackerChange.ARMED, now)
            adoption = self._adoption(armed.tracker, armed.adopted)
            await self._append(*cause, *adoption, event)
            self._next_id += 1
            self._watch.put(armed.tracker)
        self._engine.collect()
        return armed

    def preview(self, command: EditTracker, atr_share: Decimal | None = None) -> Edit:
        """Return what a change would do: whether it loosens, and both worst cases."""
        tracker = self._live(command.tracker_id)
        instrument = self._hooks.instrument(tracker.symbol)
        present = self._present(tracker.symbol, atr_share)
        owned = None
        if command.amount is not None:
            rivals = self._engine.rivals(tracker.symbol, tracker.side)
            others = [t for t in rivals if t.tracker_id != tracker.tracker_id]
            owned = slices.allocate(
                command.amount,
                tracker.side,
                self._hooks.holdings(tracker.symbol),
                others,
                instrument,
                present.price,
            )
        return editing.edit(tracker, command, present, instrument, owned)

    async def edit(
        self,
        command: EditTracker,
        atr_share: Decimal | None = None,
        *,
        is_confirmed: bool = False,
        cause: Sequence[Event] = (),
    ) -> Edit:
        """Change a waiting tracker; a loosening change is refused unless it was confirmed."""
        done: list[Edit] = []

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            edit = self.preview(command, atr_share)
            if edit.is_loosening and not is_confirmed:
                raise Refused(f"this loosens #{tracker.tracker_id}: it needs a confirmation")
            done.append(edit)
            return edit.tracker, ""

        def extra(_: Tracker) -> list[Event]:
            return [*cause, *self._adoption(done[0].tracker, done[0].adopted)]

        await self._change(command.tracker_id, TrackerChange.EDITED, change, extra)
        return done[0]

    async def pause(self, tracker_id: int, cause: Sequence[Event] = ()) -> Tracker:
        """Stop watching for a while (the caller has asked: a pause loosens)."""

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            _check_waiting(tracker)
            if tracker.is_paused:
                raise Refused(f"#{tracker_id} is paused already")
            now = self._clock.now()
            return replace(tracker, is_paused=True, paused_at=now, changed_at=now), ""

        return await self._change(tracker_id, TrackerChange.PAUSED, change, lambda _: [*cause])

    async def resume(self, tracker_id: int, cause: Sequence[Event] = ()) -> Tracker:
        """Watch again; refused with the price when that would fire at once."""

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            _check_waiting(tracker)
            if not tracker.is_paused:
                raise Refused(f"#{tracker_id} is not paused")
            now = self._clock.now()
            resumed = replace(tracker, is_paused=False, paused_at=None, changed_at=now)
            present = self._present(tracker.symbol, None)
            arming.check_not_crossed(resumed, present.price, self._engine.moment().line_ms)
            return resumed, ""

        return await self._change(tracker_id, TrackerChange.RESUMED, change, lambda _: [*cause])

    async def cancel(
        self, tracker_id: int, reason: str = "", cause: Sequence[Event] = ()
    ) -> Tracker:
        """End a waiting tracker without a trade; refused when it has fired."""

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            _check_waiting(tracker)
            return self._ended(tracker, TrackerState.CANCELLED, reason), reason

        return await self._change(tracker_id, TrackerChange.CANCELLED, change, lambda _: [*cause])

    async def abort(
        self, tracker_id: int, reason: str = "", cause: Sequence[Event] = ()
    ) -> Tracker:
        """Give up an exit that has no open intent; with one, its closing does it."""

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            if not tracker.state.is_acting:
                raise Refused(f"#{tracker_id} has not fired: cancel it instead", example="/cancel")
            return self._ended(tracker, TrackerState.ABORTED, reason), reason

        return await self._change(tracker_id, TrackerChange.ABORTED, change, lambda _: [*cause])

    async def end(self, tracker_id: int, state: TrackerState, reason: str) -> Tracker:
        """End a tracker because its coins are gone (CLOSED_EXTERNAL) or the person's panic."""

        def change(tracker: Tracker) -> tuple[Tracker, str]:
            return self._ended(tracker, state, reason), reason

        return await self._change(tracker_id, TrackerChange.CLOSED, change)

    async def resize(self, symbol: str) -> list[Tracker]:
        """Fit the slices of a symbol's waiting sell trackers to the managed quantity."""
        async with self._lock:
            instrument = self._hooks.instrument(symbol)
            managed = self._hooks.holdings(symbol).managed
            rivals = [
                self._watch.find(t.tracker_id) or t for t in self._engine.rivals(symbol, Side.SELL)
            ]
            resized = slices.resize(rivals, managed, instrument)
            now = self._clock.now()
            events = [
                TrackerChanged(replace(t, changed_at=now), TrackerChange.RESIZED, now)
                for t in resized
            ]
            if events:
                for tracker in resized:
                    self._watch.hold(tracker.tracker_id)
                try:
                    await self._append(*events)
                    for event in events:
                        self._watch.put(event.tracker)
                finally:
                    for tracker in resized:
                        self._watch.release(tracker.tracker_id)
            self._engine.collect()
            return [event.tracker for event in events]

    async def _change(
        self,
        tracker_id: int,
        kind: TrackerChange,
        change: Callable[[Tracker], tuple[Tracker, str]],
        extra: Callable[[Tracker], list[Event]] | None = None,
    ) -> Tracker:
        async with self._lock:
            tracker, reason = change(self._live(tracker_id))
            events = extra(tracker) if extra is not None else []
            self._watch.hold(tracker_id)
            try:
                now = self._clock.now()
                await self._append(*events, TrackerChanged(tracker, kind, now, reason=reason))
                self._watch.put(tracker)
            finally:
                self._watch.release(tracker_id)
                self._engine.collect()
            return tracker

    async def _append(self, *events: Event) -> None:
        await self._journal.append(*events)
        for event in events:
            self._hooks.publish(event)

    def _live(self, tracker_id: int) -> Tracker:
        tracker = self._watch.find(tracker_id)
        if tracker is None:
            raise Refused(f"there is no live tracker #{tracker_id}", example="/trackers")
        return tracker

    def _present(self, symbol: str, atr_share: Decimal | None) -> Present:
        price = self._hooks.price(symbol)
        if price is None or self._hooks.is_stale(symbol):
            raise Refused(f"there is no fresh price of {symbol} now; try again in a moment")
        return Present(price, self._clock.now(), self._engine.settings.fee, atr_share)

    def _ended(self, tracker: Tracker, state: TrackerState, reason: str) -> Tracker:
        now = self._clock.now()
        return replace(
            tracker, state=state, quantity=ZERO, quote=ZERO, reason=reason, changed_at=now
        )

    def _adoption(self, tracker: Tracker, adopted: Decimal) -> list[Event]:
        price = self._hooks.price(tracker.symbol)
        if adopted <= 0 or price is None:
            return []
        return [
            PositionAdjusted(
                symbol=tracker.symbol,
                quantity=adopted,
                price=price,
                reason=AdjustReason.ADOPTED,
                note=f"tracker #{tracker.tracker_id}",
                at=self._clock.now(),
            )
        ]


def _check_waiting(tracker: Tracker) -> None:
    if not tracker.state.is_waiting:
        raise Refused(
            f"#{tracker.tracker_id} has fired and is {tracker.state.value}: it goes on until the "
            "coins are sold or you abort it",
            example=f"/abort {tracker.tracker_id}",
        )
