"""What the others offer around a price: level sizes that stay put while the price wanders."""

from collections.abc import Iterator
from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.market import BookLevel
from trading.domain.order import Side

# Quote units per side: the touch, what else lies within 0.1 %, and what lies behind.
_TOUCH_QUOTE = 40_000
_NEAR_QUOTE = 120_000
_FAR_LEVELS = 40
_FAR_LEVEL_QUOTE = 60_000
QUOTE_DEPTH = _TOUCH_QUOTE + _NEAR_QUOTE + _FAR_LEVELS * _FAR_LEVEL_QUOTE
_NEAR_SHARE = 0.0009
_SPACING_SHARE = 0.00005
_JITTER_BITS = 0xFFFF


class Liquidity:
    """Makes levels for one instrument; thinner or wider when told so."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self._tick = instrument.price_tick
        self._step = instrument.quantity_step
        self._salt = hash_of(f"{seed} {instrument.symbol}")
        self._scale = {Side.BUY: 1.0, Side.SELL: 1.0}
        self._half_spread = 0.0

    def set_depth(self, quote_depth: Decimal, side: Side | None = None) -> None:
        """Let a side (or both) hold about this much quote in all; 0 empties it."""
        if quote_depth < 0:
            raise Refused(f"depth should be at least 0, was {quote_depth}", example="50000")
        for each in Side if side is None else (side,):
            self._scale[each] = float(quote_depth) / QUOTE_DEPTH

    def set_spread(self, share: Decimal) -> None:
        """Keep bid and ask this share of the price apart; 0 means one tick to each side."""
        if not 0 <= share < 1:
            raise Refused(f"spread should be from 0 up to below 1, was {share}", example="0.3")
        self._half_spread = float(share) / 2

    def levels(self, side: Side, price: Decimal) -> list[BookLevel]:
        """Return one side around a price, best first."""
        scale = self._scale[side]
        if not scale:
            return []
        middle = int(price / self._tick)
        tick = float(self._tick)
        levels = []
        for ticks, quote in self._shape(side, middle):
            if ticks <= 0:
                break
            steps = int(quote * scale / (ticks * tick) / float(self._step))
            if steps > 0:
                levels.append(BookLevel(ticks * self._tick, steps * self._step))
        return levels

    def touch(self, side: Side, price: Decimal) -> BookLevel | None:
        """Return the best level of one side around a price."""
        levels = self.levels(side, price) if self._scale[side] < 0.01 else self._first(side, price)
        return levels[0] if levels else None

    def _first(self, side: Side, price: Decimal) -> list[BookLevel]:
        ticks, quote = next(self._shape(side, int(price / self._tick)))
        tick = float(self._tick)
        steps = int(quote * self._scale[side] / (max(1, ticks) * tick) / float(self._step))
        return [BookLevel(ticks * self._tick, steps * self._step)] if ticks > 0 and steps else []

    def _shape(self, side: Side, middle: int) -> Iterator[tuple[int, float]]:
        # Price in ticks and size in quote of each level, best first.
        away = -side.sign
        best = middle + away * max(1, int(middle * self._half_spread))
        spacing = _round_number(max(1, int(middle * _SPACING_SHARE)))
        near = max(0, int(middle * _NEAR_SHARE) - 1) // spacing
        share = _NEAR_QUOTE / near if near else 0.0
        yield best, (_TOUCH_QUOTE if near else _TOUCH_QUOTE + _NEAR_QUOTE) * self._jitter(best)
        last = best
        for _ in range(near):
            last = _next_multiple(last, spacing, away)
            yield last, share * self._jitter(last)
        for _ in range(_FAR_LEVELS):
            last = _next_multiple(last, 10 * spacing, away)
            yield last, _FAR_LEVEL_QUOTE * self._jitter(last)

    def _jitter(self, ticks: int) -> float:
        mixed = (ticks * 2_654_435_761 + self._salt) & 0xFFFFFFFF
        mixed ^= mixed >> 15
        return 1 + (mixed * 2_246_822_519 >> 8 & _JITTER_BITS) / _JITTER_BITS / 2


def hash_of(text: str) -> int:
    """Return a number that depends on the text alone, unlike the built-in hash."""
    value = 2_166_136_261
    for byte in text.encode():
        value = (value ^ byte) * 16_777_619 & 0xFFFFFFFF
    return value


def _next_multiple(ticks: int, spacing: int, away: int) -> int:
    if away > 0:
        return (ticks // spacing + 1) * spacing
    return ((ticks - 1) // spacing) * spacing


def _round_number(value: int) -> int:
    magnitude = int(10 ** (len(str(value)) - 1))
    return next(factor * magnitude for factor in (5, 2, 1) if factor * magnitude <= value)
