"""A database with any number of armed trackers, and the coins that they watch over."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from bot.clock import SystemClock
from storage.store import open_store
from trading.domain.events import Event, PositionAdjusted, TrackerChanged
from trading.domain.instrument import Instrument
from trading.domain.position import AdjustReason
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Distance,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
)
from trading.sim.catalogue import catalogue
from trading.trackers import arming
from trading.trackers.arming import Present
from trading.trackers.slices import Slice

NEAR = Decimal("0.99")
_SLICE_QUOTE = Decimal(20)
_BATCH = 500
_KINDS = (TrackerKind.STOP, TrackerKind.TRAIL, TrackerKind.TAKE_PROFIT)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which markets there are at what prices, and who watches them."""

    instruments: Sequence[Instrument]
    prices: Mapping[str, Decimal]
    trackers: Sequence[Tracker]

    @property
    def holdings(self) -> dict[str, Decimal]:
        """How much of each instrument all trackers together watch over."""
        held: Counter[str] = Counter()
        for tracker in self.trackers:
            held[tracker.symbol] += tracker.quantity  # type: ignore[assignment]
        return dict(held)  # type: ignore[arg-type]

    @property
    def balances(self) -> dict[str, Decimal]:
        """What the account must hold."""
        coins = {symbol.split("/")[0]: held for symbol, held in self.holdings.items()}
        return {"USDT": Decimal(10_000), **coins}


def plan(count: int, markets: int, seed: int) -> Plan:
    """Spread trackers evenly over all USDT markets; the first of each is a stop 1 % below."""
    listed = catalogue(markets, seed)
    instruments = [one for one in listed.instruments if one.quote == "USDT"]
    prices = {one.symbol: one.price_down(listed.coin_prices[one.base]) for one in instruments}
    trackers = []
    for number in range(count):
        turn, place = divmod(number, len(instruments))
        instrument = instruments[place]
        trackers.append(_tracker(number + 1, turn, instrument, prices[instrument.symbol]))
    return Plan(instruments, prices, trackers)


def _tracker(number: int, turn: int, instrument: Instrument, price: Decimal) -> Tracker:
    kind = _KINDS[turn % len(_KINDS)]
    away = Decimal("0.3") + Decimal(turn) / 1000
    level = {
        TrackerKind.STOP: price * (NEAR if turn == 0 else 1 - away),
        TrackerKind.TAKE_PROFIT: price * (1 + away),
    }.get(kind)
    spec = TrackerSpec(
        kind,
        instrument.symbol,
        Amount(AmountKind.ALL),
        level=None if level is None else instrument.price_down(level),
        trail=None if kind is TrackerKind.STOP else Distance(share=away),
    )
    step = instrument.quantity_step
    quantity = (_SLICE_QUOTE / price / step).to_integral_value() * step + step
    present = Present(price, datetime.now(UTC), Decimal("0.001"))
    return arming.arm(spec, (number, 1), Slice(quantity=quantity), present, instrument).tracker


async def write(made: Plan, database: Path, *others: Event) -> None:
    """Write a database as an agent that armed all of it would have left it, and other facts."""
    now = datetime.now(UTC)
    facts: list[Event] = [
        PositionAdjusted(symbol, held, made.prices[symbol], AdjustReason.ADOPTED, "", now)
        for symbol, held in made.holdings.items()
    ]
    facts += [TrackerChanged(one, TrackerChange.ARMED, now) for one in made.trackers]
    facts += others
    database.parent.mkdir(parents=True, exist_ok=True)
    url = f"sqlite+aiosqlite:///{database}"
    store = await open_store(url, SystemClock(), data_dir=database.parent)
    try:
        for begin in range(0, len(facts), _BATCH):
            await store.journal.append(*facts[begin : begin + _BATCH])
    finally:
        await store.close()
