"""Which candles are still to be asked for, and what an answer lets us claim."""

from collections.abc import Iterable

from trading.candles.series import Times
from trading.candles.spans import Span, clip, unite
from trading.domain.time import following_ms, preceding_ms


def unclaimed(wanted: Span, claimed: Iterable[Span], length_ms: int) -> tuple[Span, ...]:
    """Return what of a span nobody has asked for yet, in order; all ends are on the grid."""
    left: list[Span] = []
    first_ms = wanted.first_ms
    for span in unite(clip(claimed, wanted), length_ms):
        if span.first_ms > first_ms:
            left.append(Span(first_ms, preceding_ms(span.first_ms, length_ms)))
        first_ms = following_ms(span.last_ms, length_ms)
    if first_ms <= wanted.last_ms:
        left.append(Span(first_ms, wanted.last_ms))
    return tuple(left)


def claim(asked: Span, opens_ms: Times) -> Span | None:
    """Return what an answer tells of the stretch that begins where it was asked to begin.

    Up to the last candle told: what lacks before it does not exist there. A candle beyond the
    stretch tells all of it. Nothing told claims nothing, for the exchange may only be silent.
    """
    told = opens_ms[opens_ms >= asked.first_ms]
    if not len(told):
        return None
    return Span(asked.first_ms, min(int(told.max()), asked.last_ms))
