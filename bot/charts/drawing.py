"""What a chart picture shows, as plain numbers: candles, levels with labels, markers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Protocol

from bot.charts.labels import places_of
from bot.charts.times import TIME_SHARE_MIN, TIMES_MAX, time_ticks, zone_name
from trading.domain.market import Candle
from trading.domain.order import Fill, Side
from trading.domain.time import (
    Timeframe,
    candle_open_ms,
    candles_between,
    following_ms,
    to_ms,
)
from trading.domain.tracker import Line, Tracker

# A colour for each meaning, everywhere the same.
STOP, TARGET, ENTRY = "stop", "target", "entry"
RECORD, RESISTANCE, PAUSED = "record", "resistance", "paused"
LEVELS_MAX = 12
_MARKERS_MAX = 40
_DAY_MS = 86_400_000


class ChartFacts(Protocol):
    """What the desk's view of a chart has to offer."""

    @property
    def symbol(self) -> str:
        """The instrument."""
        ...

    @property
    def timeframe(self) -> Timeframe:
        """Candle length."""
        ...

    @property
    def candles(self) -> Sequence[Candle]:
        """Oldest first, the running one last."""
        ...

    @property
    def trackers(self) -> Sequence[Tracker]:
        """Live trackers of the instrument."""
        ...

    @property
    def fills(self) -> Sequence[Fill]:
        """Executions of the instrument."""
        ...

    @property
    def price(self) -> Decimal | None:
        """The present price."""
        ...

    @property
    def now(self) -> datetime:
        """When it was asked for."""
        ...

    @property
    def is_simulated(self) -> bool:
        """Whether no real money moves: the picture says so itself, it may be passed on alone."""
        ...

    @property
    def are_stops_held(self) -> bool:
        """Whether everything is halted, so that no level acts."""
        ...

    @property
    def is_blind(self) -> bool:
        """Whether no level can act for want of prices or of an exchange."""
        ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle: `x` is its place from the left."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class LevelMark:
    """A level until now, perhaps sloped: from where it starts, or from the first candle on.

    `from_x` is where it starts, in bars from the middle of the first, None before the picture.
    """

    label: str
    meaning: str
    left_price: float
    right_price: float
    is_dashed: bool = False
    from_x: float | None = None


@dataclass(frozen=True, slots=True)
class FillMark:
    """An execution: where it happened and which way."""

    x: float
    price: float
    is_buy: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything the picture shows; JSON-ready.

    - `times`: where a time is written, in bars from the middle of the first, and the time
    - `zone`: whose clock that is
    - `places`: decimals of a price
    """

    title: str
    times: tuple[tuple[float, str], ...]
    zone: str
    places: int
    bars: tuple[Bar, ...]
    price: float | None
    levels: tuple[LevelMark, ...]
    markers: tuple[FillMark, ...]
    watermark: str = ""


def drawing_of(facts: ChartFacts, price_tick: Decimal, zone: tzinfo) -> Drawing:
    """Choose what to draw of a chart; it has at least one candle. `zone` is its reader's."""
    candles = list(facts.candles)
    # Days of candles are days of UTC: in another zone a date would name the wrong one.
    clock = zone if facts.timeframe.length_ms < _DAY_MS else UTC
    levels = [mark for tracker in facts.trackers for mark in level_marks(tracker, facts)]
    markers = _fill_marks(facts)
    return Drawing(
        title=f"{facts.symbol}  {facts.timeframe.name}",
        times=tuple(_times(facts, clock, TIMES_MAX - 1 if levels else TIMES_MAX)),
        zone=zone_name(candles[-1].open_time_ms, clock),
        places=places_of(price_tick),
        bars=tuple(Bar(c.open, c.high, c.low, c.close, c.volume) for c in candles),
        price=None if facts.price is None else float(facts.price),
        levels=_nearest(levels, candles[-1].close if facts.price is None else float(facts.price)),
        markers=tuple(markers[:_MARKERS_MAX]),
        watermark="SIMULATED" if facts.is_simulated else "",
    )


def _nearest(levels: Sequence[LevelMark], price: float) -> tuple[LevelMark, ...]:
    """Return as many as fit, in their own order: what is far from the price fires last."""
    near = sorted(levels, key=lambda mark: abs(mark.right_price - price))[:LEVELS_MAX]
    return tuple(mark for mark in levels if mark in near)


def drawing_from_json(content: dict[str, Any]) -> Drawing:
    """Read back what the worker was sent."""
    return Drawing(
        title=content["title"],
        times=tuple((place, text) for place, text in content["times"]),
        zone=content["zone"],
        places=content["places"],
        bars=tuple(Bar(**bar) for bar in content["bars"]),
        price=content["price"],
        levels=tuple(LevelMark(**level) for level in content["levels"]),
        markers=tuple(FillMark(**marker) for marker in content["markers"]),
        watermark=content["watermark"],
    )


