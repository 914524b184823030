"""Nothing is asked for twice, and no answer claims more than it tells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.candles.paging import claim, unclaimed
from trading.candles.spans import Span, unite

_LENGTH = 10


def _span(first: int, last: int) -> Span:
    return Span(first * _LENGTH, last * _LENGTH)


@given(
    st.lists(st.tuples(st.integers(-5, 30), st.integers(0, 9)), max_size=5),
    st.integers(0, 10),
    st.integers(0, 20),
)
def test_what_is_claimed_and_what_is_left_make_the_whole(
    pairs: list[tuple[int, int]], first: int, count: int
) -> None:
    claimed = [_span(start, start + more) for start, more in pairs]
    wanted = _span(first, first + count)
    left = unclaimed(wanted, claimed, _LENGTH)
    opens = {
        open_ms for span in left for open_ms in range(span.first_ms, span.last_ms + 1, _LENGTH)
    }
    held = {
        open_ms for span in claimed for open_ms in range(span.first_ms, span.last_ms + 1, _LENGTH)
    }
    assert opens == set(range(wanted.first_ms, wanted.last_ms + 1, _LENGTH)) - held
    assert unite(left, _LENGTH) == left


@pytest.mark.parametrize(
    ("opens", "expected"),
    [
        ([5, 6, 7], _span(5, 7)),
        ([7], _span(5, 7)),
        ([3, 4, 5], _span(5, 5)),
        ([9, 8, 30], _span(5, 9)),
        ([30], _span(5, 9)),
        ([3, 4], None),
        ([], None),
    ],
)
def test_an_answer_claims_up_to_its_last_candle(opens: list[int], expected: Span | None) -> None:
    assert claim(_span(5, 9), np.array(opens, np.int64) * _LENGTH) == expected
