"""The queue of updates: kept until confirmed, with Telegram's rules for offsets."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bot.localchat.facts import Json

PENDING_MAX: Final = 10_000
# Telegram forgets what nobody fetched for a day.
LIFETIME_S: Final = 24 * 3600
LIMIT_MAX: Final = 100
# Kinds that a bot gets only when it names them.
ASKED_FOR_ONLY: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
_OFFSET_AHEAD_MAX: Final = 10
_DELIVERED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Update:
    """One update and the time it was made, in seconds of the wall clock."""

    update_id: int
    made_at_s: float
    body: Json

    def as_json(self) -> Json:
        """The Update of the Bot API."""
        return {"update_id": self.update_id, **self.body}


@dataclass(slots=True)
class UpdateQueue:
    """Updates that wait for the bot; when `PENDING_MAX` wait, the oldest is dropped."""

    next_id: int
    allowed: frozenset[str] | None = None
    _pending: list[Update] = field(default_factory=list)
    _delivered: deque[Update] = field(default_factory=lambda: deque(maxlen=_DELIVERED_MAX))
    _again: list[Update] = field(default_factory=list)
    _to_double: int = 0

    def __len__(self) -> int:
        return len(self._pending) + len(self._again)

    def push(self, body: Json, now_s: float, update_id: int | None = None) -> int | None:
        """Queue an update and return its id, or None when the bot asked not to get its kind."""
        if not self.is_wanted(next(iter(body), "")):
            return None
        known_id = self.next_id if update_id is None else update_id
        insort(self._pending, Update(known_id, now_s, body), key=lambda one: one.update_id)
        del self._pending[: max(0, len(self._pending) - PENDING_MAX)]
        # Counting goes on from here, also downwards: after a quiet week Telegram picks a new start.
        self.next_id = self._pending[-1].update_id + 1
        return known_id

    def is_wanted(self, kind: str) -> bool:
        """Whether updates of this kind are queued at all."""
        return kind not in ASKED_FOR_ONLY if self.allowed is None else kind in self.allowed

    def allow(self, kinds: Iterable[str]) -> None:
        """Take over `allowed_updates`; an empty list means the usual ones."""
        self.allowed = frozenset(kinds) or None

    def waiting(self, limit: int, now_s: float) -> list[Update]:
        """What waits, oldest first; what is older than a day is forgotten."""
        self._pending = [
            update for update in self._pending if now_s - update.made_at_s <= LIFETIME_S
        ]
        return [*self._again, *self._pending][:limit]

    def confirm(self, offset: int) -> None:
        """Forget updates before the offset; a negative one keeps only that many of the newest."""
        if offset < 0:
            self._pending = self._pending[offset:]
        elif offset <= self.next_id + _OFFSET_AHEAD_MAX:
            # An offset from another life of this server is far ahead and confirms nothing.
            self._pending = [update for update in self._pending if update.update_id >= offset]

    def mark_delivered(self, updates: Iterable[Update]) -> None:
        """Remember what the bot was given, for faults that give it again."""
        for update in updates:
            if update in self._again:
                self._again.remove(update)
                continue
            if update not in self._delivered:
                self._delivered.append(update)
                if self._to_double > 0:
                    self._to_double -= 1
                    self._again.append(update)

    def mark_posted(self, update_id: int) -> None:
        """Confirm one update that a webhook took."""
        posted = [u for u in self.waiting(1, 0.0) if u.update_id == update_id]
        was_again = posted and posted[0] in self._again
        self.mark_delivered(posted)
        if not was_again:
            self._pending = [u for u in self._pending if u.update_id != update_id]

    def drop_all(self) -> None:
        """Forget everything that waits (drop_pending_updates)."""
        self._pending.clear()
        self._again.clear()

    def deliver_last_again(self, count: int) -> int:
        """Queue the last delivered updates once more, confirmed or not; return how many."""
        again = list(self._delivered)[-count:]
        self._again.extend(again)
        return len(again)

    def deliver_next_twice(self, count: int) -> None:
        """Give each of the next updates a second time, although it was confirmed."""
        self._to_double += count
