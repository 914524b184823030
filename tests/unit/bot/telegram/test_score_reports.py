"""Periodic reports: when they are due, what they hold, and that none is sent twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.charts.heat_map import HeatMap
from bot.charts.worker import Picture
from bot.telegram.outbox import strip_markup
from bot.telegram.roster import Roster
from bot.telegram.score_reports import ScoreReports, due_slot
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.fakes.scanner import FakeScanner
from trading.domain.chat import OutboxMessage, Person, Role
from trading.domain.errors import NotInTime, StorageLost
from trading.domain.events import MessageQueued
from trading.domain.time import Timeframe
from trading.domain.watching import AlertType, Interest, Loudness, Wishes
from trading.scanner.scores import RankScore, Standing, TimeframeScore

EIGHT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
HOUR = Timeframe("1h")
WISHES = Wishes((Interest("ADA/USDC", (HOUR,)),), report_every_min=240)
PERSON = Person(7, 7, "Ada", Role.OWNER, wishes=WISHES)


def scored(symbol: str, bear_points: int) -> RankScore:
    candle = TimeframeScore(
        HOUR, Standing.SCORED, 500, change=-8.4, down_rank=0.4, bear_points=bear_points
    )
    return RankScore(symbol, 0, 0.41, 0.0, bear_points / 6, 0.0, (candle,))


class PictureBook:
    """Keeps what it was asked to draw; `is_slow` draws nothing in time."""

    def __init__(self) -> None:
        self.drawn: list[Picture] = []
        self.is_slow = False

    async def draw(self, picture: Picture, path: Path) -> Path:
        if self.is_slow:
            raise NotInTime("the picture could not be drawn in time")
        self.drawn.append(picture)
        return path


class World:
    def __init__(self, folder: Path, person: Person = PERSON) -> None:
        self.clock = SettableClock(EIGHT)
        self.store = MemoryStore(self.clock)
        self.scanner = FakeScanner()
        self.scanner.scores["ADA/USDC"] = scored("ADA/USDC", 6)
        self.charts = PictureBook()
        self.folder = folder
        self.roster = Roster({person.user_id: person})
        self.reports = self.begin()

    def begin(self) -> ScoreReports:
        return ScoreReports(
            self.scanner,
            FakeDesk(self.clock, self.store),
            self.charts,
            self.store,
            self.roster,
            self.clock,
            self.folder,
            lambda: "",
            lambda: None,
        )

    @property
    def messages(self) -> list[OutboxMessage]:
        return [event.message for event in self.store.of(MessageQueued)]


@pytest.mark.parametrize(
    ("minutes", "is_due"), [(-1, False), (0, True), (9, True), (10, False), (240, True)]
)
def test_a_report_is_due_at_the_beginning_of_each_interval(minutes: int, is_due: bool) -> None:
    assert (due_slot(PERSON, EIGHT + timedelta(minutes=minutes)) is not None) is is_due


def test_intervals_are_counted_in_the_persons_own_day() -> None:
    kolkata = replace(PERSON, timezone="Asia/Kolkata")

    assert due_slot(kolkata, EIGHT) is None
    slot = due_slot(kolkata, datetime(2026, 11, 20, 6, 30, tzinfo=UTC))
    assert slot is not None
    assert (slot.hour, slot.minute) == (12, 0)


@pytest.mark.parametrize(
    ("every_min", "slots"),
    [
        (1440, ["23 00:00", "24 00:00", "25 00:00", "26 00:00", "27 00:00", "28 00:00"]),
        (2 * 1440, ["23 00:00", "25 00:00", "27 00:00"]),
        (36 * 60, ["23 12:00", "25 00:00", "26 12:00", "28 00:00"]),
        (7 * 1440, ["23 00:00"]),
    ],
)
def test_an_interval_of_days_is_not_one_of_a_day(every_min: int, slots: list[str]) -> None:
    # From Monday 23 November on, six days, asked each ten minutes.
    berlin = replace(PERSON, timezone="Europe/Berlin")
    person = replace(berlin, wishes=replace(WISHES, report_every_min=every_min))
    first = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
    asked = [first + timedelta(minutes=10 * number) for number in range(6 * 144)]
    due = [slot for at in asked if (slot := due_slot(person, at)) is not None]
    assert [f"{slot:%d %H:%M}" for slot in due] == slots


@pytest.mark.parametrize(
    "person",
    [
        replace(PERSON, wishes=replace(WISHES, report_every_min=None)),
        replace(PERSON, wishes=replace(WISHES, interests=())),
        replace(PERSON, wishes=replace(WISHES, loudness=((AlertType.REPORTS, Loudness.OFF),))),
        replace(PERSON, is_active=False),
    ],
)
def test_who_wishes_none_or_watches_nothing_gets_none(person: Person) -> None:
    assert due_slot(person, EIGHT) is None


async def test_a_report_is_a_card_with_a_picture_and_a_file(tmp_path: Path) -> None:
    world = World(tmp_path)

    assert await world.reports.tick() == 1

    card, table = world.messages
    assert strip_markup(card.text).startswith("📡 08:00 ADA/USDC bear 100 bull 0")
    assert card.picture is not None
    assert isinstance(world.charts.drawn[0], HeatMap)
    assert table.document is not None
    rows = Path(table.document).read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("time,symbol,price,bull,bear")
    assert rows[1].split(",")[1:5] == ["ADA/USDC", "0.41", "0.0", "100.0"]
    assert (card.is_silent, table.is_silent) == (False, True)


async def test_a_report_is_sent_once_also_across_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path)

    assert await world.reports.tick() == 1
    assert await world.reports.tick() == 0
    assert await world.begin().tick() == 0
    world.clock.time += timedelta(hours=4)
    assert await world.reports.tick() == 1


async def test_without_a_picture_the_numbers_still_come(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.charts.is_slow = True

    assert await world.reports.tick() == 1

    assert world.messages[0].picture is None
    assert "bear 100" in strip_markup(world.messages[0].text).replace("\n", " ")


async def test_before_the_first_scan_nothing_is_sent(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.scanner.scores.clear()

    assert await world.reports.tick() == 0
    assert not world.messages


async def test_a_report_waits_minutes_for_the_first_scan_after_a_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    score = world.scanner.scores.pop("ADA/USDC")
    assert await world.reports.tick() == 0

    world.clock.time += timedelta(minutes=2)
    world.scanner.scores["ADA/USDC"] = score

    assert await world.reports.tick() == 1
    assert strip_markup(world.messages[0].text).startswith("📡 08:00")


async def test_a_report_that_the_disk_did_not_take_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.lose()
    with pytest.raises(StorageLost):
        await world.reports.tick()

    world.store.heal()

    assert await world.reports.tick() == 1


async def test_a_report_names_what_has_no_score_and_leads_on(tmp_path: Path) -> None:
    wishes = replace(WISHES, interests=(*WISHES.interests, Interest("BTC/USDT", (HOUR,))))
    world = World(tmp_path, replace(PERSON, wishes=wishes))

    await world.reports.tick()

    card = world.messages[0]
    assert "Not scored: BTC/USDT" in strip_markup(card.text)
    assert "+/rank ADA/USDC" in {button.data for row in card.buttons for button in row}


async def test_the_most_unusual_are_told_with_their_moves(tmp_path: Path) -> None:
    symbols = [f"C{number}/USDT" for number in range(7)]
    wishes = replace(WISHES, interests=tuple(Interest(symbol, (HOUR,)) for symbol in symbols))
    world = World(tmp_path, replace(PERSON, wishes=wishes))
    world.scanner.scores = {symbol: scored(symbol, 6) for symbol in symbols}
    world.scanner.scores["C1/USDT"] = scored("C1/USDT", 0)

    await world.reports.tick()

    text = strip_markup(world.messages[0].text)
    assert text.count("1h -8.4%, rank 0.4%") == 4
    assert len(text) < 850
    assert "C1/USDT bear 0 bull 0" in " ".join(text.split())


async def test_a_silent_report_makes_no_sound(tmp_path: Path) -> None:
    silent = replace(WISHES, loudness=((AlertType.REPORTS, Loudness.SILENT),))
    world = World(tmp_path, replace(PERSON, wishes=silent))

    await world.reports.tick()

    assert world.messages[0].is_silent
