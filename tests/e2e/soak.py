"""Days of weather: `python -m tests.e2e.soak 72`, hours of faults around one agent that lives on.

One after another, stops are asked for and fire while requests are lost, streams break and the chat
is away. Every stop must end in one sale of its coins, told in the chat, whatever the weather was.
The agent's memory is measured each minute; its slope and what it logged as failed are told at the
end. `soak.csv` keeps what was measured: hours that were soaked count, and a second call goes on
with a new agent. The exit code is 1 when something was lost, doubled, failed or grew.
"""

import argparse
import asyncio
import csv
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tests.catalogue.results import state_of_sources
from tests.e2e.world import World

_SAMPLES = Path("soak.csv")
_SOURCES = ("bot", "trading", "storage")
_SAMPLE_S = 60.0
# What a start fills (buffers, caches, the library's tables) is no leak.
_WARM_S = 1200.0
SLOPE_MB_PER_H_MAX = 1.0
# A slope over less says nothing: one collection more or less outweighs it.
_SLOPE_H_MIN = 1.0
_PAUSE_S = (1.0, 8.0)
_COINS = {"BTC": ("60000", "0.1"), "ETH": ("2500", "2"), "SOL": ("150", "30"), "ADA": ("1", "900")}
_STOP, _FALL = Decimal("0.97"), Decimal("0.969")
# "No tracker is watching" is said, too.
_WATCHED = "👀 watching"
_QUESTIONS = ("/status", "/trackers", "/positions", "/balance", "/orders", "/health", "/jobs")


def weather(chance: random.Random) -> tuple[str, dict[str, object]]:
    """Draw a fault of the exchange: its kind and arguments."""
    accept = chance.random() < 0.5
    return chance.choice(
        [
            ("drop_response", {"accept": accept}),
            ("status", {"status": chance.choice((500, 502, 503, 504)), "accept": accept}),
            ("error_code", {"code": chance.choice((-1000, -1001, -1007)), "accept": accept}),
            ("delay", {"seconds": chance.choice((0.5, 2.0, 4.0)), "when": "after"}),
            ("query_lag", {"seconds": chance.uniform(0.5, 8)}),
            ("late_match", {"seconds": chance.uniform(0.5, 6), "answer": "timeout"}),
            ("disconnect", {"scope": chance.choice(("market", "user", "all")), "abort": accept}),
            ("stall_stream", {"scope": "market", "seconds": chance.uniform(2, 15)}),
            ("terminate_stream", {}),
        ]
    )


def interference(chance: random.Random) -> tuple[str, dict[str, object]]:
    """Draw a fault of the chat."""
    return chance.choice(
        [
            ("error", {"code": 500}),
            ("error", {"code": 429, "retry_after": chance.randint(1, 5)}),
            ("delay", {"ms": chance.randint(200, 3_000)}),
            ("down", {"ms": chance.randint(500, 8_000)}),
            ("drop", {}),
        ]
    )


def slope_mb_per_h(samples: Sequence[tuple[float, float]]) -> float | None:
    """Return the least squares slope of (hours, MB) after the warm-up; None when it is too short.

    >>> slope_mb_per_h([(hour / 4, 150.0 + hour / 4) for hour in range(9)])
    1.0
    """
    begin = samples[0][0] + _WARM_S / 3600 if samples else 0.0
    warm = [sample for sample in samples if sample[0] >= begin]
    if not warm or warm[-1][0] - warm[0][0] < _SLOPE_H_MIN:
        return None
    hours, sizes = np.array(warm).T
    return round(float(np.polyfit(hours, sizes, 1)[0]), 3)


