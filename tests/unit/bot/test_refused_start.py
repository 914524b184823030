"""A refused start is told once per change, over restarts, and on the second channel too."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.refused_start import RefusedStart
from tests.fakes.memory_store import SettableClock

KEY = "Umbra does not start: the key is refused"
START = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass
class Lives:
    """One machine on which a service manager starts Umbra again and again."""

    folder: Path
    clock: SettableClock = field(default_factory=lambda: SettableClock(START))
    chat: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    is_chat_up: bool = True

    def _life(self) -> RefusedStart:
        return RefusedStart(self.folder, self.clock, self._tell_chat, self._tell_second)

    async def _tell_chat(self, text: str) -> bool:
        if self.is_chat_up:
            self.chat.append(text)
        return self.is_chat_up

    async def _tell_second(self, text: str) -> bool:
        self.second.append(text)
        return True

    async def refused(
        self, why: str = KEY, *, after_s: float = 2.0, is_everywhere: bool = False
    ) -> bool:
        self.clock.time += timedelta(seconds=after_s)
        return await self._life().tell(why, is_everywhere=is_everywhere)

    async def started(self) -> None:
        await self._life().forget()


async def test_many_starts_with_one_refused_key_are_one_message(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    for _ in range(25):
        assert await lives.refused()
    assert lives.chat == [KEY]
    assert lives.second == []


async def test_what_must_be_known_everywhere_is_told_there_at_once_and_once(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    for _ in range(25):
        assert await lives.refused(is_everywhere=True)
    assert (lives.chat, lives.second) == ([KEY], [KEY])


async def test_after_a_minute_it_goes_to_the_second_channel_once(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    for _ in range(100):
        await lives.refused()
    assert (lives.chat, lives.second) == ([KEY], [KEY])


async def test_a_chat_that_takes_nothing_leaves_it_to_the_second_channel(tmp_path: Path) -> None:
    lives = Lives(tmp_path, is_chat_up=False)
    await lives.refused()
    await lives.refused()
    assert (lives.chat, lives.second) == ([], [KEY])
    lives.is_chat_up = True
    await lives.refused()
    await lives.refused()
    assert (lives.chat, lives.second) == ([KEY], [KEY])


async def test_another_reason_an_hour_and_a_start_between_make_it_news(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    await lives.refused()
    await lives.refused("Umbra does not start: withdrawals")
    assert len(lives.chat) == 2
    await lives.refused("Umbra does not start: withdrawals", after_s=3600)
    assert len(lives.chat) == 3
    await lives.started()
    await lives.refused("Umbra does not start: withdrawals")
    assert len(lives.chat) == 4


@pytest.mark.parametrize("content", ["", "[]", '{"why": 1}', '{"why": "x", "since": "never"}'])
async def test_a_damaged_memory_tells_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "refused_start.json").write_text(content)
    lives = Lives(tmp_path)
    await lives.refused()
    await lives.refused()
    assert lives.chat == [KEY]


async def test_a_clock_that_was_set_back_tells_again(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    await lives.refused()
    await lives.refused(after_s=-7200)
    assert len(lives.chat) == 2


async def test_a_folder_that_takes_nothing_still_tells(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "gone")
    assert await lives.refused()
    assert lives.chat == [KEY]


async def test_while_nobody_is_reached_it_is_tried_more_and_more_seldom(tmp_path: Path) -> None:
    clock, tries = SettableClock(START), [0, 0]
    is_up = False

    async def chat(_: str) -> bool:
        tries[0] += 1
        return is_up

    async def second(_: str) -> bool:
        tries[1] += 1
        return False

    starting = RefusedStart(tmp_path, clock, chat, second)
    # As a start that waits asks: once a second, here for ten minutes.
    for _ in range(600):
        assert not await starting.tell(KEY)
        clock.seconds += 1
    # After 1, 2, 4, 8 and 16 s, then each half minute.
    assert tries == [24, 24]
    # Something else is told at once.
    assert not await starting.tell("Umbra does not start: withdrawals")
    assert tries == [25, 25]
    is_up = True
    told = 0
    for _ in range(40):
        told += await starting.tell("Umbra does not start: withdrawals")
        clock.seconds += 1
    assert tries[0] == 26
    assert told >= 10
