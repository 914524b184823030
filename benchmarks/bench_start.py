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
from benchmarks.processes import Processes, end, resident_mb
from benchmarks.table import NotDone, Row, at_most, table

TRACKERS = 200
MARKETS = 25
STARTS = 5
SECONDS_MAX = 2.5
MEMORY_MB_MAX = 240.0
_SEED = 7
_IDLE_S = 10.0


async def measure(starts: int, trackers: int, idle_s: float) -> list[Row]:
    """Start the agent some times on one database."""
    made = armed.plan(trackers, MARKETS, _SEED)
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        async with Processes(Path(name)) as processes:
            await armed.write(made, processes.database)
            balances = ",".join(f"{coin}={held}" for coin, held in made.balances.items())
            await processes.start_exchange(
                *("--still", "--markets", str(MARKETS), "--seed", str(_SEED)),
                *("--balance", balances),
            )
            await processes.start_chat()
            taken = [await _start(processes, trackers, idle_s, memory) for _ in range(starts)]
    return [
        at_most(
            "V7a",
            f"start to first message handled, {trackers} trackers, median of {starts}",
            statistics.median(taken),
            SECONDS_MAX,
            "s",
        ),
        at_most("V7b", "memory when idle, the worst of them", max(memory), MEMORY_MB_MAX, "MB"),
    ]


async def _start(processes: Processes, trackers: int, idle_s: float, memory: list[float]) -> float:
    asked = await processes.say("/trackers")
    began_s = time.monotonic()
    agent = await processes.start("run")
    # Before it has recovered, the agent would answer that it is starting: that does not count.
    answer = await processes.until_said(
        lambda said: f"{trackers} tracker" in said["text"] or "#1 " in said["text"], asked
    )
    took_s = time.monotonic() - began_s
    if not answer["text"]:
        raise NotDone("the answer was empty")
    await asyncio.sleep(idle_s)
    if agent.returncode is not None:
        raise NotDone(f"the agent ended by itself\n{processes.log()}")
    memory.append(resident_mb(agent.pid))
    await end(agent)
    return took_s


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
