"""V4: what one quote costs from the text of its frame to the trackers that look at it.

`python -m benchmarks.bench_quotes [frames]`: bookTicker and trade frames of a random walk, each
another text, are read, judged by the sanity gate and shown to ten trackers of their symbol. The
same frames go the library's way for comparison. The stops must all fire at the end, and only then.
"""

import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from benchmarks.bench_trackers import NOON, START, instrument
from benchmarks.table import NotDone, Row, table
from bot.clock import SystemClock, now_ms
from trading.domain.errors import Unreachable
from trading.domain.market import MarketTrade, Observation, Quote
from trading.domain.time import to_ms
from trading.domain.tracker import Amount, AmountKind, Distance, TrackerKind, TrackerSpec
from trading.gateway.stream import MarketStream
from trading.market.engine import MarketEngine, MarketHooks
from trading.trackers import arming, rules
from trading.trackers.arming import Present
from trading.trackers.slices import Slice
from trading.trackers.watch import Watch, World

FRAMES = 200_000
ROUNDS = 5
QUOTES_PER_S_MIN = 250_000
SYMBOLS = 20
PER_SYMBOL = 10
_KINDS = (TrackerKind.STOP, TrackerKind.TRAIL)
_AWAY = Decimal("0.2")
# Each step is less than the gate would take for a bad tick.
_CRASH = (98_000, 91_000, 84_500, 78_500, 73_000, 70_000)
_STOPS = SYMBOLS * PER_SYMBOL // 2


