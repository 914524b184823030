"""Gaps are exactly what was asked for and is not there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading.candles.spans import Span, clip, gaps, unite

_LENGTH = 10
_SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(
        lambda pair: Span(pair[0] * _LENGTH, (pair[0] + pair[1]) * _LENGTH)
    ),
    max_size=5,
)


def _opens(spans: tuple[Span, ...] | list[Span]) -> set[int]:
    return {
        open_ms for span in spans for open_ms in range(span.first_ms, span.last_ms + 1, _LENGTH)
    }


@given(_SPANS, st.sets(st.integers(0, 45)))
def test_gaps_hold_what_was_asked_for_and_is_not_held(spans: list[Span], held: set[int]) -> None:
    opens_ms = np.array(sorted(held), np.int64) * _LENGTH
    found = gaps(opens_ms, spans, _LENGTH)
    assert _opens(found) == _opens(spans) - set(opens_ms.tolist())
    assert sum(gap.count(_LENGTH) for gap in found) == len(_opens(found))
    # Each hole is one gap: no two of them touch.
    assert unite(found, _LENGTH) == found


@given(_SPANS, _SPANS)
def test_united_spans_claim_the_same_and_nothing_twice(some: list[Span], more: list[Span]) -> None:
    united = unite((*some, *more), _LENGTH)
    assert _opens(united) == _opens(some) | _opens(more)
    assert sum(span.count(_LENGTH) for span in united) == len(_opens(united))
    assert unite(united, _LENGTH) == united


@given(_SPANS, st.integers(0, 30), st.integers(0, 8))
def test_a_clipped_span_claims_only_what_lies_within(
    spans: list[Span], first: int, count: int
) -> None:
    within = Span(first * _LENGTH, (first + count) * _LENGTH)
    assert _opens(clip(spans, within)) == _opens(spans) & _opens([within])