@dataclass
class Soak:
    """One agent, one exchange, one chat, and what has happened to them."""

    world: World
    chance: random.Random
    state: str
    hours_before: float
    began_s: float = field(default_factory=time.monotonic)
    rounds: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[float, float]] = field(default_factory=list)
    _last_faults: dict[str, int] = field(default_factory=dict)

    @property
    def hours(self) -> float:
        """Hours since this agent started."""
        return (time.monotonic() - self.began_s) / 3600

    async def run(self, hours: float) -> None:
        """Play rounds for so long; raises AssertionError."""
        await self.world.start_agent()
        measuring = asyncio.create_task(self._measure())
        try:
            while self.hours < hours:
                await self._play_round()
                self._tell(hours)
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)
        await self.world.end("run")
        code = self.world.processes["run"].returncode
        assert code == 0, f"the agent should end in an orderly way, exit code {code}"

    # ------------------------------------------------------------ a round

    async def _play_round(self) -> None:
        coin = self.chance.choice(sorted(_COINS))
        price, coins = Decimal(_COINS[coin][0]), Decimal(_COINS[coin][1])
        world, symbol = self.world, f"{coin}USDT"
        await world.price(str(price), symbol)
        await world.deposit(coin, coins - await world.balance_of(coin))
        begin, before = await world.last_message_id(), len(await world.orders_of(symbol))
        await self._watch(f"/track {coin}/USDT stop {price * _STOP:f} all", begin)
        await self._spoil()
        await world.say(self.chance.choice(_QUESTIONS))
        await world.price(f"{price * _FALL:f}", symbol)
        await world.until_message(rf"Sold {coins.normalize():f} {coin}\b", after=begin)
        orders = (await world.orders_of(symbol))[before:]
        sold = [Decimal(order["executedQty"]) for order in orders]
        assert sum(sold) == coins, f"{coins} {coin} should be sold once, the orders are {orders}"
        assert await world.balance_of(coin) == 0, f"{coin} are left over"
        await self._count_faults()
        await asyncio.sleep(self.chance.uniform(*_PAUSE_S))
        self.rounds += 1

    async def _watch(self, rule: str, begin: int) -> None:
        # The weather of the round before may still keep answers up, or balances unread.
        while not await self.world.has_message(_WATCHED, begin):
            card = await self.world.answer(rule, "(?i)answer within|✋|belong|balance|already")
            if any(text.endswith("Confirm") for row in card["buttons"] for text in row):
                await self.world.press(card, "Confirm")
                await self.world.until_message(_WATCHED, after=begin)
            else:
                await asyncio.sleep(2)

    async def _spoil(self) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            kind, arguments = weather(self.chance)
            await self.world.fault(kind, 1, **arguments)
        if self.chance.random() < 0.3:
            kind, arguments = interference(self.chance)
            await self.world.chat_fault(kind, 1, **arguments)

    async def _count_faults(self) -> None:
        listed = {"exchange": await self.world.faults(), "chat": await self.world.chat_faults()}
        for place, faults in listed.items():
            # Ended faults stay listed: only those of this round count.
            last = self._last_faults.get(place, 0)
            for fault in faults:
                if fault["id"] > last:
                    self.fired[fault["kind"]] += fault["fired"]
            self._last_faults[place] = max((fault["id"] for fault in faults), default=last)
        await self.world.clear_faults()

    # ------------------------------------------------------------ what is measured

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self.samples.append((self.hours, _resident_mb(self.world.processes["run"].pid)))
            with _SAMPLES.open("a", newline="") as file:
                hours, size_mb = self.samples[-1]
                row = [self.state, f"{self.hours_before:.4f}", f"{hours:.4f}", f"{size_mb:.1f}"]
                csv.writer(file).writerow([*row, self.rounds])

    def failures(self) -> list[str]:
        """Lines of the agent's log that hold an exception nobody expected."""
        return [line for line in self.world.log().splitlines() if '"exception"' in line]

    def _tell(self, hours: float) -> None:
        size = f", {self.samples[-1][1]:.0f} MB" if self.samples else ""
        _say(
            f"round {self.rounds} held; {self.hours_before + self.hours:.2f} of "
            f"{self.hours_before + hours:g} h{size}; {self.fired.total()} faults fired"
        )

    def report(self) -> bool:
        """Say how it went; whether everything held."""
        slope, failures = slope_mb_per_h(self.samples), self.failures()
        shown = "not measured, under 80 minutes" if slope is None else f"{slope:+.2f} MB/h"
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.fired.items()))
        _say(
            f"{self.hours:.2f} h: {self.rounds} stops sold once each and told; memory {shown}; "
            f"{len(failures)} unhandled exceptions\nfaults fired: {kinds}"
        )
        for line in failures[:5]:
            _say(line[:2_000])
        return not failures and (slope is None or slope < SLOPE_MB_PER_H_MAX)


def main(arguments: list[str]) -> int:
    """Return 1 when something did not hold."""
    options = argparse.ArgumentParser(prog="python -m tests.e2e.soak")
    options.add_argument("hours", type=float, nargs="?", default=72.0)
    options.add_argument("seed", type=int, nargs="?", default=1)
    asked = options.parse_args(arguments)
    state = state_of_sources(*_SOURCES)
    done = soaked_hours(_noted(), state)
    if done >= asked.hours:
        _say(f"{done:.2f} h of {asked.hours:.0f} are soaked already with these sources")
        return 0
    return asyncio.run(_soak(asked.hours, done, random.Random(f"{asked.seed}:{done}"), state))


async def _soak(hours: float, done: float, chance: random.Random, state: str) -> int:
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        # A fork would share its memory with the one it comes from.
        async with World(Path(name), is_executed=True) as world:
            soak = Soak(world, chance, state, done)
            try:
                await soak.run(hours - done)
            except (AssertionError, OSError) as broken:
                _say(f"FAILED after {soak.hours:.2f} h, in round {soak.rounds + 1}: {broken}")
                return 1
            return 0 if soak.report() else 1


def soaked_hours(rows: Sequence[Sequence[str]], state: str) -> float:
    """Return how long these sources were soaked: the last sample of the last agent counts."""
    known = [row for row in rows if row and row[0] == state]
    return max((float(row[1]) + float(row[2]) for row in known), default=0.0)


def _noted() -> list[list[str]]:
    if not _SAMPLES.exists():
        return []
    with _SAMPLES.open(newline="") as file:
        return list(csv.reader(file))


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _say(line: Any) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
