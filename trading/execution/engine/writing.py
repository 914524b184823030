"""What execution writes down, and what becomes of facts that the journal cannot take."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import Event, IntentChanged, IntentClosed, IntentOpened
from trading.domain.order import Intent
from trading.ports.storage import Journal, Recorded

logger = logging.getLogger(__name__)
# More than all orders of days without storage could bring.
_UNSAVED_MAX = 10_000


class Writer:
    """Appends facts and publishes them; facts of the exchange are never given back.

    What storage refuses is kept in memory, in order, and written before anything else as soon as
    storage takes it; a crash before that is what recovery by client order id is for. What a newer
    record of the same decision has outdated meanwhile is not written after that one (decision 141).
    What is too much for memory is a reason to end: `overflowed` is called.
    """

    def __init__(
        self,
        journal: Journal,
        publish: Callable[..., None],
        overflowed: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._publish = publish
        self._overflowed = overflowed
        # What storage has refused before, and holds by now.
        self.on_written: Callable[[Sequence[Event]], None] = lambda _: None
        self._unsaved: deque[tuple[int, tuple[Event, ...]]] = deque()
        self._put_off: deque[tuple[Event, ...]] = deque()
        self._flushing = asyncio.Lock()
        # How many tries to write what memory holds were in vain.
        self._refused = 0
        # Writes are numbered as they begin. How many are on their way, and which was the newest
        # that told of a decision, while an older one may still be refused.
        self.turn = self._under_way = 0
        self._newest: dict[str, int] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def unsaved(self) -> int:
        """How many facts only memory holds."""
        return sum(len(batch) for _, batch in self._unsaved)

    @property
    def unsaved_ends(self) -> Sequence[Intent]:
        """Decisions whose end only memory holds."""
        facts = (fact for _, batch in self._unsaved for fact in batch)
        return [fact.intent for fact in facts if isinstance(fact, IntentClosed)]

    async def write(
        self, *events: Event, is_exit: bool, is_urgent: bool = False, is_sequel: bool = False
    ) -> None:
        """Make a decision durable before it acts, or raise StorageLost or AlreadyRecorded.

        A sequel goes on from what only memory may hold: it is never written before that.
        """
        turn = self._begun()
        await self.flush()
        if is_sequel and self._unsaved:
            raise StorageLost("what it goes on from is not written yet")
        await self._append(turn, events, reserve=is_exit, urgent=is_urgent)

    async def insist(
        self,
        word: Sequence[Event],
        changes: Sequence[Event],
        at_once: Sequence[Event] = (),
        *,
        is_exit: bool = True,
        is_sequel: bool = True,
    ) -> tuple[Sequence[Event], StorageLost | None]:
        """Write a person's word with what it changes; returns what holds now, and what was refused.

        Nobody can tell then whether it was written: the changes hold and are written later, and
        those facts of the word hold that do so `at_once`. Whoever gave it has to give it again.
        """
        turn = self.turn
        try:
            await self.write(*word, *changes, is_exit=is_exit, is_sequel=is_sequel)
        except StorageLost as error:
            # What holds at once is not written later: a newer word may be durable by then.
            if changes:
                self.hold(changes, turn)
            return (*at_once, *changes), error
        return (*word, *changes), None

    async def latest(self, limit: int, kinds: Sequence[str]) -> Sequence[Recorded]:
        """Return the newest facts of some kinds."""
        return await self._journal.latest(limit, kinds)

    def publish(self, events: Sequence[Event] = ()) -> None:
        """Tell everybody who listens, in the order of the journal: what was put off goes first."""
        while self._put_off:
            self._publish(*self._put_off.popleft())
        if events:
            self._publish(*events)

    def put_off(self, events: Sequence[Event]) -> None:
        """Tell of durable facts with the next ones at the latest: a request goes out first."""
        self._put_off.append(tuple(events))

    def hold(self, events: Sequence[Event], turn: int | None = None) -> None:
        """Remember facts that storage refused; `turn` is what it was when they were worked out."""
        self._unsaved.append((self.turn if turn is None else turn, tuple(events)))
        if self.unsaved > _UNSAVED_MAX:
            logger.critical("too_many_facts_in_memory", extra={"facts": self.unsaved})
            self._overflowed()

    async def keep(self, *events: Event) -> Sequence[Event]:
        """Write facts, never raise for storage; returns and publishes those that are new."""
        turn, new = self._begun(), list(events)
        await self.flush()
        if self._unsaved:
            self.hold(new, turn)
        else:
            new = await self._append_or_hold(turn, new)
        self.publish(new)
        return new

    async def flush(self) -> None:
        """Write what memory holds, oldest first, as far as storage takes it."""
        if not self._unsaved:
            return
        refused = self._refused
        async with self._flushing:
            # What was tried in vain while this waited is not tried by each of many stops.
            while self._unsaved and self._refused == refused:
                # What is on its way goes first, and may outdate what was refused.
                while self._under_way:
                    await self._is_idle.wait()
                turn, batch = self._unsaved[0]
                left = [event for event in batch if not self._is_outdated(event, turn)]
                try:
                    await self._append_new(turn, left)
                except StorageLost:
                    self._refused += 1
                    return
                self._unsaved.popleft()
                self.on_written(batch)

    def _begun(self) -> int:
        self.turn += 1
        return self.turn

    def _is_outdated(self, event: Event, turn: int) -> bool:
        return (
            isinstance(event, IntentChanged)
            and self._newest.get(event.intent.intent_id, turn) > turn
        )

    async def _append(self, turn: int, events: Sequence[Event], **how: bool) -> None:
        self._under_way += 1
        self._is_idle.clear()
        try:
            await self._journal.append(*events, **how)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_idle.set()
        if not self._under_way and not self._unsaved:
            self._newest.clear()
            return
        for event in events:
            if isinstance(event, IntentOpened | IntentChanged | IntentClosed):
                name = event.intent.intent_id
                self._newest[name] = max(turn, self._newest.get(name, turn))

    async def _append_or_hold(self, turn: int, events: list[Event]) -> list[Event]:
        try:
            return await self._append_new(turn, events)
        except StorageLost as error:
            logger.critical("facts_kept_in_memory", extra={"error": str(error)})
            self.hold(events, turn)
            return events

    async def _append_new(self, turn: int, events: list[Event]) -> list[Event]:
        while events:
            try:
                await self._append(turn, events, reserve=True)
            except AlreadyRecorded as known:
                # An execution that was booked before a crash: a set, so once is enough.
                left = [event for event in events if not _is(event, known)]
                if len(left) == len(events):
                    raise
                events = left
            else:
                return events
        return events


def _is(event: Event, known: AlreadyRecorded) -> bool:
    return event.kind == known.kind and event.key == known.key
