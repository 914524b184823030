"""Changes by people: written first, one at a time; what changes does not fire meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from trading.domain.errors import Refused
from trading.domain.events import Event, TrackerChanged
from trading.domain.money import ZERO
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.trackers import arming
from trading.trackers.engine.recording import Recorder, moment_of
from trading.trackers.watch import Watch


class Changing:
    """Makes a change durable with its causes, and reacts right after to what it missed so long.

    Each is made while nothing else is written of trackers: a record would undo it for the next
    start, and another change may take what it takes. What is armed or edited is worked out before,
    so whoever calls keeps others out from there on.
    """

    def __init__(self, watch: Watch, recorder: Recorder, journal: Journal, clock: Clock) -> None:
        self._watch = watch
        self._recorder = recorder
        self._journal = journal
        self._clock = clock

    async def arm(self, tracker: Tracker, causes: Sequence[Event]) -> None:
        """Make an armed tracker durable with its causes, and watch it."""
        event = TrackerChanged(tracker, TrackerChange.ARMED, self._clock.now())
        await self._journal.append(*causes, event)
        self._watch.put(tracker)
        self._recorder.publish(event, causes=causes)
        self._recorder.collect()

    async def edit(self, before: Tracker, after: Tracker, causes: Sequence[Event]) -> None:
        """Replace a tracker by its change, unless it moved on since `before`."""

        def change(tracker: Tracker) -> Tracker:
            is_same = tracker.spec == before.spec and tracker.is_paused == before.is_paused
            if not is_same or (tracker.state, tracker.arm_seq) != (before.state, before.arm_seq):
                raise Refused(
                    f"#{tracker.tracker_id} is {tracker.state.value} now: it changed meanwhile, "
                    "look at it again",
                    example=f"/tracker {tracker.tracker_id}",
                )
            return after

        await self._change(before.tracker_id, TrackerChange.EDITED, change, causes)

    async def pause(self, tracker_id: int, causes: Sequence[Event]) -> None:
        """Stop watching for a while."""

        def change(tracker: Tracker) -> Tracker:
            if tracker.is_paused:
                raise Refused(f"#{tracker_id} is paused already", f"/tracker {tracker_id} resume")
            now = self._clock.now()
            return replace(tracker, is_paused=True, paused_at=now, changed_at=now)

        async with self._recorder.writing:
            await self._change(tracker_id, TrackerChange.PAUSED, change, causes)

    async def resume(self, tracker_id: int, causes: Sequence[Event]) -> None:
        """Watch again, unless that would fire at once."""

        def change(tracker: Tracker) -> Tracker:
            if not tracker.is_paused:
                raise Refused(f"#{tracker_id} is not paused", f"/tracker {tracker_id}")
            resumed = replace(
                tracker, is_paused=False, paused_at=None, changed_at=self._clock.now()
            )
            tick = self._watch.last_tick(tracker)
            if tick is not None:
                arming.check_not_crossed(resumed, tick.price, moment_of(self._clock).line_ms)
            return resumed

        async with self._recorder.writing:
            await self._change(tracker_id, TrackerChange.RESUMED, change, causes)

    async def cancel(self, tracker_id: int, causes: Sequence[Event]) -> None:
        """End a waiting tracker without a trade."""

        def change(tracker: Tracker) -> Tracker:
            return replace(
                tracker,
                state=TrackerState.CANCELLED,
                quantity=ZERO,
                quote=ZERO,
                changed_at=self._clock.now(),
            )

        async with self._recorder.writing:
            await self._change(tracker_id, TrackerChange.CANCELLED, change, causes)

    async def _change(
        self,
        tracker_id: int,
        kind: TrackerChange,
        change: Callable[[Tracker], Tracker],
        causes: Sequence[Event],
    ) -> None:
        is_ending = kind is TrackerChange.CANCELLED
        changed = change(self._changeable(tracker_id, is_ending=is_ending))
        event = TrackerChanged(changed, kind, self._clock.now(), reason=changed.reason)
        self._watch.hold(tracker_id)
        try:
            await self._journal.append(*causes, event)
            self._watch.put(changed)
        finally:
            self._watch.release(tracker_id)
            self._recorder.collect()
        self._recorder.publish(event, causes=causes)

    def _changeable(self, tracker_id: int, *, is_ending: bool) -> Tracker:
        tracker = self._watch.live.find(tracker_id)
        if tracker is None:
            raise Refused(f"there is no live tracker #{tracker_id}", "/trackers")
        # What was blocked without having fired (its instrument is gone) may still be given up.
        is_open = is_ending and tracker.state is TrackerState.BLOCKED and not tracker.fired_rule
        if not tracker.state.is_waiting and not is_open:
            raise Refused(
                f"#{tracker_id} has fired and is {tracker.state.value}: it goes on until the coins "
                "are sold or you abort it",
                f"/abort {tracker_id}",
            )
        return tracker
