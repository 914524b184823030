"""Labels beside an axis: how a price is written, and places that keep their distance."""

from collections.abc import Sequence
from decimal import Decimal
from math import ceil, floor, log10

_PRICES_MAX = 7
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)
# Width of a bold letter as a share of its size: most, and those that differ.
_LETTER_WIDTH = 0.70
_WIDTHS = {
    **dict.fromkeys(".,", 0.40),
    **dict.fromkeys(" fijlrt", 0.46),
    **dict.fromkeys("#mw▲▼", 0.90),
}


def places_of(tick: Decimal) -> int:
    """Return how many decimals a price has that is a multiple of a tick."""
    return max(-int(tick.normalize().as_tuple().exponent), 0)


def format_price(value: float, places: int) -> str:
    """A price for a label: grouped, with the places of its tick."""
    return f"{value:,.{places}f}"


def width_of(text: str, size: float) -> float:
    """Return how wide a written text is, in the unit of its size."""
    return size * sum(_WIDTHS.get(letter, _LETTER_WIDTH) for letter in text)


def price_ticks(bounds: tuple[float, float], places: int) -> list[tuple[float, str]]:
    """Return round prices within bounds, not too near their ends, and how each is written."""
    low, high = bounds
    edge = (high - low) * 0.03
    least = (high - low) / _PRICES_MAX
    size = 10.0 ** floor(log10(least))
    # Between two ticks of the instrument there is no price.
    step = max(next(size * part for part in _ROUND if size * part >= least), 10.0**-places)
    numbers = range(ceil((low + edge) / step), floor((high - edge) / step) + 1)
    written = {format_price(number * step, places): number * step for number in numbers}
    return [(round(value, places), text) for text, value in written.items()]


def spread_labels(wanted: Sequence[float], gap: float) -> list[float]:
    """Move label places (0 bottom … 1 top) apart until neighbours keep the gap.

    Those that would meet share what they are moved by, up and down; none passes another.
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    # How far each is from where it would be if all stood one gap apart: this may only rise.
    blocks: list[tuple[float, int]] = []
    for number, index in enumerate(order):
        block = (min(max(wanted[index], 0.0), 1.0) - number * gap, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, count = blocks.pop()
            whole = count + block[1]
            block = ((mean * count + block[0] * block[1]) / whole, whole)
        blocks.append(block)
    least, most = gap / 2, 1 - gap / 2 - (len(order) - 1) * gap
    shifts = [min(max(mean, least), most) for mean, count in blocks for _ in range(count)]
    result = [0.0] * len(wanted)
    for number, (index, shift) in enumerate(zip(order, shifts, strict=True)):
        result[index] = shift + number * gap
    return result