class Feed:
    """A feed whose stream is what a benchmark hands to it."""

    def __init__(self) -> None:
        self.on_trade: Callable[[MarketTrade], None] = _nobody
        self.on_quote: Callable[[Quote], None] = _nobody
        self.connected = asyncio.Event()

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep the callbacks; nothing ends this but a cancellation."""
        self.on_trade, self.on_quote = on_trade, on_quote
        self.connected.set()
        await asyncio.Event().wait()

    async def quote(self, symbol: str) -> Quote:
        """There is nothing to ask: prices come as frames."""
        raise Unreachable(f"{symbol} is not told over REST here")

    quotes_max = 1

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """There is nothing to ask: prices come as frames."""
        raise Unreachable(f"{len(symbols)} symbols are not told over REST here")

    async def last_trade(self, symbol: str) -> MarketTrade:
        """There is nothing to ask: prices come as frames."""
        raise Unreachable(f"{symbol} is not told over REST here")


def _nobody(_: object) -> None:
    raise NotDone("the market engine has not connected")


@dataclass
class Chain:
    """Everything between a frame and a trigger, put together as in the agent."""

    watch: Watch
    prices: dict[str, Decimal] = field(default_factory=dict)
    observed: int = 0

    def observe(self, observation: Observation) -> None:
        """Value and evaluate one price."""
        self.observed += 1
        if observation.price is not None:
            self.prices[observation.symbol] = observation.price
        self.watch.observe(observation)


def names() -> list[str]:
    """The symbols of the walk."""
    return [f"C{number:03}/USDT" for number in range(SYMBOLS)]


def armed_watch() -> Watch:
    """Ten trackers of each symbol: stops and trailing stops 20 % and more below the start."""
    instruments = {symbol: instrument(symbol) for symbol in names()}
    world = World(
        instrument=instruments.__getitem__,
        may_enter=lambda _: True,
        is_stale=lambda _: False,
        moment=lambda: rules.moment(NOON, 0.0),
    )
    watch = Watch(world, Decimal("0.0005"))
    for number in range(SYMBOLS * PER_SYMBOL):
        symbol = names()[number % SYMBOLS]
        turn = number // SYMBOLS
        away = _AWAY + Decimal(turn) / 1000
        kind = _KINDS[turn % 2]
        is_stop = kind is TrackerKind.STOP
        spec = TrackerSpec(
            kind,
            symbol,
            Amount(AmountKind.ALL),
            level=START * (1 - away) if is_stop else None,
            trail=None if is_stop else Distance(share=away),
        )
        present = Present(START, NOON, Decimal("0.001"))
        owned = Slice(quantity=Decimal(1))
        made = arming.arm(spec, (number + 1, 1), owned, present, instrument(symbol))
        watch.put(made.tracker)
    return watch


def books(count: int) -> list[str]:
    """The text of bookTicker frames, a random walk of each symbol."""
    chance = random.Random(5)
    walk = dict.fromkeys(names(), 100_000)
    made = []
    for number in range(count):
        symbol = f"C{number % SYMBOLS:03}/USDT"
        walk[symbol] = min(max(walk[symbol] + chance.choice((-7, -2, 0, 2, 7)), 95_000), 105_000)
        made.append(book(symbol, walk[symbol], chance, number))
    return made


def book(symbol: str, cents: int, chance: random.Random, number: int) -> str:
    """One bookTicker frame as Binance writes it."""
    sizes = [f"{chance.randint(1, 9_999_999) / 1e5:.8f}" for _ in range(2)]
    return (
        f'{{"u":{400_900_217 + number},"s":"{symbol.replace("/", "")}",'
        f'"b":"{_price(cents - 1)}","B":"{sizes[0]}","a":"{_price(cents + 1)}","A":"{sizes[1]}"}}'
    )


def prints(count: int) -> list[str]:
    """The text of trade frames of the same walks."""
    chance = random.Random(6)
    at_ms = to_ms(NOON)
    made = []
    for number, frame in enumerate(books(count)):
        said = orjson.loads(frame)
        made.append(
            f'{{"e":"trade","E":{at_ms + number},"s":"{said["s"]}","t":{number + 1},'
            f'"p":"{said["b"]}","q":"{chance.randint(1, 9_999_999) / 1e5:.8f}",'
            f'"T":{at_ms + number},"m":false,"M":true}}'
        )
    return made


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}000000"


async def run(frames: Sequence[str], take: str) -> float:
    """Take all frames the way named and return how many a second that were; raises NotDone."""
    feed, chain = Feed(), Chain(armed_watch())
    hooks = MarketHooks(chain.observe, lambda _: None)
    engine = MarketEngine(feed, SystemClock(), hooks)  # type: ignore[arg-type]
    engine.watch(names())
    running = asyncio.create_task(engine.run())
    await feed.connected.wait()
    known = {symbol.replace("/", ""): symbol for symbol in names()}
    stream = MarketStream(known, feed.on_trade, feed.on_quote, SystemClock(), now_ms)
    taker = stream.take_frame if take == "direct" else _library(stream.take)
    per_s = _timed(frames, taker)
    _check(chain, frames, taker)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return per_s


def _library(take: Callable[[Any], bool]) -> Callable[[str], bool]:
    return lambda frame: take(orjson.loads(frame))


def _timed(frames: Sequence[str], take: Callable[[str], bool]) -> float:
    gc.collect()
    gc.freeze()
    begun = time.process_time()
    for frame in frames:
        take(frame)
    spent_s = time.process_time() - begun
    gc.unfreeze()
    return len(frames) / spent_s


def _check(chain: Chain, frames: Sequence[str], take: Callable[[str], bool]) -> None:
    if chain.observed != len(frames) or len(chain.prices) != SYMBOLS:
        raise NotDone(f"{len(frames)} frames should be observed, were {chain.observed}")
    if chain.watch.fired:
        raise NotDone(f"nothing should fire before the crash, {len(chain.watch.fired)} did")
    is_print = '"e":"trade"' in frames[0]
    chance = random.Random(7)
    for cents in _CRASH:
        for number, symbol in enumerate(names()):
            frame = book(symbol, cents, chance, number)
            if is_print:
                said = orjson.loads(frame)
                frame = (
                    f'{{"e":"trade","E":{to_ms(NOON) + len(frames) + number},"s":"{said["s"]}",'
                    f'"t":1,"p":"{said["b"]}","q":"1.00000000","T":1,"m":false,"M":true}}'
                )
            take(frame)
    fired = sum(one.tracker.spec.kind is TrackerKind.STOP for one in chain.watch.fired)
    if fired != _STOPS:
        raise NotDone(f"{_STOPS} stops should fire in the crash, {fired} did")


def measure(frames: int) -> list[Row]:
    """Take quotes and prints both ways, in turns; raises NotDone."""
    quotes, trades = books(frames), prints(frames)
    found: dict[str, list[float]] = {"direct": [], "library": [], "prints": []}
    for _ in range(ROUNDS):
        found["direct"].append(asyncio.run(run(quotes, "direct")))
        found["library"].append(asyncio.run(run(quotes, "library")))
        found["prints"].append(asyncio.run(run(trades, "direct")))
    per_s = {name: statistics.median(values) for name, values in found.items()}
    what = f"frame, gate, {PER_SYMBOL} trackers each"
    return [
        _at_least(f"quotes: {what}", per_s["direct"], QUOTES_PER_S_MIN),
        Row("V4", f"prints: {what}", f"{per_s['prints']:,.0f} messages/s"),
        Row("V4", f"quotes, the library's way: {what}", f"{per_s['library']:,.0f} messages/s"),
    ]


def _at_least(workload: str, per_s: float, least: float) -> Row:
    goal = f">= {least:,.0f} messages/s"
    return Row("V4", workload, f"{per_s:,.0f} messages/s", goal, per_s >= least)


def rows(is_quick: bool = False) -> list[Row]:
    """Measure at full or at smoke-test scale."""
    return measure(FRAMES // 20 if is_quick else FRAMES)


if __name__ == "__main__":
    made = measure(int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES)
    print(table(made))
    sys.exit(0 if all(row.is_met for row in made) else 1)
