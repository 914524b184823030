"""Labels beside an axis: how a price is written, and places that keep their distance."""

from collections.abc import Sequence
from decimal import Decimal
from math import ceil, floor, log10

_PRICES_MAX = 7
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)
# Width of a bold letter as a share of its size; those of a number that are not digits are narrow.
_DIGIT_WIDTH, _POINT_WIDTH = 0.70, 0.40


def places_of(tick: Decimal) -> int:
    """Return how many decimals a price has that is a multiple of a tick."""
    return max(-int(tick.normalize().as_tuple().exponent), 0)


def format_price(value: float, places: int) -> str:
    """A price for a label: grouped, with the places of its tick."""
    return f"{value:,.{places}f}"


def width_of(text: str, size: float) -> float:
    """Return how wide a written number is, in the unit of its size."""
    narrow = sum(text.count(letter) for letter in ".,")
    return size * ((len(text) - narrow) * _DIGIT_WIDTH + narrow * _POINT_WIDTH)


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
    """Move label places (0 bottom … 1 top) apart until neighbours keep the gap."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [min(max(wanted[index], gap / 2), 1 - gap / 2) for index in order]
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    if placed and placed[-1] > 1 - gap / 2:
        placed[-1] = 1 - gap / 2
        for index in range(len(placed) - 2, -1, -1):
            placed[index] = min(placed[index], placed[index + 1] - gap)
    result = [0.0] * len(wanted)
    for index, place in zip(order, placed, strict=True):
        result[index] = place
    return result
