"""H16: tests reach no other machine, neither do the processes they start, nor theirs."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import loopback
from tests.e2e.world import World

AWAY = ("192.0.2.1", 443)
_REACH = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=0.1)"
REACHES = (
    _REACH,
    "import socket; socket.getaddrinfo('exchange.example', 443)",
    "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "import asyncio; asyncio.run(asyncio.open_connection('192.0.2.1', 443))",
    f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {_REACH!r}]))",
)


def _connect_ex() -> object:
    with socket.socket() as made:
        return made.connect_ex(AWAY)


def _sendto() -> object:
    with socket.socket(type=socket.SOCK_DGRAM) as made:
        return made.sendto(b"x", 0, AWAY)


@pytest.mark.parametrize(
    "reach",
    [
        _connect_ex,
        _sendto,
        lambda: socket.create_connection(AWAY, timeout=0.1),
        lambda: socket.getaddrinfo("exchange.example", 443),
        lambda: asyncio.run(asyncio.open_connection(*AWAY)),
    ],
)
def test_the_guard_fires_in_this_process(reach: Callable[[], Any]) -> None:
    with pytest.raises(loopback.BeyondLoopbackError):
        reach()


async def test_the_guard_fires_for_the_http_client() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(loopback.BeyondLoopbackError):
            await session.get("https://192.0.2.1/")
        with pytest.raises(loopback.BeyondLoopbackError):
            await session.get("https://exchange.example/")


@pytest.mark.parametrize("code", REACHES)
def test_the_guard_fires_in_processes_and_theirs(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "BeyondLoopbackError" in done.stderr


def test_loopback_is_reached_from_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_the_processes_of_an_end_to_end_world_are_guarded(tmp_path: Path) -> None:
    assert str(loopback.GUARD) in World(tmp_path).environment["PYTHONPATH"].split(os.pathsep)


def test_an_environment_is_guarded_once_and_keeps_its_own_path() -> None:
    once = loopback.for_processes({"PYTHONPATH": "/own", "A": "b"})
    assert once == {"PYTHONPATH": f"{loopback.GUARD}{os.pathsep}/own", "A": "b"}
    assert loopback.for_processes(once) == once
