"""Pieces of a series become the whole, in any order; where they disagree nothing is overwritten."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trading.candles.make import bend, walk, without_optional
from trading.candles.merging import agreement, merge
from trading.candles.series import no_candles


@given(
    st.lists(st.sets(st.integers(0, 29)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_pieces_make_the_same_whole_in_any_order(pieces: list[set[int]], chance: Any) -> None:
    whole = walk(30)
    held = no_candles()
    chance.shuffle(pieces)
    for piece in pieces:
        merged = merge(held, whole.take(np.array(sorted(piece), np.intp)))
        assert merged.added == len(merged.candles) - len(held)
        assert len(merged.disagreeing) == 0
        held = merged.candles
    assert held.equals(whole.take(np.array(sorted(set().union(*pieces)), np.intp)))


def test_an_answer_that_disagrees_is_handed_back_and_what_was_held_stays() -> None:
    whole = walk(12)
    told = bend(whole, 4, close=whole.close[4] * (1 + 1e-6))
    merged = merge(whole.take(slice(0, 10)), told)
    assert merged.candles.equals(whole)
    assert merged.disagreeing.equals(told.take(slice(4, 5)))
    assert (merged.added, merged.completed) == (2, 0)


def test_numbers_that_went_through_text_agree_in_all_but_their_last_digits() -> None:
    held = walk(10)
    told = held.replace(close=held.close * (1 + 1e-12))
    merged = merge(held, told)
    assert merged.candles.equals(held)
    assert len(merged.disagreeing) == 0


def test_a_volume_of_nothing_agrees_with_nothing_else() -> None:
    held = bend(walk(3), 1, volume=0.0, quote_volume=0.0, taker_buy_volume=0.0)
    told = bend(held, 1, volume=1e-12)
    assert agreement(held, told).tolist() == [True, False, True]


def test_what_one_exchange_answer_lacks_another_completes() -> None:
    whole = walk(10)
    merged = merge(without_optional(whole), whole.take(slice(2, 5)))
    assert merged.completed == 3
    assert merged.candles.take(slice(2, 5)).equals(whole.take(slice(2, 5)))
    assert np.isnan(merged.candles.trades[[0, 1, 5]]).all()
    back = merge(merged.candles, without_optional(whole))
    assert back.candles.equals(merged.candles)
    assert (back.completed, len(back.disagreeing)) == (0, 0)
    contradicted = merge(whole, bend(whole, 3, trades=whole.trades[3] + 1))
    assert len(contradicted.disagreeing) == 1
