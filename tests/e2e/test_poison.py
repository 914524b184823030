"""A message that kills the real process each time it is worked on is set apart; stops go on."""

import asyncio
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.world import PATIENCE_S, World
from trading.poison import DEATHS_MAX

pytestmark = pytest.mark.e2e

# The process kills itself before the commit of any question: each life dies of the same message.
DEADLY = "before_commit:ConfirmationAsked:1"


@pytest.mark.fault("P08", "CRIT SAID")
async def test_a_message_that_kills_each_life_is_set_apart_and_the_stop_sells(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.start_agent()
        await world.arm("/track BTC/USDT stop 58000 all")
        await world.kill_agent()
        begin = await world.last_message_id()
        deaths = 0
        await world.spawn_agent(UMBRA_FAILPOINT=DEADLY)
        await world.say("/sell BTC/USDT 10%")
        while deaths < DEATHS_MAX:
            async with asyncio.timeout(PATIENCE_S):
                assert await world.processes["run"].wait() == -signal.SIGKILL
            deaths += 1
            await world.spawn_agent()
        await world.until_message("A message was set apart", after=begin)
        await world.until_message("SAFE MODE", after=begin)
        await world.until_message(rf"died {DEATHS_MAX} times", after=begin)
        assert world.processes["run"].returncode is None
        fired(deaths, words=f"deaths by SIGKILL at {DEADLY}")
        await world.answer("/status", "BTC")
        await world.price("57900")
        await world.until_message(r"Sold 0\.5 BTC", after=begin)
        [order] = await world.orders()
        assert Decimal(order["executedQty"]) == Decimal("0.5")
