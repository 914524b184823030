"""What goes out because time passes: scores after each scan, reports, digests, the pinned card."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bot.telegram.alert_pictures import AlertPictures
from bot.telegram.commands.context import ChartDrawer
from bot.telegram.digests import Digests
from bot.telegram.looks import Looks
from bot.telegram.pinned import PinnedCards
from bot.telegram.roster import Roster
from bot.telegram.score_reports import ScoreReports
from bot.telegram.score_telling import ScoreTelling
from bot.telegram.sending import Sender
from bot.telegram.turns import each
from trading.desk import Desk
from trading.domain.events import UpdateReceived
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Records
from trading.scanner.desk import ScannerDesk

_UPDATES_READ = 500


class Recurring:
    """`load` before anything else; `tick` each minute, `tell_scores` after each scan."""

    def __init__(  # noqa: PLR0913 - everything that its four parts share
        self,
        *,
        desk: Desk,
        scanner: ScannerDesk,
        charts: ChartDrawer,
        sender: Sender,
        journal: Journal,
        records: Records,
        roster: Roster,
        clock: Clock,
        folder: Path,
        banner: Callable[[], str],
        kick_outbox: Callable[[], None],
    ) -> None:
        self._journal, self._roster = journal, roster
        ends = (clock, banner, kick_outbox)
        self._looks = Looks()
        self._digests = Digests(desk, journal, roster, *ends, self._looks)
        self._telling = ScoreTelling(
            scanner, desk, journal, roster, *ends, AlertPictures(desk, charts, clock, folder)
        )
        self._reports = ScoreReports(
            scanner, desk, charts, journal, roster, clock, folder, banner, kick_outbox
        )
        self._pinned = PinnedCards(sender, desk, journal, records, roster, *ends)

    async def load(self) -> None:
        """Read what everybody has been told, and when they looked last."""
        received = await self._journal.latest(_UPDATES_READ, ("UpdateReceived",))
        self._looks.load(
            one.event.update for one in received if isinstance(one.event, UpdateReceived)
        )
        self._looks.keep(self._roster.active)
        await self._telling.load()

    async def tick(self) -> int:
        """Queue the digests and reports that are due, and keep pinned cards up to date.

        Returns how many went out. Each part has its turn whatever becomes of the others; what
        failed is raised after the last.
        """
        self._looks.keep(self._roster.active)
        return await each((self._digests.tick, self._reports.tick, self._pinned.tick))

    async def tell_scores(self) -> int:
        """Tell whoever watches of what the newest scan has found."""
        return await self._telling.tell()

    async def look(self, user_id: int, at: datetime) -> None:
        """Note that somebody has written or tapped: what waited for them is seen."""
        self._looks.note(user_id, at)
        person = self._roster.active.get(user_id)
        if person is not None:
            await self._telling.look(person)
