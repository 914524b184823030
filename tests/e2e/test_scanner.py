"""The scanner by real processes: a crash of what is watched is scored and told by the next scan."""

import time
from dataclasses import dataclass

import pytest

from storage.scores import ScoreFiles
from tests.e2e.world import World
from trading.domain.time import Timeframe, candle_open_ms

pytestmark = [pytest.mark.e2e, pytest.mark.long]

# Two scans, and what they tell on their way: candles may begin between the fall and the first.
_SCANS_S = 150.0
_QUARTER_MS = Timeframe("15m").length_ms
_TOLD = "BTC/USDT crash: bear 100"


@dataclass
class Fall:
    """A market that halves, and again with each new candle, so that none of them stands still."""

    world: World
    price: int = 60_000
    opened_ms: int = 0
    after: int = 0

    async def is_told(self) -> bool:
        """Keep falling; whether the full score was told."""
        opened_ms = candle_open_ms(int(time.time() * 1000), _QUARTER_MS)
        if opened_ms != self.opened_ms:
            self.opened_ms, self.price = opened_ms, self.price // 2
            await self.world.price(str(self.price))
        return await self.world.has_message(_TOLD, self.after)

    async def until_told(self) -> None:
        """Fall until the scanner says so."""
        self.after = await self.world.last_message_id()
        await self.world.until(self.is_told, "the crash should be told", _SCANS_S)


async def test_a_crash_of_what_is_watched_reaches_the_full_score_at_the_next_scan(
    world: World,
) -> None:
    await world.answer("/watch BTC/USDT 15m 1h 4h", "Watching BTC/USDT")
    await world.answer("/scan", r"bear \d")
    fall = Fall(world)
    await fall.until_told()
    told = await world.until_message(_TOLD, after=fall.after)
    for timeframe in ("15m", "1h", "4h"):
        assert f"\n{timeframe} -" in told["text"]
    [folder] = (world.data_dir / "scores").iterdir()
    assert folder.name == "binancesimulated"
    line = await ScoreFiles(folder).since("BTC/USDT", 0)
    assert line.bear[-1] == 1.0
    assert line.price[-1] == fall.price


async def test_a_scanner_that_can_keep_nothing_still_tells_and_holds_up_no_stop(
    quiet_world: World,
) -> None:
    world = quiet_world
    world.data_dir.mkdir()
    for name in ("scores", "archive"):
        (world.data_dir / name).write_text("no folder")
    await world.start_agent()
    await world.answer("/watch BTC/USDT 15m 1h", "Watching BTC/USDT")
    await world.arm("/track BTC/USDT stop 55000 all")
    await Fall(world).until_told()
    assert [order["side"] for order in await world.orders()] == ["SELL"]
    assert "scores_not_recorded" in world.log()
    assert "candles_not_written" in world.log()


async def test_the_past_is_judged_by_what_the_exchange_tells_and_a_watch_outlives_a_kill(
    world: World,
) -> None:
    await world.answer("/rank BTC/USDT history", r"From \d+ days of 1 h candles")
    await world.answer("/watch BTC/USDT 15m 1h", "Watching BTC/USDT")
    await world.kill_agent()
    await world.start_agent()

    async def is_scored() -> bool:
        return bool(list(world.data_dir.glob("scores/*/BTC-USDT/*.points")))

    await world.until(is_scored, "BTC/USDT should be scanned again", _SCANS_S)
