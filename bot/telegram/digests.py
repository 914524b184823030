"""The periodic summary: once per day and person, at their hour: what happened since they looked.

Of the account, and of the scores that they watch. Who looked a moment ago is told of the day.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from bot.telegram.delivery import is_silent, with_banner
from bot.telegram.keyboards import does
from bot.telegram.looks import Looks
from bot.telegram.render.reports import summary_card
from bot.telegram.render.score_alerts import Highest, missed_lines
from bot.telegram.render.text import Card
from bot.telegram.roster import Roster
from bot.telegram.turns import each
from trading.desk import Desk
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.errors import AlreadyRecorded
from trading.domain.events import MessageQueued, ScoresTold
from trading.domain.time import to_ms
from trading.domain.watching import Loudness, ScoreKind
from trading.overview import SummaryView
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Recorded
from trading.scanner.telling import TYPES

logger = logging.getLogger(__name__)
# A digest that was missed by more than this is not sent any more.
_LATE_MAX = timedelta(hours=1)
# Who did not look for longer is told of the last days, not of everything since.
_BACK_MAX = timedelta(days=7)
_BACK_USUAL = timedelta(hours=24)
# Read beside the loop: the newest of everybody, some hours of a day on which all of them move.
_TOLD_READ = 500
# What is owned being worth so much more or less is news.
_MOVED = Decimal("0.01")
DIGEST_ROWS = ((does("📊 Status", "/status"), does("🔎 Scan now", "/scan")),)


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


def highest_told(
    rows: Iterable[Recorded], person: Person, since_at: datetime
) -> tuple[Highest, ...]:
    """What somebody was told of scores since a moment: of each the highest, the highest first.

    Told aloud, without a sound, or on the card of the rest: not what the person has turned off.
    """
    found: dict[tuple[str, ScoreKind], Highest] = {}
    for row in rows:
        if not isinstance(row.event, ScoresTold) or row.event.user_id != person.user_id:
            continue
        for one in row.event.watched:
            score, at_ms = one.state.told, one.state.told_ms
            is_off = person.wishes.loud(TYPES[one.kind]) is Loudness.OFF
            if score is None or at_ms is None or at_ms <= to_ms(since_at) or is_off:
                continue
            known = found.get((one.symbol, one.kind))
            if known is None or score > known.score:
                found[one.symbol, one.kind] = Highest(one.symbol, one.kind, score, at_ms)
    return tuple(sorted(found.values(), key=lambda one: (-one.score, one.symbol)))


def is_empty(view: SummaryView) -> bool:
    """Whether a digest would tell nothing new: what only stands there is seen in /status."""
    status = view.status
    happened = view.round_trips or view.triggers or view.fills or status.trackers_acting
    is_wrong = any(condition.is_active for condition in status.conditions) or status.alerts
    return not (happened or is_wrong or _has_moved(view))


def _has_moved(view: SummaryView) -> bool:
    before, profit = view.equity_before, view.profit
    if not before or profit is None:
        return False
    return max(abs(profit), abs(view.moved)) >= before * _MOVED


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
        people = list(self.roster.active.values())
        return await each(partial(self._send_due, person, now) for person in people)

    async def _send_due(self, person: Person, now: datetime) -> int:
        day = due_day(person, now)
        if day is None or self._sent.get(person.user_id) == day:
            return 0
        return await self._send(person, day, now)

    async def _send(self, person: Person, day: date, now: datetime) -> int:
        card = await self._card(person, now)
        if card is None:
            self._sent[person.user_id] = day
            return 0
        message = OutboxMessage(
            message_key=f"digest:{person.user_id}:{day.isoformat()}",
            chat_id=person.chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=now,
            buttons=DIGEST_ROWS,
            is_silent=is_silent(person, Severity.INFO, now),
        )
        try:
            await self.journal.append(MessageQueued(message))
        except AlreadyRecorded:
            self._sent[person.user_id] = day
            return 0
        # Not before it is stored: what the disk did not take is tried again in a minute.
        self._sent[person.user_id] = day
        self.kick_outbox()
        return 1

    async def _card(self, person: Person, now: datetime) -> Card | None:
        """What a digest tells, None where there is nothing, not even over the usual time."""
        looked_at = since(self.looks.at(person.user_id), now)
        view = await self.desk.summary(looked_at)
        told = await self.journal.latest(_TOLD_READ, (ScoresTold.__name__,))
        highest = highest_told(told, person, looked_at)
        timezone = ZoneInfo(person.timezone)
        if highest or not is_empty(view):
            return summary_card(view, "Digest", timezone, missed_lines(highest, timezone))
        usual = await self.desk.summary(min(looked_at, now - _BACK_USUAL))
        nothing_new = f"Nothing new since you looked, {looked_at.astimezone(timezone):%H:%M}."
        return None if is_empty(usual) else summary_card(usual, "Digest", timezone, [nothing_new])
