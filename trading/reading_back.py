"""What the journal tells of a span of time, read from its end."""

from collections.abc import Sequence
from datetime import datetime

from trading.domain.events import Event
from trading.ports.storage import Journal

_PAGE = 1000


async def read_back(journal: Journal, since: datetime, kinds: Sequence[str]) -> Sequence[Event]:
    """Return the events of these kinds since a time, in order, read from the journal's end."""
    limit = _PAGE
    found = await journal.latest(limit, kinds)
    while len(found) == limit and found[-1].event.at >= since:
        limit *= 4
        found = await journal.latest(limit, kinds)
    return [one.event for one in reversed(found) if one.event.at >= since]
