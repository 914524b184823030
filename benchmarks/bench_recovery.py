"""G4, G5: how soon a restart judges every stop, a stalled stream is bridged, an UNKNOWN resolved.

`python -m benchmarks.bench_recovery [restart | stall | unknown]`: exchange, chat and agent are
processes of their own. Every stop must have led to exactly one filled order, and every fault must
have happened.
"""

import asyncio
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from functools import partial
from pathlib import Path

from benchmarks import armed
from benchmarks.processes import Processes, until
from benchmarks.table import NotDone, Row, at_most, quantile, table
from tests.proxy import Proxy
from trading.domain.tracker import Tracker

TRACKERS = 200
RESTARTS = 3
RESTART_S_MAX = 10.0
STALL_AGENTS = 3
STALLS = 4
STALL_TRACKERS = 20
STARTS = 3
START_TRACKERS = 100
STALL_S_MAX = 5.0
ROUNDS = 4
UNKNOWN_P50_S_MAX = 1.0
UNKNOWN_P99_S_MAX = 25.0
_SEED = 7
# Of the markets listed, so many are against other coins than USDT.
_OTHER_MARKETS = 4
_DROP = Decimal("0.985")
_STALLED_S = 6.0
_LIVE_S = 3.0
# Orders per round: the exchange took some of them, of the others it never knew.
_TAKEN, _NEVER_TAKEN = 16, 4
_DEAD_S = (2.0, 8.0)
_UNTOLD_S = 15.0
_TICKS_PER_S = 100
_HOURS_S = 4 * 3600
_ORDERS_S = 120.0


class Journal:
    """The agent's journal, read from outside while it is written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def count(self, kind: str, key: str) -> int:
        """Return how many events of a kind have a key like this."""
        query = "SELECT count(*) FROM journal WHERE kind = ? AND key LIKE ?"
        return int(self._connection.execute(query, (kind, key)).fetchone()[0])

    def last_seq(self) -> int:
        """Return the newest event's number."""
        return int(self._connection.execute("SELECT max(seq) FROM journal").fetchone()[0])

    def attempts(self, after_seq: int) -> set[tuple[str, str]]:
        """Return symbol and state of every newer change of an order."""
        query = (
            "SELECT json_extract(payload, '$.attempt.request.symbol'),"
            " json_extract(payload, '$.attempt.state')"
            " FROM journal WHERE kind = 'AttemptChanged' AND seq > ?"
        )
        return set(self._connection.execute(query, (after_seq,)))

    def done(self, after_seq: int) -> set[str]:
        """Return the symbol of every decision that was carried out since."""
        query = (
            "SELECT json_extract(payload, '$.intent.symbol') FROM journal"
            " WHERE kind = 'IntentClosed' AND seq > ?"
            " AND json_extract(payload, '$.intent.state') = 'done'"
        )
        return {symbol for (symbol,) in self._connection.execute(query, (after_seq,))}


@asynccontextmanager
async def world(made: armed.Plan) -> AsyncIterator[Processes]:
    """Run exchange and chat around a database in which everything is armed already."""
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name), patience_s=_ORDERS_S) as processes:
            await armed.write(made, processes.database)
            balances = ",".join(f"{coin}={held}" for coin, held in made.balances.items())
            markets = len(made.instruments) + _OTHER_MARKETS
            await processes.start_exchange(
                *("--still", "--markets", str(markets), "--seed", str(_SEED)),
                *("--balance", balances),
            )
            await processes.start_chat()
            yield processes


def stops(count: int) -> armed.Plan:
    """Plan one stop, 1 % below the price, on each of so many markets."""
    made = armed.plan(count, count + _OTHER_MARKETS, _SEED)
    if len({tracker.symbol for tracker in made.trackers}) != count:
        raise NotDone(f"{count} markets should have a stop each")
    return made


