"""The watchdog, a process of its own, says within 15 s that nobody watches the stops any more."""

import signal
import socket
import time
from decimal import Decimal
from pathlib import Path

import pytest

from tests.catalogue import fired
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SAID_WITHIN_S = 15.0
PROTECTED_WITHIN_S = 10.0
WATCHDOG_MISSED_WITHIN_S = 60.0


async def test_the_service_manager_hears_of_readiness_of_life_and_of_the_end(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        manager.setblocking(False)
        heard: list[bytes] = []

        async def lives() -> bool:
            heard.extend(_received(manager))
            return heard.count(b"WATCHDOG=1") >= 2

        async with World(tmp_path) as world:
            world.settings["NOTIFY_SOCKET"] = "@" + manager.getsockname()[1:].decode()
            world.settings["WATCHDOG_USEC"] = "500000"
            await world.start_agent()
            await world.until(lives, "no sign of life for the service manager")
            await world.end("run")
            heard.extend(_received(manager))
        assert any(one.startswith(b"READY=1") for one in heard)
        assert b"STOPPING=1" in heard


def _received(manager: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(manager.recv(300))
        except BlockingIOError:
            return found


@pytest.fixture
async def watched(world: World) -> World:
    """An agent with a stop, and a watchdog that knows what it holds."""
    await world.arm("/track BTC/USDT stop 50000 0.2")
    heartbeat = world.data_dir / "heartbeat.json"

    async def tells_of_the_holding() -> bool:
        return heartbeat.exists() and "Holds 0.2 BTC" in heartbeat.read_text()

    await world.until(tells_of_the_holding, "no heartbeat")
    token = world.environment["UMBRA_TELEGRAM_TOKEN"]
    world.settings["UMBRA_WATCHDOG_TELEGRAM_TOKEN"] = token
    await world.spawn("watchdog")

    async def watches() -> bool:
        return "watching" in world.log("watchdog")

    await world.until(watches, "the watchdog does not start")
    return world


async def test_a_killed_agent_is_told_in_time_with_what_it_held_and_so_is_its_return(
    watched: World,
) -> None:
    world = watched
    before = await world.last_message_id()
    await world.kill_agent()
    killed_s = time.monotonic()
    told = await world.until_message("no sign of life", after=before)
    assert time.monotonic() - killed_s <= SAID_WITHIN_S
    assert "NOT WATCHED" in told["text"]
    assert "Holds 0.2 BTC" in told["text"]

    await world.start_agent()
    await world.until_message("Umbra is back", after=told["message_id"])
    await world.end("run")
    await world.until_message("stopped in good order", after=told["message_id"])
    assert await world.count("no sign of life") == 1


@pytest.mark.fault("P04", "SAID")
@pytest.mark.fault("P09", "PROT SAID")
@pytest.mark.fault("W05", "PROT SAID")
@pytest.mark.fault("P15", "TELL SAID")
@pytest.mark.long
async def test_a_stopped_agent_is_told_and_sells_once_it_goes_on_and_tells_of_a_killed_watchdog(
    watched: World,
) -> None:
    world = watched
    agent, before = world.processes["run"], await world.last_message_id()
    connections = (await world.seen("streams"))["connections"]
    agent.send_signal(signal.SIGSTOP)
    stopped_s = time.monotonic()
    await world.price("49000")
    told = await world.until_message("no sign of life", after=before)
    assert time.monotonic() - stopped_s <= SAID_WITHIN_S
    assert "NOT WATCHED" in told["text"]
    # The exchange has asked for a sign of life itself, and given the connections up.
    await world.until(lambda: _is_given_up(world), "the exchange waits for a pong for ever")
    fired(connections, "W05")
    assert await world.orders() == []

    agent.send_signal(signal.SIGCONT)
    went_on_s = time.monotonic()
    await world.until(lambda: _has_sold(world), "the stop did not sell")
    assert time.monotonic() - went_on_s <= PROTECTED_WITHIN_S
    fired(int(went_on_s - stopped_s), "P04", "P09", words="seconds stopped")
    await world.until_message("Umbra is back", after=before)
    await world.until_message(r"Sold 0\.2 BTC", after=before)
    (sale,) = await world.orders()
    assert Decimal(sale["executedQty"]) == Decimal("0.2")

    assert "never retrieved" not in world.log()

    watchdog = world.processes["watchdog"]
    watchdog.send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    fired(-await watchdog.wait(), "P15", words="is the signal that ended it")
    await world.until_message("The watchdog gives no sign", after=before)
    assert time.monotonic() - killed_s <= WATCHDOG_MISSED_WITHIN_S


async def _is_given_up(world: World) -> bool:
    return not (await world.seen("streams"))["connections"]


async def _has_sold(world: World) -> bool:
    return bool(await world.orders())
