"""The agent's machine: its clock, its disk and the process on it, which a power cut ends anywhere.

The process is the composition root's own `Process`; what it takes from the operating system (time,
chance, sockets) is replaced in `tests.simulation.system`.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from bot import compose
from bot.accounts import Account
from bot.charts.worker import Picture, png_of, request_of
from bot.config import Mode, Settings
from bot.in_hand import MARKS, SUSPECTS, MarkedInHand
from bot.shares import gateway_settings
from bot.systemd import ServiceManager
from storage.reserve import ReserveFull
from storage.store import Store, open_store
from tests.simulation.loop import PowerCut, SimLoop, Trace
from tests.simulation.network import Network
from tests.simulation.telephone import OWNER, Telephone
from trading.gateway.connect import create_gateway

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
_DATABASE = "umbra.db"
# What a power cut leaves of what is durable.
_KEPT = (*(f"{_DATABASE}{end}" for end in ("", "-wal", ".reserve", ".mark")), MARKS, SUSPECTS)
_RAM = Path("/dev/shm")
_BLOCK = 4096


class SimClock:
    """Wall time may be set; the monotonic clock is the loop's."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.offset_s = 0.0

    def now(self) -> datetime:
        """Return the wall time, as wrong as it may be set."""
        return START + timedelta(seconds=self._loop.time() + self.offset_s)

    def monotonic(self) -> float:
        """Return the loop's time."""
        return self._loop.time()

    def now_ms(self) -> int:
        """Return the wall time in Unix milliseconds."""
        return round(self.now().timestamp() * 1000)


class Disk:
    """Folders of one database: each start has its own, copied from what was durable."""

    def __init__(self) -> None:
        room = _RAM if _RAM.is_dir() else None
        self.root = Path(tempfile.mkdtemp(prefix="umbra-sim-", dir=room))
        self._count = 0
        self.folder = self._new()
        self._held: dict[str, bytes] | None = None

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.folder / _DATABASE

    def hold(self) -> None:
        """Keep what is durable now: everything after this moment may be lost or torn."""
        self._held = {
            path.name: path.read_bytes() for path in (self.database, self._wal) if path.exists()
        }

    def durable(self) -> dict[str, bytes]:
        """Everything that a power cut would leave."""
        paths = [self.folder / name for name in _KEPT]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def crash(self, chance: Random | None) -> str:
        """Lose what was not durable; with `chance` a part of the held commit survives."""
        wal = self._wal.read_bytes() if self._wal.exists() else b""
        old, self.folder = self.folder, self._new()
        for name in _KEPT:
            if (old / name).exists():
                shutil.copyfile(old / name, self.folder / name)
        told = "whole"
        if self._held is not None:
            for name, content in self._held.items():
                (self.folder / name).write_bytes(content)
            if chance is not None:
                told = self._tear(wal, chance)
        self._held = None
        shutil.rmtree(old, ignore_errors=True)
        return told

    def _tear(self, wal: bytes, chance: Random) -> str:
        held = (self._held or {}).get(f"{_DATABASE}-wal", b"")
        first = _first_difference(held, wal)
        if first >= len(wal):
            return "whole"
        cut = chance.randint(first, len(wal))
        # A log that began anew keeps its old frames behind the new ones.
        self._wal.write_bytes(wal[:cut] + held[cut:])
        return f"torn at {cut} of {len(wal)}"

    @property
    def _wal(self) -> Path:
        return self.folder / f"{_DATABASE}-wal"

    def _new(self) -> Path:
        self._count += 1
        folder = self.root / str(self._count)
        folder.mkdir()
        return folder

    def close(self) -> None:
        """Throw the disk away."""
        shutil.rmtree(self.root, ignore_errors=True)


def _first_difference(one: bytes, other: bytes) -> int:
    both = min(len(one), len(other))
    for start in range(0, both, _BLOCK):
        end = min(start + _BLOCK, both)
        if one[start:end] != other[start:end]:
            return next(at for at in range(start, end) if one[at] != other[at])
    return both


@dataclass(slots=True)
class CrashPlan:
    """Where the power goes: at a commit (before, torn, after) or after so many loop steps."""

    moment: str
    count: int
    fired: bool = False


@dataclass(slots=True)
class SecondChannel:
    """An address of the second channel that somebody reads, and when each text came."""

    clock: SimClock
    texts: list[tuple[float, str]] = field(default_factory=list)
    name: str = "pager"
    way_id: str = "pager"

    async def say(self, text: str) -> bool:
        """Take a text."""
        self.texts.append((self.clock.monotonic(), text))
        return True