async def start(processes: Processes, count: int) -> asyncio.subprocess.Process:
    """Start the agent and wait until it has recovered and watches every market."""
    asked = await processes.say("/trackers")
    agent = await processes.start("run")
    await processes.until_said(lambda said: f"{count} trackers" in said["text"], asked)
    await until(partial(_are_streamed, processes, count), "every market should be watched", 60)
    return agent


async def _are_streamed(processes: Processes, count: int) -> bool:
    streams = (await processes.seen("streams"))["streams"]
    return len({name for name in streams if name.endswith("@trade")}) >= count


@asynccontextmanager
async def journal_of(processes: Processes) -> AsyncIterator[Journal]:
    """Open the agent's journal read-only."""
    with closing(sqlite3.connect(f"file:{processes.database}?mode=ro", uri=True)) as connection:
        yield Journal(connection)


async def cross(processes: Processes, made: armed.Plan, tracker: Tracker) -> None:
    """Move one market below its stop."""
    price = made.prices[tracker.symbol] * _DROP
    await processes.control("price", symbol=tracker.symbol, price=format(price, "f"))


async def check_sold(processes: Processes, trackers: Sequence[Tracker]) -> None:
    """Wait until every stop has sold exactly what it owns in exactly one order."""
    wanted = {one.symbol.replace("/", ""): one.quantity for one in trackers}

    async def is_sold() -> bool:
        orders = await processes.seen("orders")
        if len({order["symbol"] for order in orders}) != len(orders):
            raise NotDone(f"a stop should make one order: {orders}\n{processes.log()}")
        sold = {order["symbol"]: Decimal(order["executedQty"]) for order in orders}
        return bool(sold == wanted)

    await until(is_sold, "every stop should sell all that it owns", _ORDERS_S)


# ---------------------------------------------------------------- a restart


async def measure_restart(trackers: int, restarts: int) -> list[Row]:
    """Measure from the start of the process until every trigger is durable; raises NotDone."""
    made = stops(trackers)
    taken = [await _restart(made) for _ in range(restarts)]
    what = f"kill -9, then {trackers} stops crossed: start to all triggers durable"
    return [at_most("G5a", f"{what}, worst of {restarts}", max(taken), RESTART_S_MAX, "s")]


async def _restart(made: armed.Plan) -> float:
    count = len(made.trackers)
    async with world(made) as processes:
        agent = await start(processes, count)
        async with journal_of(processes) as journal:
            agent.send_signal(signal.SIGKILL)
            if await agent.wait() != -signal.SIGKILL or journal.count("IntentOpened", "%"):
                raise NotDone("the agent should have been killed before any stop was crossed")
            for tracker in made.trackers:
                await cross(processes, made, tracker)
            began_s = time.monotonic()
            await processes.start("run")

            async def are_triggered() -> bool:
                return journal.count("TrackerChanged", "triggered:%") == count

            await _until(are_triggered, "every stop should trigger", processes)
            took_s = time.monotonic() - began_s
            if journal.count("IntentOpened", "%") != count:
                raise NotDone(f"{count} triggers should have opened {count} orders")
        await check_sold(processes, made.trackers)
    return took_s


async def _until(wanted: Callable[[], object], what: str, processes: Processes) -> None:
    try:
        await until(wanted, what, _ORDERS_S)
    except NotDone as error:
        raise NotDone(f"{error}\n{processes.log()}") from error


# ---------------------------------------------------------------- a stalled stream


async def measure_stalls(agents: int, stalls: int, trackers: int) -> list[Row]:
    """Measure from a stall, with a price that crosses at once, to the order; raises NotDone.

    Each agent meets only some: one whose stream breaks often waits longer before it connects.
    """
    chance = random.Random(_SEED)
    made = stops(trackers)
    taken = [took for _ in range(agents) for took in await _stall_often(made, stalls, chance)]
    what = f"stream stalls, price crosses at once, to the order, {len(taken)} stops"
    return [
        Row("G5b", f"{what}, p50", f"{quantile(taken, 0.5):.2f} s"),
        at_most("G5b", f"{what}, worst", max(taken), STALL_S_MAX, "s"),
    ]


