"""The same stop on paper and on PostgreSQL."""

import re
from pathlib import Path

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


async def test_paper_sells_into_live_quotes_and_outlives_the_process(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.price("60000")
        paper = {"UMBRA_MODE": "paper", "UMBRA_PAPER_BALANCE": "USDT=10000"}
        await world.start_agent(**paper)
        await world.confirm("/buy BTC/USDT 6000 USDT")
        asked = await world.until_message(r"Type \d+ to confirm")
        await world.say(re.findall(r"\d+", asked["text"])[0])
        await world.until_message(r"Bought 0\.\d+ BTC")
        armed = await world.arm("/track BTC/USDT stop 58000 all")
        assert "🛡 protected" in armed["text"]

        await world.kill_agent()
        await world.start_agent()
        before = await world.answer("/balance", "BTC")
        assert "USDT" in before["text"]
        assert "🛡 protected at 58,000" in (await world.answer("/positions", "💼"))["text"]

        await world.price("57990")
        await world.until_message(r"Sold 0\.\d+ BTC")
        await world.kill_agent()
        await world.start_agent()
        assert "9,7" in (await world.answer("/balance", "USDT"))["text"]
        assert "No open position" in (await world.answer("/status", "Equity"))["text"]
        # Paper never touches the account that the prices come from.
        assert await world.orders() == []


async def test_a_stop_works_on_postgresql_and_through_a_death(
    tmp_path: Path, postgres_url: str
) -> None:
    async with World(tmp_path) as world:
        await world.price("60000")
        await world.start_agent(UMBRA_DATABASE_URL=postgres_url)
        await world.arm("/track BTC/USDT stop 58000 all")
        await world.kill_agent()
        await world.start_agent()
        await world.price("57990")
        await world.until_message(r"Sold 0\.5 BTC")
        [order] = await world.orders()
        assert order["executedQty"] == "0.50000000"
        second = await world.spawn_agent(UMBRA_DATA_DIR=str(tmp_path / "second"))
        assert await second.wait() == 2
        await world.processes["run"].wait()


async def test_a_start_that_succeeded_says_in_one_line_what_runs(world: World) -> None:
    first = await _runs(world, 1)
    assert "(no real money): SIMULATED, live on binance, active; 0 trackers watched" in first
    await world.arm("/track BTC/USDT stop 58000 all")
    await world.answer("/halt", "HALTED")
    await world.end("run")
    await world.start_agent()
    second = await _runs(world, 2)
    assert "HALTED: only private stops sell; 1 tracker watched." in second
    assert f"a file {world.data_dir / 'HALT'} halts it" in second
    for name in ("UMBRA_EXCHANGE_API_KEY", "UMBRA_EXCHANGE_SECRET", "UMBRA_TELEGRAM_TOKEN"):
        assert world.environment[name] not in second


async def _runs(world: World, starts: int) -> str:
    async def are_said() -> bool:
        return len(_said(world)) >= starts

    await world.until(are_said, "nothing is said")
    assert len(_said(world)) == starts
    return _said(world)[-1]


def _said(world: World) -> list[str]:
    return [line for line in world.log().splitlines() if line.startswith("Umbra ")]
