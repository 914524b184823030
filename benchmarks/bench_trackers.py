"""V4b: what a tick costs with 10,000 trackers on 500 symbols, and that their number is no matter.

`python -m benchmarks.bench_trackers [ticks]`: the same walk of prices is run with 1,000 and with
10,000 trackers; every run must touch, trail and fire, or it has measured nothing.
"""

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from benchmarks.table import NotDone, Row, at_most, table
from trading.domain.instrument import Instrument
from trading.domain.market import MarketTrade, Observation, PriceSource
from trading.domain.time import to_ms
from trading.domain.tracker import Amount, AmountKind, Distance, Tracker, TrackerKind, TrackerSpec
from trading.market.settings import MarketSettings
from trading.market.watched import WatchedSymbol
from trading.trackers import arming, rules
from trading.trackers.arming import Present
from trading.trackers.slices import Slice
from trading.trackers.watch import Watch, World

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SYMBOLS = 500
TICKS = 200_000
RATIO_MAX = 1.5
GATE_US_MAX = 10.0
INDEX_US_MAX = 5.0
TICKS_PER_S_MIN = 100_000
START = Decimal(1000)
KINDS = (TrackerKind.STOP, TrackerKind.TRAIL, TrackerKind.TAKE_PROFIT, TrackerKind.DIP)


@dataclass(frozen=True, slots=True)
class Run:
    """What one walk with one number of trackers cost, and that it did its work."""

    per_tick_us: float
    fired: int
    touched: int


def instrument(symbol: str) -> Instrument:
    """A symbol with two decimals."""
    cent, lot = Decimal("0.01"), Decimal("0.001")
    base, _, quote = symbol.partition("/")
    return Instrument(
        symbol,
        base + quote,
        base,
        quote,
        cent,
        lot,
        lot,
        Decimal(10**6),
        Decimal(10**6),
        Decimal(5),
    )


def symbols() -> list[str]:
    """The names of all symbols."""
    return [f"C{number:03}/USDT" for number in range(SYMBOLS)]


def tracker(number: int, symbol: str, rng: random.Random) -> Tracker:
    """One of four kinds, 1 % to 10 % away from the start."""
    away = Decimal(rng.randint(100, 1000)) / 10_000
    kind = KINDS[number // SYMBOLS % len(KINDS)]
    level = {
        TrackerKind.STOP: START * (1 - away),
        TrackerKind.TAKE_PROFIT: START * (1 + away),
        TrackerKind.DIP: START * (1 - away),
    }.get(kind)
    trail = None if kind is TrackerKind.STOP else Distance(share=away)
    spec = TrackerSpec(kind, symbol, Amount(AmountKind.ALL), level=level, trail=trail)
    owned = Slice(quantity=Decimal(1), quote=Decimal(1000))
    present = Present(START, NOON, Decimal("0.001"))
    return arming.arm(spec, (number, 1), owned, present, instrument(symbol)).tracker


def watch_of(count: int) -> Watch:
    """Arm `count` trackers, spread evenly over all symbols."""
    instruments = {symbol: instrument(symbol) for symbol in symbols()}
    world = World(
        instrument=instruments.__getitem__,
        may_enter=lambda _: True,
        is_stale=lambda _: False,
        moment=lambda: rules.moment(NOON, 0.0),
    )
    watch = Watch(world, Decimal("0.0005"))
    rng = random.Random(7)
    names = symbols()
    for number in range(count):
        watch.put(tracker(number + 1, names[number % SYMBOLS], rng))
    return watch


def walk(ticks: int) -> list[Observation]:
    """Random walks of all symbols, one price of each in turn."""
    rng = random.Random(11)
    prices = dict.fromkeys(symbols(), 100_000)
    event_ms = to_ms(NOON)
    seen = []
    for number in range(ticks):
        symbol = f"C{number % SYMBOLS:03}/USDT"
        prices[symbol] = max(prices[symbol] + rng.choice((-97, -23, -3, 0, 3, 23, 97)), 100)
        price = Decimal(prices[symbol]) / 100
        seen.append(
            Observation(
                symbol,
                price,
                price,
                None,
                None,
                None,
                event_ms + number,
                number / 1e4,
                PriceSource.STREAM,
                True,
            )
        )
    return seen


def run(count: int, seen: list[Observation]) -> Run:
    """Walk all prices through an index of `count` trackers."""
    watch = watch_of(count)
    gc.collect()
    gc.disable()
    begun = time.perf_counter()
    fired = touched = 0
    for observation in seen:
        if watch.observe(observation):
            # As its owner does: while something waits to be taken, no band is made.
            fired, touched = fired + len(watch.fired), touched + len(watch.changes)
            watch.fired.clear()
            watch.changes.clear()
    spent_s = time.perf_counter() - begun
    gc.enable()
    return Run(spent_s / len(seen) * 1e6, fired, touched)


def quiet_us(count: int) -> float:
    """What a price costs that changes nothing, with `count` trackers: the least of five rounds."""
    watch = watch_of(count)
    seen = [replace(one, price=START, last=START) for one in walk(20_000)]
    return min(_timed(lambda: [watch.observe(one) for one in seen]) for _ in range(5)) / 20_000


def gate_us() -> float:
    """What gate, decision price and buffer cost per print: the least of five rounds."""
    trades = [
        MarketTrade("C000/USDT", START + number % 7, Decimal(1), to_ms(NOON) + number, number / 1e4)
        for number in range(20_000)
    ]
    return min(_round_us(trades) for _ in range(5)) / len(trades)


def _round_us(trades: list[MarketTrade]) -> float:
    # A symbol of its own: prints that were taken once are late the next time, and are not told.
    emitted: list[Observation] = []
    watched = WatchedSymbol("C000/USDT", MarketSettings(), 0.0, emitted.append)
    spent_us = _timed(lambda: [watched.take_trade(one) for one in trades])
    if len(emitted) != len(trades):
        raise NotDone("the gate swallowed prints")
    return spent_us


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e6


def measure(ticks: int, few: int = 1_000, many: int = 10_000) -> list[Row]:
    """Walk both numbers of trackers through the same prices; raises NotDone."""
    seen = walk(ticks)
    rounds = [(run(few, seen), run(many, seen)) for _ in range(3)]
    least_run, most_run = rounds[0]
    if most_run.fired <= least_run.fired or most_run.touched == 0:
        raise NotDone(f"{most_run.fired} fired, {most_run.touched} touched: too little to measure")
    least, most = quiet_us(few), quiet_us(many)
    walked = 1e6 / statistics.median(one.per_tick_us for _, one in rounds)
    return [
        at_most(
            "V4b",
            f"a tick that changes nothing, {many:,} / {few:,} trackers",
            most / least,
            RATIO_MAX,
            "x",
        ),
        at_most("V4b", f"a tick that changes nothing, {many:,} trackers", most, INDEX_US_MAX, "us"),
        Row(
            "V4b",
            f"a random walk, {most_run.fired} fire, {many:,} trackers",
            f"{walked:,.0f} ticks/s",
            f">= {TICKS_PER_S_MIN:,} ticks/s",
            walked >= TICKS_PER_S_MIN,
        ),
        at_most("V4b", "gate and decision price of a print", gate_us(), GATE_US_MAX, "us"),
    ]


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    return measure(TICKS // 2 if is_quick else TICKS)


if __name__ == "__main__":
    made = measure(int(sys.argv[1]) if len(sys.argv) > 1 else TICKS)
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