class ChartsInPlace:
    """Draws where the agent runs: another process would have a time of its own."""

    async def draw(self, picture: Picture, path: Path) -> Path:
        """Write a PNG to `path` and return it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_of(request_of(picture)))
        return path

    async def close(self) -> None:
        """Nothing runs."""


class Machine:
    """Starts the agent on what the disk holds, and ends it in every way."""

    def __init__(
        self, loop: SimLoop, network: Network, telephone: Telephone, chance: Random, trace: Trace
    ) -> None:
        self.loop, self.network, self.telephone, self.trace = loop, network, telephone, trace
        self.clock = SimClock(loop)
        self.disk = Disk()
        trace.hidden = str(self.disk.root)
        self.plan: CrashPlan | None = None
        self.process: Any = None
        self.store: Store | None = None
        self.main: asyncio.Task[int] | None = None
        self.starts = 0
        # Most stories have no second channel: looking at it each second is a step of the loop.
        self.second_channel: SecondChannel | None = None
        self.on_commit: Callable[[str], None] = lambda _boundary: None
        self.full_until_s = 0.0
        # Which process met a disk that will never write again for it.
        self.broken_start = 0
        self._chance = chance
        self._settings: Settings | None = None
        self._gateway: Any = None
        self._stop = asyncio.Event()
        loop.on_step = self._stepped

    @property
    def settings(self) -> Settings:
        """The same for every start but for its folder."""
        if self._settings is None:
            self._settings = self._made()
        if self._settings.data_dir != self.disk.folder:
            self._settings = self._settings.model_copy(update={"data_dir": self.disk.folder})
        return self._settings

    def _made(self) -> Settings:
        return Settings(
            mode=Mode.LIVE,
            exchange_api_key=self.network.service.venue.key,  # type: ignore[arg-type]
            exchange_secret=self.network.service.venue.secret,  # type: ignore[arg-type]
            exchange_rest_url="http://127.0.0.1:1",
            exchange_ws_url="ws://127.0.0.1:1",
            telegram_token="4242:simulated",  # type: ignore[arg-type]
            telegram_api_url="http://127.0.0.1:1/bot",
            owner_id=OWNER,
            data_dir=self.disk.folder,
        )

    # ------------------------------------------------------------ life

    @property
    def is_running(self) -> bool:
        """Whether a process is up."""
        return self.main is not None and not self.main.done()

    def start(self) -> None:
        """Start the process; it recovers by itself."""
        self.loop.power_on()
        self.starts += 1
        self._stop = asyncio.Event()
        self.trace.note(self.loop.time(), f"start {self.starts}")
        self.main = self.loop.begin(self._run())

    async def _run(self) -> int:
        settings = self.settings
        self.store = await open_store(
            settings.store_url,
            self.clock,
            data_dir=settings.directory,
            failpoint=self._boundary,
        )
        in_hand = MarkedInHand(settings.directory, self.clock, "sim")
        self._gateway = create_gateway(gateway_settings(settings), self.clock, in_hand)
        account = Account(self._gateway)
        charts: Any = ChartsInPlace()
        service = ServiceManager(None)
        opened = compose.Opened(self.store, account, charts, in_hand, service)
        self.process = compose.Process(settings, "sim", opened)
        try:
            return int(await self.process.run(self._stop))
        finally:
            if not self.loop.is_power_cut:
                in_hand.clear()
                await self._gateway.close()
                await self.store.close()

    def break_disk(self, reserve_takes: int) -> None:
        """Let no write of this process succeed any more, but for so many of its reserve."""
        self.broken_start = self.starts
        assert self.store is not None
        reserve = self.store._ledger.reserve
        write, left = reserve.write, [reserve_takes]

        def refuse(*record: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise ReserveFull("the reserve cannot be written: Input/output error")
            write(*record)

        reserve.write = refuse  # type: ignore[method-assign]

    def stop(self) -> None:
        """Ask it to stop, in order."""
        self._stop.set()

    async def cut_power(self) -> None:
        """End the process between two callbacks; the disk keeps what was durable."""
        self.plan = None
        await self.loop.bury()
        self.network.drop_all()
        for caller in list(self.telephone.callers):
            caller.is_gone = True
        self.telephone.bell_of_updates.ring()
        torn = self.disk.crash(self._chance)
        self.trace.note(self.loop.time(), f"power cut, log {torn}")
        self._let_go()
        self.main = self.process = self.store = None

    def _let_go(self) -> None:
        exchange = self._gateway._venue._exchange if self._gateway is not None else None
        if exchange is not None:
            # It would complain that nobody closed it.
            exchange.session, exchange.clients = None, {}
        if self.store is None:
            return
        database: Any = self.store._database
        if database._writer is not None and database._writer.closed:
            # It ended in order.
            return
        for connection in (database._reader, database._writer):
            if connection is not None and not connection.closed:
                connection.invalidate()
                connection.close()
        for engine in (database._reader_engine, database._writer_engine):
            engine.dispose()
        database._reader_thread.shutdown(wait=False)
        database._writer_thread.shutdown(wait=False)
        self.store._ledger.reserve.close()
        self.store._release()

    def close(self) -> None:
        """Throw everything away."""
        self._let_go()
        self.disk.close()

    # ------------------------------------------------------------ where the power goes

    def _boundary(self, name: str) -> None:
        moment, _, kinds = name.partition(":")
        plan = self.plan
        if moment == "before_commit":
            if self.loop.time() < self.full_until_s:
                self._refuse(kinds, "disk_full", "database or disk is full", "SQLITE_FULL")
            if self.starts == self.broken_start:
                self._refuse(kinds, "disk_broken", "disk I/O error", "SQLITE_IOERR")
            if plan is not None and plan.moment in {"before", "torn"} and self._counts(plan):
                self.disk.hold()
                if plan.moment == "before":
                    self._die(plan, name)
            return
        if plan is not None and plan.moment == "torn" and plan.count <= 0:
            self._die(plan, name)
        self.on_commit(kinds)
        if plan is not None and plan.moment == "after" and self._counts(plan):
            self._die(plan, name)

    def _counts(self, plan: CrashPlan) -> bool:
        plan.count -= 1
        return plan.count <= 0

    def _die(self, plan: CrashPlan, name: str) -> None:
        plan.fired = True
        self.trace.note(self.loop.time(), f"dies {plan.moment} {name}")
        raise PowerCut(name)

    def _refuse(self, kinds: str, fault: str, text: str, name: str) -> None:
        import sqlite3

        self.network.weather.count(fault)
        self.trace.note(self.loop.time(), f"{fault} at {kinds}")
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = getattr(sqlite3, name)
        error.sqlite_errorname = name
        raise error

    def _stepped(self) -> None:
        plan = self.plan
        if plan is None or plan.moment != "await" or not self.is_running:
            return
        if self._counts(plan):
            plan.fired = True
            self.trace.note(self.loop.time(), "dies await")
            self.loop.cut()
