"""The watchdog, a process of its own, says within 15 s that nobody watches the stops any more."""

import socket
import time
from pathlib import Path

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e

SAID_WITHIN_S = 15.0


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


async def test_a_killed_agent_is_told_in_time_with_what_it_held_and_so_is_its_return(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.price("60000")
        await world.start_agent()
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
