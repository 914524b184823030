"""What tests hold of a forked start: the part of asyncio's subprocesses that they use."""

import asyncio
import atexit
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO

from tests.forking.server import NUMBER, ORDER_BYTES_MAX, Order

# A fork takes milliseconds; the first one waits for the imports as well.
_FORKED_S_MAX = 60.0


class ForkedProcess:
    """A process that another one of this test run has forked."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = asyncio.create_task(self._end(told))

    async def _end(self, told: int) -> int:
        try:
            self.returncode = await _number(told)
        finally:
            os.close(told)
        return self.returncode

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once the process has ended."""
        return await asyncio.shield(self._ending)

    def send_signal(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError once the process has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _server() -> socket.socket:
    """Start this test process's fork server; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-m", "tests.forking.server", str(theirs.fileno())),
            # No thread may live in it, and the linear algebra library would start some.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * ORDER_BYTES_MAX)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


async def _number(file: int) -> int:
    """Wait for the server's next word; raises EOFError when the server is gone."""
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(file, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(file)
    content = os.read(file, NUMBER.size)
    if not content:
        raise EOFError("the fork server has ended")
    return int(NUMBER.unpack(content)[0])


async def start(
    arguments: tuple[str, ...], environment: Mapping[str, str], output: IO[bytes], typed: str = ""
) -> ForkedProcess:
    """Fork `python -m bot …` with both of its outputs in one file, and `typed` to read."""
    order = Order(list(arguments), dict(environment)).encoded()
    told, tells = os.pipe()
    try:
        with tempfile.TemporaryFile() as keyboard:
            keyboard.write(typed.encode())
            keyboard.seek(0)
            files = [keyboard.fileno(), output.fileno(), output.fileno(), tells]
            socket.send_fds(_server(), [order], files)
    finally:
        os.close(tells)
    try:
        async with asyncio.timeout(_FORKED_S_MAX):
            pid = await _number(told)
    except BaseException:
        os.close(told)
        raise
    return ForkedProcess(pid, told)


async def run(
    arguments: tuple[str, ...], environment: Mapping[str, str], typed: str = ""
) -> tuple[int, str]:
    """Fork `python -m bot …`, wait for its end, and return its exit code and all that it said."""
    with tempfile.TemporaryFile() as output:
        process = await start(arguments, environment, output, typed)
        code = await process.wait()
        output.seek(0)
        return code, output.read().decode()
