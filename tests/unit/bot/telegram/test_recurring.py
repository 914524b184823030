"""What goes out because time passes: no part keeps another from its turn, and looks are noted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.telegram.outbox import strip_markup
from bot.telegram.recurring import Recurring
from bot.telegram.roster import Roster
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.fakes.scanner import FakeScanner
from tests.unit.bot.telegram.test_pinned import Phone
from tests.unit.bot.telegram.test_score_reports import PERSON, PictureBook, scored
from trading.domain.events import MessageDelivered, MessageQueued

SEVEN_59 = datetime(2026, 11, 20, 7, 59, tzinfo=UTC)
PINNED = replace(PERSON, wishes=replace(PERSON.wishes, is_pinned=True))


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = SettableClock(SEVEN_59)
        self.store = MemoryStore(self.clock)
        self.phone = Phone()
        scanner = FakeScanner()
        scanner.scores["ADA/USDC"] = scored("ADA/USDC", 6)
        self.recurring = Recurring(
            desk=FakeDesk(self.clock, self.store),
            scanner=scanner,
            charts=PictureBook(),
            sender=self.phone,
            journal=self.store,
            records=self.store,
            roster=Roster({7: PINNED}),
            clock=self.clock,
            folder=folder,
            banner=lambda: "",
            kick_outbox=lambda: None,
        )

    async def pin(self) -> None:
        """Place the card in the minute before a report is due, and deliver it as message 41."""
        await self.recurring.tick()
        [card] = [event.message for event in self.store.of(MessageQueued)]
        self.phone.texts[41] = card.text
        await self.store.append(MessageDelivered(card.message_key, 41, "delivered", SEVEN_59))

    async def next_minute(self) -> int:
        self.clock.time += timedelta(minutes=1)
        return await self.recurring.tick()


async def test_a_report_that_cannot_be_written_keeps_no_pinned_card_from_its_minute(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "disk"
    folder.write_text("no folder, so that no report can be written below it")
    world = World(folder)
    await world.pin()

    with pytest.raises(OSError, match="disk"):
        await world.next_minute()

    assert "Alive at 08:00" in strip_markup(world.phone.texts[41])
    # Within minutes the report is still worth something: it is tried again.
    folder.unlink()
    assert await world.next_minute() == 2
    assert "Alive at 08:01" in strip_markup(world.phone.texts[41])


async def test_parts_that_fail_in_the_same_minute_are_all_told(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.write_text("no folder, so that no report can be written below it")
    world = World(folder)
    await world.pin()
    world.recurring._pinned.banner = _broken

    with pytest.raises(ExceptionGroup) as failed:
        await world.next_minute()

    assert [type(error) for error in failed.value.exceptions] == [NotADirectoryError, ValueError]


def _broken() -> str:
    raise ValueError("no banner")


async def test_a_minute_counts_what_went_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.pin()

    assert await world.next_minute() == 2
