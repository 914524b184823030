"""What execution writes down, and what becomes of facts that the journal cannot take."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import Event, IntentClosed
from trading.domain.order import Intent
from trading.ports.storage import Journal, Recorded

logger = logging.getLogger(__name__)
# More than all orders of days without storage could bring.
_UNSAVED_MAX = 10_000


class Writer:
    """Appends facts and publishes them; facts of the exchange are never given back.

    What storage refuses is kept in memory, in order, and written before anything else as soon as
    storage takes it; a crash before that is what recovery by client order id is for. What is too
    much for memory is a reason to end: `overflowed` is called.
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
        self._unsaved: deque[tuple[Event, ...]] = deque()
        self._put_off: deque[tuple[Event, ...]] = deque()
        self._flushing = asyncio.Lock()

    @property
    def unsaved(self) -> int:
        """How many facts only memory holds."""
        return sum(len(batch) for batch in self._unsaved)

    @property
    def unsaved_ends(self) -> Sequence[Intent]:
        """Decisions whose end only memory holds."""
        facts = (fact for batch in self._unsaved for fact in batch)
        return [fact.intent for fact in facts if isinstance(fact, IntentClosed)]

    async def write(
        self, *events: Event, is_exit: bool, is_urgent: bool = False, is_sequel: bool = False
    ) -> None:
        """Make a decision durable before it acts, or raise StorageLost or AlreadyRecorded.

        A sequel goes on from what only memory may hold: it is never written before that.
        """
        await self.flush()
        if is_sequel and self._unsaved:
            raise StorageLost("what it goes on from is not written yet")
        await self._journal.append(*events, reserve=is_exit, urgent=is_urgent)

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
        try:
            await self.write(*word, *changes, is_exit=is_exit, is_sequel=is_sequel)
        except StorageLost as error:
            # What holds at once is not written later: a newer word may be durable by then.
            if changes:
                self.hold(changes)
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

    def hold(self, events: Sequence[Event]) -> None:
        """Remember facts that storage refused."""
        self._unsaved.append(tuple(events))
        if self.unsaved > _UNSAVED_MAX:
            logger.critical("too_many_facts_in_memory", extra={"facts": self.unsaved})
            self._overflowed()

    async def keep(self, *events: Event) -> Sequence[Event]:
        """Write facts, never raise for storage; returns and publishes those that are new."""
        await self.flush()
        new = list(events)
        if self._unsaved:
            self.hold(new)
        else:
            new = await self._append(new)
        self.publish(new)
        return new

    async def flush(self) -> None:
        """Write what memory holds, oldest first, as far as storage takes it."""
        if not self._unsaved:
            return
        async with self._flushing:
            while self._unsaved:
                try:
                    await self._append_new(list(self._unsaved[0]))
                except StorageLost:
                    return
                self.on_written(self._unsaved.popleft())

    async def _append(self, events: list[Event]) -> list[Event]:
        try:
            return await self._append_new(events)
        except StorageLost as error:
            logger.critical("facts_kept_in_memory", extra={"error": str(error)})
            self.hold(events)
            return events

    async def _append_new(self, events: list[Event]) -> list[Event]:
        while events:
            try:
                await self._journal.append(*events, reserve=True)
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
