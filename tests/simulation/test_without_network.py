"""No names, no route, no descriptors: every channel is gone at once, and comes back by itself."""

import errno
import os
import socket
from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.catalogue import fired
from tests.simulation.machine import SecondChannel
from tests.simulation.stage import ETH, Stage
from tests.simulation.world import World, play

pytestmark = pytest.mark.slow

AWAY_S = 240.0
TOLD_WITHIN_S = 90.0
RETURNED_WITHIN_S = 45.0


def system_says(number: int) -> OSError:
    """An error as the system words it."""
    return OSError(number, os.strerror(number))


NOTHING = [
    pytest.param(
        lambda: socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        "The exchange cannot be reached",
        id="no-names",
    ),
    pytest.param(
        lambda: system_says(errno.ENETUNREACH), "The exchange cannot be reached", id="no-route"
    ),
    pytest.param(
        lambda: system_says(errno.EMFILE),
        "This machine has no file descriptor left, so Umbra cannot ask the exchange",
        id="no-descriptors",
    ),
]


@pytest.mark.fault("P10", "TELL SAID")
@pytest.mark.parametrize(("error", "words"), NOTHING)
def test_without_any_connection_the_agent_lives_on_tells_elsewhere_and_sells_on_return(
    error: Callable[[], OSError], words: str
) -> None:
    async def story(world: World) -> None:
        pager = world.machine.second_channel = SecondChannel(world.machine.clock)
        stage = Stage(world)
        await stage.open("/track BTC/USDT stop 58000 all", "/track ETH/USDT stop 2500 all")
        weather, line = world.network.weather, world.telephone.line
        weather.refusal = error()
        weather.is_refusing = line.is_refusing = True
        gone_s = stage.now_s
        stage.fault("disconnect", 1, scope="all", abort=True)
        await world.pass_by(20)
        stage.move("57900")
        await stage.until(lambda: told(pager, words), TOLD_WITHIN_S)
        await stage.until(lambda: told(pager, "chat could not be reached"), TOLD_WITHIN_S)
        await world.pass_by(gone_s + AWAY_S - stage.now_s)
        assert stage.sales == []
        assert world.machine.is_running
        refused = [weather.fired.get("refused", 0), line.fired.get("refused", 0)]
        fired(refused, words=f"{weather.refusal}: {refused[0]} times, the chat {refused[1]}")
        weather.is_refusing = line.is_refusing = False
        assert await stage.until(lambda: world.held("BTC") == 0) <= RETURNED_WITHIN_S
        await stage.until_told("Sold 0.5 BTC", 60)
        await stage.until(lambda: not world.agent.prices.is_stale(ETH), 60)
        await stage.until(lambda: world.agent.account_stream == "live", 60)
        stage.move("2400", ETH)
        await stage.until(lambda: world.held("ETH") == 0, 30)
        assert sum(order.executed for order in stage.sales) == Decimal("2.5")
        assert len(stage.sales) == 2
        # All of that in one and the same process.
        assert world.machine.starts == 1

    play(1, story)


def told(pager: SecondChannel, words: str) -> bool:
    """Whether the second channel has said something, however its lines are broken."""
    return any(words in " ".join(text.split()) for _, text in pager.texts)
