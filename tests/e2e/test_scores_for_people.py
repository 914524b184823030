"""Two people who watch the same, by real processes: each is told once, and whom the owner lets.

It is noon for all of them: no candle of a length that is watched, and no day, ends while they play.
"""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.world import Message, World
from tests.forking.ahead import minutes_to_noon
from trading.domain.time import Timeframe, candle_open_ms

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(420)]

OWNER, BOB = 1, 2
# Two scans: candles may begin between a move and the first of them.
_SCANS_S = 150.0
_SHORTEST_MS = Timeframe("5m").length_ms


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A still market at noon, and an agent that runs."""
    async with World(tmp_path, minutes_ahead=minutes_to_noon(time.time())) as running:
        await running.price("60000")
        await running.start_agent()
        yield running


@dataclass
class Market:
    """A market that moves by a factor, and again with each new candle, until that is told."""

    world: World
    price: float = 0.6

    async def move_until_told(self, factor: float, pattern: str) -> None:
        """Move until the owner is told by a scan."""
        opened_ms = 0
        after = await self.world.last_message_id()

        async def is_told() -> bool:
            nonlocal opened_ms
            running_ms = candle_open_ms(self.world.now_ms(), _SHORTEST_MS)
            if running_ms != opened_ms:
                opened_ms, self.price = running_ms, self.price * factor
                await self.world.price(f"{self.price:.4f}", "ADAUSDT")
            return await self.world.has_message(pattern, after)

        await self.world.until(is_told, f"{pattern} should be told", _SCANS_S)


async def _let_bob_in(world: World) -> None:
    after = await world.say("/invite viewer")
    shown = await world.until_message(r"/join [a-z2-7-]{11}", after=after)
    code = re.search(r"/join ([a-z2-7-]+)", shown["text"])
    assert code is not None
    await world.say(f"/join {code[1]}", BOB)
    await world.press(await world.until_message("wants to join as"), "Confirm")
    await world.until_message("You are in as a viewer", chat_id=BOB)


async def _told(world: World, chat_id: int, pattern: str) -> list[Message]:
    return [
        message
        for message in await world.messages(chat_id=chat_id)
        if message["from"] == "bot" and re.search(pattern, message["text"])
    ]


async def test_both_are_told_once_across_a_kill_and_a_revoked_one_never_again(
    world: World,
) -> None:
    noon_ms = candle_open_ms(await world.server_time_ms(), Timeframe("12h").length_ms)
    assert await world.server_time_ms() - noon_ms < _SHORTEST_MS
    await world.price("0.6", "ADAUSDT")
    await _let_bob_in(world)
    for user_id in (OWNER, BOB):
        await world.answer("/watch ADA/USDT 5m 15m", "Watching ADA/USDT", user_id)
    await world.answer("/scan", r"ADA/USDT bear \d|ADA/USDT bull \d")
    market = Market(world)

    crash = r"ADA/USDT crash: bear \d+"
    await market.move_until_told(0.5, crash)
    await world.until_message(crash, chat_id=BOB)
    await world.answer("/status", "Equity")
    await world.kill_agent()
    await world.start_agent()

    mapped = await world.answer("/scan picture", "📡")
    assert mapped["media"]
    await world.answer(f"/mute {BOB} 4h", "is silent until")
    asked = await world.answer(f"/revoke {BOB}", "Revoke")
    await world.press(asked, "Confirm")
    removed = await world.until_message("You were removed", chat_id=BOB)

    await market.move_until_told(6, r"ADA/USDT rise: bull \d+")
    for user_id in (OWNER, BOB):
        # The scan after the kill has told nothing again.
        assert len(await _told(world, user_id, crash)) == 1
    heard = await world.messages(after=removed["message_id"], chat_id=BOB)
    assert heard == []
    line = await world.answer("/rank ADA/USDT picture", "scans? since")
    assert line["media"]
    assert "Highest bear 100" in line["text"]
