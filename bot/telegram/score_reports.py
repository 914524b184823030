"""Periodic reports of the scores that somebody watches: a card, a picture and a file."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.charts.heat_map import heat_map_of
from bot.handed_out import keep_newest
from bot.telegram.commands.context import ChartDrawer
from bot.telegram.delivery import is_silent, with_banner
from bot.telegram.render.pictures import heat_map_buttons
from bot.telegram.render.score_files import scores_csv
from bot.telegram.render.score_reports import report_caption
from bot.telegram.roster import Roster
from bot.telegram.turns import each
from trading.desk import Desk
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.errors import AlreadyRecorded, NotInTime
from trading.domain.events import MessageQueued
from trading.domain.watching import AlertType, Loudness
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.scanner.desk import ScannerDesk
from trading.scanner.scores import RankScore

logger = logging.getLogger(__name__)
# A report that was missed by more than this waits for the next one.
_LATE_MAX = timedelta(minutes=10)
_FILES_KEPT = 50
_DAY_MIN = 1440


def due_slot(person: Person, now: datetime) -> datetime | None:
    """Return the beginning of the interval whose report is due now, None when none is.

    Intervals are counted from midnight in the person's own time: every 4 h is at 0, 4, 8 … there.
    Those longer than a day are counted from a Monday.
    """
    every_min = person.wishes.report_every_min
    is_off = person.wishes.loud(AlertType.REPORTS) is Loudness.OFF
    if every_min is None or is_off or not person.is_active or not person.wishes.interests:
        return None
    local = now.astimezone(ZoneInfo(person.timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    days = midnight.toordinal() - 1 if every_min > _DAY_MIN else 0
    minutes = days * _DAY_MIN + int((local - midnight) / timedelta(minutes=1))
    begun = local.replace(second=0, microsecond=0) - timedelta(minutes=minutes % every_min)
    return begun if local - begun < _LATE_MAX else None


@dataclass(slots=True)
class ScoreReports:
    """Queues what is due; the message key makes a second one for the same interval impossible."""

    scanner: ScannerDesk
    desk: Desk
    charts: ChartDrawer
    journal: Journal
    roster: Roster
    clock: Clock
    folder: Path
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    _sent: dict[int, datetime] = field(default_factory=dict)

    async def tick(self) -> int:
        """Send what is due; the scheduler calls this each minute. Returns how many went out."""
        now = self.clock.now()
        people = list(self.roster.active.values())
        return await each(partial(self._send_due, person, now) for person in people)

    async def _send_due(self, person: Person, now: datetime) -> int:
        slot = due_slot(person, now)
        if slot is None or self._sent.get(person.user_id) == slot:
            return 0
        return await self._send(person, slot, now)

    async def _send(self, person: Person, slot: datetime, now: datetime) -> int:
        scores = [
            score
            for interest in person.wishes.interests
            if self.scanner.is_settled(interest.symbol)
            and (score := self.scanner.score(interest)) is not None
        ]
        if not scores:
            # Perhaps in a minute: after a start their past is read first.
            return 0
        name = f"{person.user_id}-{slot:%Y%m%d-%H%M}"
        picture = await self._picture(scores, slot, name)
        document = self.folder / "reports" / f"scores-{name}.csv"
        await asyncio.to_thread(_write, document, scores_csv(scores))
        messages = self._messages(person, scores, slot, (picture, document), now)
        try:
            await self.journal.append(*(MessageQueued(message) for message in messages))
        except AlreadyRecorded:
            self._sent[person.user_id] = slot
            return 0
        # Not before it is stored: what the disk did not take is tried again in a minute.
        self._sent[person.user_id] = slot
        self.kick_outbox()
        return 1

    async def _picture(self, scores: Sequence[RankScore], slot: datetime, name: str) -> Path | None:
        heat_map = heat_map_of(scores, slot, is_simulated=self.desk.is_simulated)
        try:
            return await self.charts.draw(heat_map, self.folder / "charts" / f"report-{name}.png")
        except NotInTime as error:
            # The numbers are in the caption and in the file.
            logger.warning("report_without_picture", extra={"error": str(error)})
            return None

    def _messages(
        self,
        person: Person,
        scores: Sequence[RankScore],
        slot: datetime,
        files: tuple[Path | None, Path],
        now: datetime,
    ) -> tuple[OutboxMessage, OutboxMessage]:
        picture, document = files
        scored = {score.symbol for score in scores}
        symbols = [one.symbol for one in person.wishes.interests]
        missing = [symbol for symbol in symbols if symbol not in scored]
        key = f"report:{person.user_id}:{slot:%Y%m%dT%H%M%z}"
        is_quiet = person.wishes.loud(AlertType.REPORTS) is Loudness.SILENT
        card = OutboxMessage(
            message_key=key,
            chat_id=person.chat_id,
            text=with_banner(report_caption(scores, slot, missing), self.banner()),
            created_at=now,
            buttons=heat_map_buttons(scores),
            is_silent=is_silent(person, Severity.INFO, now, is_quiet=is_quiet),
            picture=None if picture is None else str(picture),
        )
        table = OutboxMessage(
            message_key=f"{key}:csv",
            chat_id=person.chat_id,
            text="Every rank, as a table",
            created_at=now,
            is_silent=True,
            document=str(document),
        )
        return card, table


def _write(path: Path, content: str) -> None:
    keep_newest(path.parent, _FILES_KEPT, "*.csv")
    path.write_text(content, encoding="utf-8")
