"""An answer that takes its time says so after a while, and takes the place of what it said."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from bot.charts.worker import Picture
from bot.telegram import inbox
from bot.telegram.commands.registry import COMMANDS
from bot.telegram.replying import Place
from tests.fakes.memory_store import MemoryStore
from tests.unit.bot.telegram.commands.talk import Easel, Talk, crashed
from trading.domain.chat import OutboxMessage
from trading.domain.errors import NotInTime, StorageLost
from trading.domain.events import Event, MessageQueued


class SlowEasel(Easel):
    """Draws only after something has been said meanwhile; `fails` never does."""

    def __init__(self, talk: Talk, *, fails: bool = False) -> None:
        super().__init__()
        self.talk, self.fails = talk, fails

    async def draw(self, picture: Picture, path: Path) -> Path:
        async with asyncio.timeout(5):
            while not self.talk.store.of(MessageQueued):
                await asyncio.sleep(0)
        if self.fails:
            raise NotInTime("the picture could not be drawn in time")
        return await super().draw(picture, path)


def queued(talk: Talk) -> list[OutboxMessage]:
    return [one.message for one in talk.store.of(MessageQueued)]


def watching(*, fails: bool = False) -> Talk:
    talk = Talk()
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    talk.services.charts = SlowEasel(talk, fails=fails)
    talk.router.progress.after_s = 0
    return talk


@pytest.mark.parametrize("is_tap", [False, True])
async def test_a_slow_picture_says_that_it_is_drawn_and_then_takes_that_place(
    is_tap: bool,
) -> None:
    talk = watching()
    line = "/scan BTC/USDT 15m picture"
    await (talk.press(f"+{line}") if is_tap else talk.ask(line))
    sign, answer = queued(talk)
    assert sign.text == "<b>⏳ Drawing…</b>"
    assert sign.is_silent
    assert sign.card == answer.card
    assert answer.edits
    assert answer.target is None
    assert answer.picture is not None


async def test_what_fails_after_a_while_takes_that_place_too() -> None:
    talk = watching(fails=True)
    await talk.ask("/scan BTC/USDT 15m picture")
    sign, answer = queued(talk)
    assert "Not now" in answer.text
    assert (answer.card, answer.edits) == (sign.card, True)


async def test_after_a_death_the_sign_is_not_said_again_and_still_becomes_the_answer() -> None:
    talk = watching()
    await talk.ask("/scan BTC/USDT 15m picture")
    sign, answer = queued(talk)
    # The same update in a next life: its sign is known, and nothing of it is said twice.
    place = Place(sign.chat_id, str(sign.card), is_begun=True)
    async with talk.router.progress.shown(place, "Drawing…", ""):
        for _ in range(20):
            await asyncio.sleep(0)
    assert queued(talk) == [sign, answer]


async def test_a_disk_that_is_lost_meanwhile_shows_nothing_and_ends_nothing() -> None:
    talk = Talk()
    talk.router.progress.after_s = 0
    talk.router.progress.journal = _LostJournal(talk.clock)
    done = False
    async with talk.router.progress.shown(Place(7, "u1", is_begun=True), "Drawing…", ""):
        for _ in range(20):
            await asyncio.sleep(0)
        done = True
    assert done
    assert queued(talk) == []


class _LostJournal(MemoryStore):
    async def append(self, *events: Event) -> Any:
        raise StorageLost("no disk")


async def test_a_quick_answer_says_nothing_before() -> None:
    talk = Talk()
    await talk.ask("/watch BTC/USDT 15m")
    before = len(queued(talk))
    await talk.ask("/scan")
    assert len(queued(talk)) == before + 1


async def test_a_card_that_is_turned_over_has_the_spinner_of_its_button() -> None:
    talk = Talk()
    talk.router.progress.after_s = 0
    answer = await talk.press("=/rank BTC/USDT")
    assert [one.target for one in answer.messages] == [5]


def test_what_shows_progress_is_what_is_handled_beside_the_others() -> None:
    shown = {entry.name for entry in COMMANDS if entry.working}
    beside = re.search(r"\(\?:([a-z|]+)\)\\b", inbox._SLOW.pattern)
    assert beside is not None
    assert shown == set(beside[1].split("|"))
