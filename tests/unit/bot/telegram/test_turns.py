"""Each has its turn: what fails of one person takes nothing from the others."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.telegram.turns import each
from tests.unit.bot.telegram import test_digests, test_score_reports, test_score_telling
from trading.domain.chat import Person
from trading.domain.errors import StorageLost


def part(error: Exception | None = None) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        if error is not None:
            raise error
        return 1

    return run


async def test_all_have_their_turn_and_are_added_up() -> None:
    assert await each([part(), part(), part()]) == 3
    assert await each([]) == 0


async def test_what_failed_is_raised_after_the_last() -> None:
    had: list[int] = []

    async def later() -> int:
        had.append(1)
        return 1

    with pytest.raises(ValueError, match="first"):
        await each([part(ValueError("first")), later])
    with pytest.raises(ExceptionGroup):
        await each([part(ValueError("first")), later, part(KeyError("second"))])
    assert had == [1, 1]


async def test_a_lost_disk_ends_all_turns_at_once() -> None:
    had: list[int] = []

    async def later() -> int:
        had.append(1)
        return 1

    with pytest.raises(StorageLost):
        await each([part(StorageLost("no disk")), later])
    assert had == []


def broken(person: Person, user_id: int) -> Person:
    """Somebody in a time zone that this machine does not know."""
    hours = "22:00-07:00"
    zone = "Mars/Base"
    return replace(person, user_id=user_id, chat_id=user_id, timezone=zone, quiet_hours=hours)


async def test_somebody_whose_time_zone_is_gone_takes_no_digest_from_others() -> None:
    world = test_digests.World()
    world.desk.equity_before = Decimal(39_000)
    world.digests.roster.replace_all([broken(test_digests.ADA, 1), test_digests.ADA])
    with pytest.raises(Exception, match="Mars"):
        await world.digests.tick()
    assert [one.message.chat_id for one in world.store.of(test_digests.MessageQueued)] == [7]


async def test_somebody_whose_time_zone_is_gone_takes_no_report_from_others(
    tmp_path: Path,
) -> None:
    world = test_score_reports.World(tmp_path)
    person = test_score_reports.PERSON
    world.roster.replace_all([broken(person, 1), person])
    with pytest.raises(Exception, match="Mars"):
        await world.reports.tick()
    assert {one.chat_id for one in world.messages} == {7}


async def test_somebody_whose_time_zone_is_gone_takes_no_alert_from_others() -> None:
    watching = test_score_telling.watches(test_score_telling.FRIEND, test_score_telling.ADA_BOTH)
    world = test_score_telling.World(broken(watching, 9), watching)
    world.shows(test_score_telling.crashed(test_score_telling.ADA))
    with pytest.raises(Exception, match="Mars"):
        await world.telling.tell()
    assert [one.chat_id for one in world.messages] == [2]
