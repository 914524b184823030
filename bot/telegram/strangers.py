"""What happens with people nobody admitted: silence, an audit row, one calm notice a day."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.telegram.access import Ruling
from trading.domain.events import AccessDenied

_NOTICE_EVERY = timedelta(hours=24)
_NOTICES_PER_MINUTE_MAX = 5
_MINUTE = timedelta(minutes=1)
_AUDIT_EVERY = timedelta(minutes=10)
_REMEMBERED_MAX = 1000


@dataclass(slots=True)
class Strangers:
    """Remembers who was denied when, so that a flood of strangers costs few rows."""

    _audited: dict[int, datetime] = field(default_factory=dict)
    _noticed: dict[int, datetime] = field(default_factory=dict)
    _latest: deque[datetime] = field(default_factory=lambda: deque(maxlen=_NOTICES_PER_MINUTE_MAX))

    def load(self, denied: Iterable[AccessDenied]) -> None:
        """Take over what the journal remembers, oldest first."""
        for event in denied:
            self._audited[event.user_id] = event.at
            if event.tell_owner:
                self._noticed[event.user_id] = event.at
                self._latest.append(event.at)

    def denied(self, ruling: Ruling, now: datetime) -> AccessDenied | None:
        """The audit row for a denial, None when this stranger has one from the last minutes.

        Whom the owner could not be told of a moment ago, because of a swarm, is told of now.
        """
        user_id = ruling.user_id
        tell = self._tells(user_id, now)
        if not tell and not _is_due(self._audited.get(user_id), now, _AUDIT_EVERY):
            return None
        if len(self._audited) >= _REMEMBERED_MAX:
            self._audited.clear()
        self._audited[user_id] = now
        return AccessDenied(user_id, ruling.chat_id, ruling.kind, tell, now)

    def _tells(self, user_id: int, now: datetime) -> bool:
        is_due = _is_due(self._noticed.get(user_id), now, _NOTICE_EVERY)
        is_swarm = len(self._latest) == self._latest.maxlen and now - self._latest[0] < _MINUTE
        if user_id == 0 or not is_due or is_swarm:
            return False
        if len(self._noticed) >= _REMEMBERED_MAX:
            self._noticed.clear()
        self._noticed[user_id] = now
        self._latest.append(now)
        return True


def _is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    return last is None or now - last >= every
