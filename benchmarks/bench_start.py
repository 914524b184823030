"""V7: from the start of the process to the first handled message, and memory when idle.

`python -m benchmarks.bench_start [starts]`: exchange and chat run already, 200 trackers are armed
in the database, and the message waits in the chat when the agent is started.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import armed
from benchmarks.processes import Processes, resident_mb
from benchmarks.table import NotDone, Row, at_most, table

TRACKERS = 200
MARKETS = 25
STARTS = 5
SECONDS_MAX = 2.5
MEMORY_MB_MAX = 240.0
_SEED = 7
_IDLE_S = 10.0


async def measure(starts: int, trackers: int, idle_s: float) -> list[Row]:
    """Start the agent some times, each time on a database and an exchange of its own."""
    made = armed.plan(trackers, MARKETS, _SEED)
    # The first one compiles what has changed since the last.
    await _start(made, 0.0)
    taken = [await _start(made, idle_s) for _ in range(starts)]
    return [
        at_most(
            "V7a",
            f"start to first message handled, {trackers} trackers, median of {starts}",
            statistics.median(took_s for took_s, _ in taken),
            SECONDS_MAX,
            "s",
        ),
        at_most(
            "V7b",
            "memory when idle, the worst of them",
            max(memory_mb for _, memory_mb in taken),
            MEMORY_MB_MAX,
            "MB",
        ),
    ]


async def _start(made: armed.Plan, idle_s: float) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name)) as processes:
            await armed.write(made, processes.database)
            balances = ",".join(f"{coin}={held}" for coin, held in made.balances.items())
            await processes.start_exchange(
                *("--still", "--markets", str(MARKETS), "--seed", str(_SEED)),
                *("--balance", balances),
            )
            await processes.start_chat()
            return await _until_handled(processes, len(made.trackers), idle_s)


async def _until_handled(processes: Processes, trackers: int, idle_s: float) -> tuple[float, float]:
    asked = await processes.say("/trackers")
    began_s = time.monotonic()
    agent = await processes.start("run")
    # Before it has recovered, the agent would answer that it is starting: that does not count.
    await processes.until_said(lambda said: f"{trackers} trackers" in said["text"], asked)
    took_s = time.monotonic() - began_s
    await asyncio.sleep(idle_s)
    if agent.returncode is not None:
        raise NotDone(f"the agent ended by itself\n{processes.log()}")
    return took_s, resident_mb(agent.pid)


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    if is_quick:
        return asyncio.run(measure(1, 20, 0.5))
    return asyncio.run(measure(STARTS, TRACKERS, _IDLE_S))


if __name__ == "__main__":
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else STARTS
    made = asyncio.run(measure(starts, TRACKERS, _IDLE_S))
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
