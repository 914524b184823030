"""A process that has imported what Umbra's commands import, and forks itself for each start.

Two seconds of every start are imports. A fork has them behind it and is otherwise a process like
any other: it runs `python -m bot …` with the arguments and the environment that were sent, and it
is killed, limited and waited for by its own id. This process runs no thread and no event loop, so
a fork finds no lock that somebody else holds.

The socket that the first argument names brings `Order`s; a closed socket ends this process and
whatever it has started.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bot.build import build
from tests.forking.ahead import MINUTES, set_ahead
from trading.gateway.library import STREAMING, library

ORDER_BYTES_MAX = 1 << 17
# A process id, and later an exit code.
NUMBER = struct.Struct("i")
# stdin, stdout, stderr, and where the process id and the exit code are written.
_FILES = 4
_TASKS = Path("/proc/self/task")
# What `run`, `sim`, `chat` and `watchdog` have imported once they serve.
_IMPORTED = (
    "alembic.command",
    "alembic.config",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "apscheduler.executors.asyncio",
    "bot.cli",
    "bot.compose",
    "bot.descriptors",
    "bot.localchat.server",
    "bot.logs",
    "bot.secrets.memory",
    "bot.watchdog",
    "httpcore",
    "numpy.ma",
    "sqlalchemy.dialects.sqlite",
    "storage.postgres",
    "trading.sim.binance.server",
    "typer._adapters",
    "typer._click.decorators",
)


@dataclass(frozen=True)
class Order:
    """One start: the arguments after `python -m bot`, and the whole environment."""

    arguments: list[str]
    environment: dict[str, str]

    def encoded(self) -> bytes:
        """Return the order as one datagram."""
        return json.dumps(asdict(self)).encode()


class Server:
    """Forks for each order, and writes the exit code of each fork where its order said."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._selector = selectors.DefaultSelector()
        self._selector.register(orders, selectors.EVENT_READ)
        self._children: dict[int, tuple[int, int]] = {}

    def serve(self) -> Order | None:
        """Return an order in the process that has to carry it out, None once nobody orders."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._orders:
                    self._reap(key.fd)
                    continue
                content, files, _, _ = socket.recv_fds(self._orders, ORDER_BYTES_MAX, _FILES)
                if not content:
                    self._end_children()
                    return None
                order = Order(**json.loads(content))
                if self._forked(files):
                    return order

    def _forked(self, files: list[int]) -> bool:
        """Whether this is the new process."""
        if len(list(_TASKS.iterdir())) != 1:
            raise RuntimeError("a process should have one thread when it is forked")
        pid = os.fork()
        if pid == 0:
            self._leave(files)
            return True
        for file in files[:3]:
            os.close(file)
        _tell(files[3], pid)
        child = os.pidfd_open(pid)
        self._children[child] = pid, files[3]
        self._selector.register(child, selectors.EVENT_READ)
        return False

    def _leave(self, files: list[int]) -> None:
        # By their objects first: a collected one would close whatever has its number by then.
        self._selector.close()
        self._orders.close()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))

    def _reap(self, child: int) -> None:
        pid, told = self._children.pop(child)
        self._selector.unregister(child)
        os.close(child)
        _, status = os.waitpid(pid, 0)
        _tell(told, os.waitstatus_to_exitcode(status))
        os.close(told)

    def _end_children(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGKILL)


def _tell(file: int, number: int) -> None:
    # A test may have ended without waiting for what it started.
    with suppress(BrokenPipeError):
        os.write(file, NUMBER.pack(number))


def main() -> None:
    """Import, serve, and be the command in each fork."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTED:
        importlib.import_module(name)
    # As an agent reads it: without the exchanges that it does not trade on.
    library(STREAMING).binance  # noqa: B018
    # Read from every file of ours once in each process.
    build()
    # A collection in a fork would look through all of it, and copy its pages.
    gc.collect()
    gc.freeze()
    order = Server(orders).serve()
    if order is None:
        return
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    if minutes := os.environ.pop(MINUTES, ""):
        set_ahead(int(minutes))
    sys.argv[1:] = order.arguments
    runpy.run_module("bot", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
