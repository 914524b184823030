"""Which candles a series claims to know, and which of those are missing: recorded, never made up.

A span is claimed by whoever asked a source for everything in it. What lies between two spans was
never asked for and is no gap; a hole inside one is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trading.candles.grid import are_apart
from trading.candles.series import Times
from trading.domain.time import candles_between, following_ms, preceding_ms


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From the first to the last open time, both included."""

    first_ms: int
    last_ms: int

    def count(self, length_ms: int) -> int:
        """How many candles of a length open in it."""
        return candles_between(self.first_ms, self.last_ms, length_ms) + 1


def unite(spans: Iterable[Span], length_ms: int) -> tuple[Span, ...]:
    """Return the same claims in order, those that touch or overlap as one."""
    united: list[Span] = []
    for span in sorted(spans):
        if united and span.first_ms <= following_ms(united[-1].last_ms, length_ms):
            last_ms = max(united[-1].last_ms, span.last_ms)
            united[-1] = Span(united[-1].first_ms, last_ms)
        else:
            united.append(span)
    return tuple(united)


def clip(spans: Iterable[Span], within: Span) -> tuple[Span, ...]:
    """Return what of the claims lies within a span whose ends are on the grid."""
    parts = (
        Span(max(span.first_ms, within.first_ms), min(span.last_ms, within.last_ms))
        for span in spans
    )
    return tuple(part for part in parts if part.first_ms <= part.last_ms)


def gaps(opens_ms: Times, spans: Sequence[Span], length_ms: int) -> tuple[Span, ...]:
    """Return the stretches of missing candles inside the spans; open times ascend, are unique."""
    found: list[Span] = []
    for span in unite(spans, length_ms):
        first, past = np.searchsorted(opens_ms, (span.first_ms, span.last_ms + 1))
        before_ms = preceding_ms(span.first_ms, length_ms)
        after_ms = following_ms(span.last_ms, length_ms)
        fence = np.concatenate(([before_ms], opens_ms[first:past], [after_ms]))
        holes = np.flatnonzero(are_apart(fence, length_ms))
        ends = zip(fence[holes].tolist(), fence[holes + 1].tolist(), strict=True)
        found += [
            Span(following_ms(first_ms, length_ms), preceding_ms(last_ms, length_ms))
            for first_ms, last_ms in ends
        ]
    return tuple(found)
