"""The service manager hears of readiness, of life as long as there is some, and of the end."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import systemd
from bot.systemd import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_ready_status_and_the_end_are_told(manager: socket.socket) -> None:
    service = ServiceManager(manager.getsockname())
    service.ready("recovering")
    service.status("watching 3 trackers")
    service.stopping()
    heard = [manager.recv(200) for _ in range(3)]
    assert heard == [b"READY=1\nSTATUS=recovering", b"STATUS=watching 3 trackers", b"STOPPING=1"]


def test_an_abstract_address_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        listening.settimeout(5)
        address = listening.getsockname().decode()
        ServiceManager("@" + address[1:]).stopping()
        assert listening.recv(200) == b"STOPPING=1"


async def test_a_process_that_does_not_beat_is_not_called_alive(manager: socket.socket) -> None:
    manager.setblocking(False)
    is_beating = True
    service = ServiceManager(manager.getsockname(), watchdog_s=0.02)
    task = asyncio.create_task(service.run(lambda: is_beating))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        for _ in range(3):
            assert await loop.sock_recv(manager, 200) == b"WATCHDOG=1"
    is_beating = False
    asked = []
    while len(asked) < 20:
        asked.append(await asyncio.sleep(0.001))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    left = []
    while True:
        try:
            left.append(manager.recv(200))
        except BlockingIOError:
            break
    assert len(left) <= 1


async def test_what_mends_itself_is_seen_long_before_the_next_half_of_the_interval(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "_LOOK_AGAIN_S", 0.001)
    manager.setblocking(False)
    looks = iter([False, False, True])
    service = ServiceManager(manager.getsockname(), watchdog_s=60)
    task = asyncio.create_task(service.run(lambda: next(looks)))
    async with asyncio.timeout(5):
        assert await asyncio.get_running_loop().sock_recv(manager, 200) == b"WATCHDOG=1"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    ServiceManager(None).ready("x")
    ServiceManager(str(tmp_path / "gone")).ready("x")