def level_marks(tracker: Tracker, facts: ChartFacts) -> list[LevelMark]:
    """Return every level of a tracker as it is now: stops, record, levels and lines."""
    spec, number = tracker.spec, tracker.tracker_id
    marks: list[LevelMark] = []
    if tracker.stop_price is not None:
        is_buy = tracker.side is Side.BUY
        name, meaning = ("buy", ENTRY) if is_buy else ("stop", STOP)
        marks.append(_flat(f"#{number} {name}", meaning, tracker.stop_price))
    if tracker.hard_stop_price is not None and tracker.hard_stop_price != tracker.stop_price:
        marks.append(_flat(f"#{number} hard", STOP, tracker.hard_stop_price, True))
    if tracker.record_price is not None:
        marks.append(_flat(f"#{number} record", RECORD, tracker.record_price, True))
    meaning = ENTRY if tracker.side is Side.BUY else TARGET
    if isinstance(spec.level, Line):
        marks.append(_sloped(f"#{number} level", meaning, spec.level, facts))
    elif tracker.level_price is not None and tracker.level_price != tracker.stop_price:
        marks.append(_flat(f"#{number} level", meaning, tracker.level_price))
    if spec.support is not None:
        marks.append(_sloped(f"#{number} support", ENTRY, spec.support, facts))
    if spec.resistance is not None:
        marks.append(_sloped(f"#{number} resist", RESISTANCE, spec.resistance, facts))
    stands = "held" if facts.are_stops_held else "blind" if facts.is_blind else ""
    why = "paused" if tracker.is_paused else stands
    return [_resting(mark, why) for mark in marks] if why else marks


def _resting(mark: LevelMark, why: str) -> LevelMark:
    """A level at which nothing happens now, so that nobody takes it for a live one."""
    return replace(mark, label=f"{mark.label} {why}", meaning=PAUSED, is_dashed=True)


def _flat(label: str, meaning: str, price: Decimal, is_dashed: bool = False) -> LevelMark:
    return LevelMark(label, meaning, float(price), float(price), is_dashed)


def _sloped(label: str, meaning: str, line: Line, facts: ChartFacts) -> LevelMark:
    left_ms = max(facts.candles[0].open_time_ms, to_ms(line.first.at))
    starts = _place(left_ms, facts)
    # Where it is now, as its card says it.
    now_ms = to_ms(facts.now)
    left, right = _price_on(line, left_ms), _price_on(line, now_ms)
    return LevelMark(label, meaning, left, right, from_x=starts - 0.5 if starts else None)


def _price_on(line: Line, at_ms: int) -> float:
    start_ms, end_ms = to_ms(line.first.at), to_ms(line.last.at)
    start, end = float(line.first.price), float(line.last.price)
    return start + (end - start) * (at_ms - start_ms) / (end_ms - start_ms)


def _fill_marks(facts: ChartFacts) -> list[FillMark]:
    """One mark per candle and side at the average price: an order's parts hide each other."""
    parts: dict[tuple[int, Side], list[Fill]] = {}
    for fill in facts.fills:
        x = _place(to_ms(fill.at), facts)
        if 0 <= x <= len(facts.candles):
            parts.setdefault((int(x), fill.side), []).append(fill)
    return [_fill_mark(fills, facts) for fills in parts.values()]


def _fill_mark(fills: Sequence[Fill], facts: ChartFacts) -> FillMark:
    middle_ms = sum(to_ms(fill.at) for fill in fills) // len(fills)
    quantity = sum(fill.quantity for fill in fills)
    average = sum(fill.price * fill.quantity for fill in fills) / quantity
    return FillMark(_place(middle_ms, facts) - 0.5, float(average), fills[0].side is Side.BUY)


def _place(at_ms: int, facts: ChartFacts) -> float:
    """Return where a moment lies, in candles since the first one opened."""
    length_ms = facts.timeframe.length_ms
    opened_ms = candle_open_ms(at_ms, length_ms)
    part = (at_ms - opened_ms) / (following_ms(opened_ms, length_ms) - opened_ms)
    return candles_between(facts.candles[0].open_time_ms, opened_ms, length_ms) + part


def _times(facts: ChartFacts, clock: tzinfo, most: int) -> list[tuple[float, str]]:
    first_ms, last_ms = facts.candles[0].open_time_ms, facts.candles[-1].open_time_ms
    left_ms = first_ms + round((last_ms - first_ms) * TIME_SHARE_MIN)
    found = time_ticks(left_ms, last_ms, clock, most)
    return [(_place(at_ms, facts) - 0.5, text) for at_ms, text in found]
