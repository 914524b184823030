"""The periodic summary: once per day and person, at their hour: what happened since they looked."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.telegram.delivery import is_silent, with_banner
from bot.telegram.looks import Looks
from bot.telegram.render.reports import summary_card
from bot.telegram.roster import Roster
from trading.desk import Desk
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.errors import AlreadyRecorded
from trading.domain.events import MessageQueued
from trading.overview import SummaryView
from trading.ports import Clock, Journal

logger = logging.getLogger(__name__)
# A digest that was missed by more than this is not sent any more.
_LATE_MAX = timedelta(hours=1)
# Who did not look for longer is told of the last days, not of everything since.
_BACK_MAX = timedelta(days=7)
_BACK_USUAL = timedelta(hours=24)


def due_day(person: Person, now: datetime) -> date | None:
    """The local day whose digest is due now, None when none is."""
    if person.digest_at is None or not person.is_active:
        return None
    local = now.astimezone(ZoneInfo(person.timezone))
    hour = time.fromisoformat(person.digest_at)
    planned = datetime.combine(local.date(), hour, local.tzinfo)
    return local.date() if timedelta(0) <= local - planned < _LATE_MAX else None


def since(looked_at: datetime | None, now: datetime) -> datetime:
    """From when on a digest tells: the last look, a day where none is known."""
    if looked_at is None:
        return now - _BACK_USUAL
    return max(looked_at, now - _BACK_MAX)


def is_empty(view: SummaryView) -> bool:
    """Whether a digest would tell nothing: nothing happened, is held, is watched or is wrong."""
    status = view.status
    happened = view.round_trips or view.triggers or view.fills
    stands = status.positions or status.trackers_waiting or status.trackers_acting
    is_wrong = any(condition.is_active for condition in status.conditions) or status.alerts
    return not (happened or stands or is_wrong)


@dataclass(slots=True)
class Digests:
    """Queues what is due; the message key makes a second one for the same day impossible."""

    desk: Desk
    journal: Journal
    roster: Roster
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    looks: Looks = field(default_factory=Looks)
    _sent: dict[int, date] = field(default_factory=dict)

    async def tick(self) -> int:
        """Send what is due; the scheduler calls this each minute. Returns how many went out."""
        now = self.clock.now()
        sent = 0
        for person in self.roster.active.values():
            day = due_day(person, now)
            if day is not None and self._sent.get(person.user_id) != day:
                sent += await self._send(person, day, now)
        return sent

    async def _send(self, person: Person, day: date, now: datetime) -> int:
        view = await self.desk.summary(since(self.looks.at(person.user_id), now))
        self._sent[person.user_id] = day
        if is_empty(view):
            return 0
        card = summary_card(view, "Digest", ZoneInfo(person.timezone))
        message = OutboxMessage(
            message_key=f"digest:{person.user_id}:{day.isoformat()}",
            chat_id=person.chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=now,
            is_silent=is_silent(person, Severity.INFO, now),
        )
        try:
            await self.journal.append(MessageQueued(message))
        except AlreadyRecorded:
            return 0
        self.kick_outbox()
        return 1
