"""Candles of one symbol meet those of its other lengths: what both end with is one price."""

from contextlib import suppress

import numpy as np

from storage.archive.archive import Archive
from storage.archive.layout import months_in
from storage.archive.partition import PartitionDamaged
from trading.candles.checking import far_from
from trading.candles.series import Candles, SeriesName, join, no_candles
from trading.candles.spans import Span

# Of minutes alone these are half a million candles; a wrong file is wrong in any of them.
_MONTHS_MAX = 12
# At other times prices may be far away; but no market has ever moved so far.
_BEYOND_FACTOR = 1e8


def contradicting(archive: Archive, name: SeriesName, candles: Candles) -> SeriesName | None:
    """Return a series of the same symbol whose prices at the same times are far away, if any.

    The longest candles that end together with some of these decide; where none do, prices must only
    not be beyond all that markets do. Damaged months say nothing.
    """
    if not len(candles):
        return None
    times = candles.open_time_ms
    span = Span(int(times[0]), int(times[-1]))
    others = [one for one in archive.series() if _is_other_length(one, name)]
    for other in sorted(others, key=lambda one: one.length_ms, reverse=True):
        held = _held(archive, other, span)
        is_far = far_from(candles, name.length_ms, held, other.length_ms)
        if is_far is not None:
            return other if is_far else None
    beyond = (_is_beyond(archive, other, span, candles) for other in (name, *others))
    return next(
        (other for other, is_so in zip((name, *others), beyond, strict=True) if is_so), None
    )


def _is_beyond(archive: Archive, name: SeriesName, span: Span, candles: Candles) -> bool:
    """Whether these are, in the month held next to them, where no price ever comes from."""
    months = archive.months(name)
    if not months:
        return False
    near = min(months, key=lambda month: abs(month.start_ms - span.first_ms))
    with suppress(PartitionDamaged):
        held = archive.read(name, near).candles
        if len(held):
            away = np.log(np.median(candles.close)) - np.log(np.median(held.close))
            return bool(abs(away) > np.log(_BEYOND_FACTOR))
    return False


def _is_other_length(one: SeriesName, name: SeriesName) -> bool:
    is_same_symbol = (one.exchange, one.symbol) == (name.exchange, name.symbol)
    return is_same_symbol and one.timeframe != name.timeframe


def _held(archive: Archive, name: SeriesName, span: Span) -> Candles:
    touched = set(months_in(span))
    months = [month for month in archive.months(name) if month in touched]
    # Spread over the time: somebody may have begun with the right ones.
    places = np.unique(np.linspace(0, len(months) - 1, min(len(months), _MONTHS_MAX)).astype(int))
    parts = [no_candles()]
    for place in places.tolist() if months else ():
        with suppress(PartitionDamaged):
            parts.append(archive.read(name, months[place]).candles)
    return join(*parts)