async def _stall_often(made: armed.Plan, stalls: int, chance: random.Random) -> list[float]:
    async with world(made) as processes:
        await processes.control("traffic", rate_per_s=_TICKS_PER_S, seconds=_HOURS_S)
        await start(processes, len(made.trackers))
        taken = []
        for place, tracker in enumerate(made.trackers[:stalls]):
            left = len(made.trackers) - place
            await until(partial(_are_streamed, processes, left), "the stream should be back", 60)
            await asyncio.sleep(_LIVE_S + chance.uniform(0, 2))
            taken.append(await _stalled(processes, made, tracker))
        await check_sold(processes, made.trackers[:stalls])
    return taken


async def measure_first_stalls(starts: int, trackers: int) -> list[Row]:
    """Measure the same right after a start, which asks for as much as a minute has; raises NotDone.

    How long the last sign of the stream is ago when it stalls is as it comes.
    """
    made = stops(trackers)
    taken = [await _stalled_at_start(made) for _ in range(starts)]
    what = f"{trackers} stops, the stream stalls right after a start, price crosses at once"
    return [at_most("G5c", f"{what}, worst of {starts}", max(taken), STALL_S_MAX, "s")]


async def _stalled_at_start(made: armed.Plan) -> float:
    async with world(made) as processes:
        await processes.control("traffic", rate_per_s=_TICKS_PER_S, seconds=_HOURS_S)
        await start(processes, len(made.trackers))
        took_s = await _stalled(processes, made, made.trackers[0])
        await check_sold(processes, made.trackers[:1])
    return took_s


async def _stalled(processes: Processes, made: armed.Plan, tracker: Tracker) -> float:
    symbol = tracker.symbol.replace("/", "")
    muted = (await processes.seen("streams"))["muted_market_frames"]
    began_s = time.monotonic()
    await processes.control(
        "fault", kind="stall_stream", args={"scope": "market", "seconds": _STALLED_S}
    )
    await cross(processes, made, tracker)

    async def has_arrived() -> bool:
        return any(order["symbol"] == symbol for order in await processes.seen("orders"))

    await _until(has_arrived, f"no order of {symbol} arrived", processes)
    took_s = time.monotonic() - began_s
    if (await processes.seen("streams"))["muted_market_frames"] <= muted:
        raise NotDone("the stream should have stalled")
    await asyncio.sleep(max(_STALLED_S - took_s, 0))
    return took_s


# ---------------------------------------------------------------- an order of unknown fate


async def measure_unknown(rounds: int) -> list[Row]:
    """Measure from the return of the line until an order's fate is proven; raises NotDone."""
    chance = random.Random(_SEED)
    made = stops(_TAKEN + _NEVER_TAKEN)
    proven: list[tuple[str, float]] = []
    for _ in range(rounds):
        proven += await _dead_line(made, chance.uniform(*_DEAD_S))
    return _unknown_rows(proven, rounds)


async def _dead_line(made: armed.Plan, dead_s: float) -> list[tuple[str, float]]:
    """Lose the answers of many orders at once; returns what each fate was, and the seconds."""
    async with world(made) as processes, _line(processes) as line:
        await processes.control("traffic", rate_per_s=_TICKS_PER_S, seconds=_HOURS_S)
        await start(processes, len(made.trackers))
        async with journal_of(processes) as journal:
            seq = await _lose(processes, made, journal)
            await line.refuse()
            if known := _fates(journal, seq):
                raise NotDone(f"the fate of {', '.join(known)} was known on a living line")
            await processes.clear_faults()
            await asyncio.sleep(dead_s)
            await line.accept()
            proven = await _proven(processes, journal, seq)
        await check_sold(processes, made.trackers)
    return proven


@asynccontextmanager
async def _line(processes: Processes) -> AsyncIterator[Proxy]:
    host, _, port = processes.exchange.rpartition("/")[2].partition(":")
    async with Proxy.before(host, int(port)) as line:
        processes.line = f"http://{line.address}"
        yield line


