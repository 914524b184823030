"""What the agent's process takes from its operating system, replaced where the process names it."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import apscheduler.executors.base
import apscheduler.schedulers.base
import apscheduler.triggers.cron
import apscheduler.triggers.interval
from ccxt.base.exchange import BaseExchange
from sqlalchemy import Connection

from bot import compose, front, notify
from storage import migration, sqlite
from storage.statements import driver
from tests.simulation.machine import Machine
from tests.simulation.telephone import SimRequests
from trading.gateway import client

_ENGINES: dict[str, Any] = {}
# The statements that make an empty database, as the migrations left the first one.
_TABLES: list[str] = []
_make_tables = migration.upgrade


def compiled_once(kind: str, made: Any) -> Any:
    """Let all engines of a kind share what the first one has compiled."""
    # Statements are compiled once per dialect object, and each start has engines of its own.
    first = _ENGINES.setdefault(kind, made)
    made.dialect, made._compiled_cache = first.dialect, first._compiled_cache
    return made


@contextlib.contextmanager
def replaced(machine: Machine, chance: Random) -> Iterator[None]:
    """Give the process our time, our chance and our wires while the block runs."""

    class VirtualDatetime(datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return machine.clock.now().astimezone(tz)

    def load(settings: Any, options: Any) -> Any:
        exchange = client.load_exchange(settings, options)
        exchange.asyncio_loop = machine.loop
        # Nothing is ever encrypted here, and reading the certificates takes longer than a start.
        exchange.verify = False
        return exchange

    def open_sessions(exchange: Any, _settings: Any) -> Any:
        exchange.own_session = False
        exchange.session = machine.network.session()
        return exchange.session

    make_engine = sqlite._engine

    def engine(path: Path, begin: str) -> Any:
        return compiled_once(begin, make_engine(path, begin))

    def code(digits: int) -> Callable[[], str]:
        return lambda: f"{chance.getrandbits(4 * digits):0{digits}x}"

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (compose, "SystemClock", lambda: machine.clock),
            (
                notify,
                "ways",
                lambda *_: (channel,) if (channel := machine.second_channel) else (),
            ),
            # Nobody started it who would read a line.
            (compose, "_say", lambda _line: None),
            (compose, "random_install_id", code(32)),
            (front, "random_nonce", code(22)),
            (front, "random_code", lambda: f"{chance.randrange(10**6):06d}"),
            # Nothing is collected before the world has ended (`play`): a twentieth of each story.
            (gc, "collect", lambda *_: 0),
            (gc, "freeze", lambda: None),
            (gc, "set_threshold", lambda *_: None),
            (sqlite, "_engine", engine),
            # Here there is no other thread that could be waited for.
            (sqlite, "HELD_S_MAX", 0.0),
            (migration, "upgrade", _upgrade),
            (apscheduler.schedulers.base, "datetime", VirtualDatetime),
            (apscheduler.executors.base, "datetime", VirtualDatetime),
            (apscheduler.triggers.interval, "datetime", VirtualDatetime),
            (apscheduler.triggers.cron, "datetime", VirtualDatetime),
            (BaseExchange, "milliseconds", staticmethod(machine.clock.now_ms)),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        for path, value in (
            ("trading.gateway.binance.load_exchange", load),
            ("trading.gateway.binance.open_sessions", open_sessions),
            ("bot.telegram.requesting.requests_for", lambda *_: SimRequests(machine.telephone)),
            ("bot.supervisor._LAG_INTERVAL_S", 5.0),
        ):
            stack.enter_context(mock.patch(path, value))
        yield


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


def _upgrade(connection: Connection, back_up: migration.BackUp) -> bool:
    with connection.begin():
        found = migration.revision(connection)
    if found is not None or not _TABLES:
        is_new = _make_tables(connection, back_up)
        if is_new:
            # Between BEGIN and COMMIT.
            _TABLES.extend(list(driver(connection).iterdump())[1:-1])
        return is_new
    # Thousands of worlds begin with an empty database: what made the first one makes all.
    with connection.begin():
        for statement in _TABLES:
            driver(connection).execute(statement)
    return True
