"""The scanner by real processes: a crash of what is watched is scored and told by the next scan."""

import re

import pytest

from storage.scores import ScoreFiles
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

# A scan each minute, and what it tells on its way.
_SCAN_S = 90.0


async def test_a_crash_of_what_is_watched_reaches_the_full_score_at_the_next_scan(
    world: World,
) -> None:
    await world.answer("/watch BTC/USDT 15m 1h 4h", "Watching BTC/USDT")
    calm = await world.answer("/scan", "🔎")
    assert re.search(r"bear \d", calm["text"])
    after = await world.last_message_id()
    await world.price("30000")

    async def is_told() -> bool:
        return await world.has_message("BTC/USDT crash: bear 100", after)

    await world.until(is_told, "the crash should be told", _SCAN_S)
    told = await world.until_message("BTC/USDT crash: bear 100", after=after)
    for timeframe in ("15m", "1h", "4h"):
        assert re.search(rf"{timeframe} -50", told["text"])
    [folder] = (world.data_dir / "scores").iterdir()
    assert folder.name == "binancesimulated"
    line = await ScoreFiles(folder).since("BTC/USDT", 0)
    assert line.bear[-1] == 1.0
    assert line.price[-1] == 30_000