async def _lose(processes: Processes, made: armed.Plan, journal: Journal) -> int:
    """Fire stops whose orders are never answered, and return where the journal stood before."""
    seq = journal.last_seq()
    # Nothing else may tell what became of them before the line is dead.
    args = {"scope": "user", "seconds": _UNTOLD_S}
    await processes.control("fault", kind="stall_stream", args=args)
    reads = {"path": "*", "method": "GET"}
    await processes.control("fault", kind="drop_response", times=None, args=reads)
    for place, tracker in enumerate(made.trackers):
        args = {"symbol": tracker.symbol, "accept": place >= _NEVER_TAKEN}
        await processes.control("fault", kind="drop_response", times=1, args=args)
    for tracker in made.trackers:
        await cross(processes, made, tracker)

    async def are_lost() -> bool:
        states = journal.attempts(seq)
        return sum(state == "unknown" for _, state in states) == len(made.trackers)

    await _until(are_lost, "every order should become UNKNOWN", processes)
    return seq


def _fates(journal: Journal, seq: int) -> dict[str, str]:
    """Return what is proven of each symbol's first order."""
    absent = [symbol for symbol, state in journal.attempts(seq) if state == "absent"]
    return dict.fromkeys(journal.done(seq), "found") | dict.fromkeys(absent, "absent")


async def _proven(processes: Processes, journal: Journal, seq: int) -> list[tuple[str, float]]:
    """Wait for every fate; returns what it was, and seconds from now."""
    began_s = time.monotonic()
    fates: dict[str, tuple[str, float]] = {}

    async def are_proven() -> bool:
        took_s = time.monotonic() - began_s
        for symbol, fate in _fates(journal, seq).items():
            fates.setdefault(symbol, (fate, took_s))
        return len(fates) == _TAKEN + _NEVER_TAKEN

    await _until(are_proven, "every fate should be proven", processes)
    found = [fate for fate, _ in fates.values()]
    if found.count("absent") != _NEVER_TAKEN:
        raise NotDone(f"{_NEVER_TAKEN} orders should be absent, were {found.count('absent')}")
    return list(fates.values())


def _unknown_rows(proven: Sequence[tuple[str, float]], rounds: int) -> list[Row]:
    taken = [took for _, took in proven]
    absent = [took for fate, took in proven if fate == "absent"]
    what = f"{len(taken)} answers of orders lost, {rounds} dead lines: from its return to the proof"
    return [
        at_most("G4a", f"{what}, p50", quantile(taken, 0.5), UNKNOWN_P50_S_MAX, "s"),
        at_most("G4b", f"{what}, p99", quantile(taken, 0.99), UNKNOWN_P99_S_MAX, "s"),
        Row("G4c", f"the {len(absent)} that never were, p50", f"{quantile(absent, 0.5):.2f} s"),
    ]


def gap_rows(is_quick: bool = False) -> list[Row]:
    """Measure what stays unwatched, at full or at smoke-test scale."""
    if is_quick:
        return [*asyncio.run(measure_restart(20, 1)), *asyncio.run(measure_stalls(1, 1, 5))]
    return [*asyncio.run(measure_restart(TRACKERS, RESTARTS)), *stall_rows()]


def stall_rows() -> list[Row]:
    """Measure stalled streams at full scale."""
    lived = asyncio.run(measure_stalls(STALL_AGENTS, STALLS, STALL_TRACKERS))
    return [*lived, *asyncio.run(measure_first_stalls(STARTS, START_TRACKERS))]


def unknown_rows(is_quick: bool = False) -> list[Row]:
    """Measure orders of unknown fate, at full or at smoke-test scale."""
    return asyncio.run(measure_unknown(1 if is_quick else ROUNDS))


if __name__ == "__main__":
    parts: dict[str, Callable[[], list[Row]]] = {
        "restart": lambda: asyncio.run(measure_restart(TRACKERS, RESTARTS)),
        "stall": stall_rows,
        "unknown": unknown_rows,
    }
    made = [row for name in sys.argv[1:] or parts for row in parts[name]()]
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
