"""Hours of a busy market with a person in the chat: what the agent keeps in memory stays bounded.

`SIMULATED_HOURS=24` plays a day (minutes of computing); half an hour by default.
"""

import asyncio
import os
from collections import deque
from decimal import Decimal
from random import Random

import pytest

from bot.telegram import inbox
from bot.telegram.flood import FloodGate
from tests.catalogue import fired
from tests.simulation.sizes import grown, sizes
from tests.simulation.stage import BTC, ETH, Stage
from tests.simulation.world import World, play
from trading.execution.engine import reporting
from trading.gateway import binance as gateway
from trading.gateway.translate import frames
from trading.state import CAUSES_KEPT

HOURS = float(os.environ.get("SIMULATED_HOURS", "0.5"))
_WARM_UP_S = 900.0
_ASKED = ("/status", "/trackers", "/positions", "/orders", "/history", "/health", "nonsense")
# What a container may hold more at the end than after the warm-up: what is at work just then.
_MORE_MAX = 200
_TASKS_MORE_MAX = 5
# What is kept on purpose, up to a bound of its own.
_CACHES = {
    "_known": frames._KNOWN_MAX,
    "_names": gateway._NAMES_KEPT,
    "_settled": reporting._SETTLED_KEPT,
    "_seen": 20 * inbox._QUEUE_MAX,
    "_taken": 20 * inbox._QUEUE_MAX,
    "executed": CAUSES_KEPT,
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


async def live(stage: Stage, seconds: float, chance: Random) -> int:
    """Move markets, ask, trade and lose connections for a while; how many things happened."""
    ends_s, count = stage.now_s + seconds, 0
    while stage.now_s < ends_s:
        for symbol in (BTC, ETH):
            price = stage.world.price(symbol)
            step = Decimal(repr(round(1 + chance.gauss(0, 0.002), 6)))
            stage.world.move(symbol, price * step)
        stage.world.telephone.say(chance.choice(_ASKED))
        if chance.random() < 0.2:
            await stage.world.confirm("/buy ETH/USDT 20 USDT", 20)
        if chance.random() < 0.2:
            await stage.world.confirm("/sell ETH/USDT 0.01", 20)
        if chance.random() < 0.1:
            stage.fault("disconnect", 1, scope="all", abort=True)
        await stage.world.pass_by(60)
        count += 1
    return count


@pytest.mark.fault("P05", "SAID")
def test_hours_of_work_leave_nothing_in_memory() -> None:
    async def story(world: World) -> None:
        stage, chance = Stage(world), Random(1)
        await stage.open("/track BTC/USDT stop 100 all", "/track ETH/USDT stop 100 50%")
        await live(stage, _WARM_UP_S, chance)
        before, tasks = sizes(world.machine.process), len(asyncio.all_tasks(world.loop))
        assert before["Process._agent.market._symbols"] == 2
        count = await live(stage, HOURS * 3600.0, chance)
        after = sizes(world.machine.process)
        fired(count, words=f"minutes, {len(world.orders())} orders, {sum(after.values())} kept")
        assert grown(before, after, _MORE_MAX, _CACHES) == {}
        assert len(asyncio.all_tasks(world.loop)) - tasks <= _TASKS_MORE_MAX
        assert world.machine.starts == 1

    play(1, story)


def test_what_grows_without_a_bound_is_found() -> None:
    gate = FloodGate()
    before = sizes(gate)
    gate._buckets.update((number, deque(maxlen=1)) for number in range(_MORE_MAX + 1))  # type: ignore[misc]
    assert grown(before, sizes(gate), _MORE_MAX, {}) == {"FloodGate._buckets": "0 → 201"}
    assert grown(before, sizes(gate), _MORE_MAX, {"_buckets": 201}) == {}
