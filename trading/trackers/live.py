"""All live trackers: those that wait by symbol and price kind, and those that have fired."""

from collections.abc import Callable
from itertools import islice

from trading.domain.instrument import Instrument
from trading.domain.tracker import Tracker
from trading.trackers.confirming import Progress
from trading.trackers.index import Group


class LiveTrackers:
    """Who reads `groups`, `home` (the group of each that waits) and `durable` changes none of them.

    A waiting tracker stands in its group as memory has it, and in `durable` as the journal has it.
    """

    def __init__(self) -> None:
        self.groups: dict[str, list[Group]] = {}
        self.home: dict[int, Group] = {}
        self.durable: dict[int, Tracker] = {}
        # What the journal has of those that have fired and whose trigger it does not have yet.
        self._unwritten: dict[int, Tracker] = {}
        self._acting: dict[int, Tracker] = {}
        self._with_backstop: set[int] = set()

    def all(self) -> list[Tracker]:
        """All live trackers: durable values of waiting ones, so that nothing is shown twice."""
        waiting = [self.durable[tracker_id] for tracker_id in self.home]
        return [*waiting, *self._acting.values()]

    def part(self, number: int, parts: int) -> list[Tracker]:
        """Durable values of waiting trackers, one in `parts`: all of them would take too long."""
        chosen = list(islice(self.home, number % parts, None, parts))
        return [self.durable[tracker_id] for tracker_id in chosen]

    def with_backstop(self) -> list[Tracker]:
        """Durable values of waiting trackers that want a stop on the exchange."""
        return [self.durable[tracker_id] for tracker_id in sorted(self._with_backstop)]

    def of(self, symbol: str) -> list[Tracker]:
        """Live trackers of one symbol, as `all` gives them."""
        ids = (each for group in self.groups.get(symbol, ()) for each in group.trackers)
        acting = (tracker for tracker in self._acting.values() if tracker.symbol == symbol)
        return [*(self.durable[each] for each in ids), *acting]

    def acting(self) -> list[Tracker]:
        """Live trackers that have fired."""
        return list(self._acting.values())

    def count(self) -> int:
        """How many trackers are live."""
        return len(self.home) + len(self._acting)

    def find(self, tracker_id: int) -> Tracker | None:
        """The live tracker with this id as memory has it, its record read."""
        group = self.home.get(tracker_id)
        if group is None:
            return self._acting.get(tracker_id)
        return group.synced(group.trackers[tracker_id])

    def written(self, tracker_id: int) -> Tracker | None:
        """The durable value of one that has fired, while its trigger is not durable."""
        return self._unwritten.get(tracker_id)

    def progress(self, tracker_id: int) -> Progress | None:
        """How far the confirmation of one beyond its level has come; None where none runs."""
        group = self.home.get(tracker_id)
        return None if group is None else group.progress.get(tracker_id)

    def symbols(self) -> frozenset[str]:
        """Symbols that a live tracker needs prices of."""
        return frozenset(self.groups) | {tracker.symbol for tracker in self._acting.values()}

    def group(self, tracker: Tracker, instrument: Callable[[str], Instrument]) -> Group:
        """Return the group in which a tracker would wait, its records read, or a new one."""
        groups = self.groups.setdefault(tracker.symbol, [])
        kind = tracker.spec.price_kind
        for group in groups:
            if group.kind is kind:
                group.sync()
                return group
        group = Group(tracker.symbol, kind, instrument(tracker.symbol))
        groups.append(group)
        return group

    def wait(self, group: Group, durable: Tracker, tracker: Tracker) -> None:
        """Add a tracker that waits, beside its durable value."""
        group.trackers[tracker.tracker_id] = tracker
        self.home[tracker.tracker_id] = group
        self.durable[tracker.tracker_id] = durable
        if durable.spec.backstop is not None:
            self._with_backstop.add(tracker.tracker_id)

    def saved(self, tracker: Tracker) -> None:
        """Take a newer durable value of one that waits."""
        self.durable[tracker.tracker_id] = tracker

    def act(self, tracker: Tracker) -> None:
        """Add a tracker that has fired."""
        self._acting[tracker.tracker_id] = tracker

    def fire(self, group: Group, tracker: Tracker) -> None:
        """Let one that waits act; its group may be empty then, until it is dropped."""
        del group.trackers[tracker.tracker_id]
        group.progress.pop(tracker.tracker_id, None)
        del self.home[tracker.tracker_id]
        if (written := self.durable.pop(tracker.tracker_id, None)) is not None:
            self._unwritten[tracker.tracker_id] = written
        self._with_backstop.discard(tracker.tracker_id)
        self.act(tracker)

    def leave(self, tracker_id: int) -> Group | None:
        """Forget a tracker; returns the group in which it waited, its records read."""
        self._acting.pop(tracker_id, None)
        self._unwritten.pop(tracker_id, None)
        self.durable.pop(tracker_id, None)
        self._with_backstop.discard(tracker_id)
        group = self.home.pop(tracker_id, None)
        if group is not None:
            group.sync()
            del group.trackers[tracker_id]
            group.progress.pop(tracker_id, None)
            if not group.trackers:
                self.drop(group)
        return group

    def drop(self, group: Group) -> None:
        """Forget a group in which nothing waits any more."""
        groups = self.groups[group.symbol]
        groups.remove(group)
        if not groups:
            del self.groups[group.symbol]
