"""When each person looked last: every message and every tap of theirs is a look."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from trading.domain.chat import InboxUpdate


def sender_of(payload: str) -> int | None:
    """Return who sent a stored update; None where it names nobody."""
    try:
        content = json.loads(payload)
        said = content.get("message") or content.get("callback_query") or {}
        user_id = said.get("from", {}).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return user_id if isinstance(user_id, int) and not isinstance(user_id, bool) else None


@dataclass(slots=True)
class Looks:
    """The newest look of each person; made of the stored updates, so that a restart knows it."""

    _at: dict[int, datetime] = field(default_factory=dict)

    def load(self, updates: Iterable[InboxUpdate]) -> None:
        """Take over what was received before, in any order."""
        for update in updates:
            user_id = sender_of(update.payload)
            if user_id is not None:
                self.note(user_id, update.received_at)

    def note(self, user_id: int, at: datetime) -> None:
        """Count what somebody sent as a look of theirs."""
        self._at[user_id] = max(at, self._at.get(user_id, at))

    def at(self, user_id: int) -> datetime | None:
        """Return when a person looked last, None when that is not known."""
        return self._at.get(user_id)

    def keep(self, user_ids: Iterable[int]) -> None:
        """Forget everybody else: strangers write as often as they like."""
        kept = set(user_ids)
        self._at = {user_id: at for user_id, at in self._at.items() if user_id in kept}
