"""The tick buffer and its signature, worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market.buffer import TICKS_MAX, Signature, TickBuffer


def _signature(*prices: float) -> Signature:
    buffer = TickBuffer()
    for number, price in enumerate(prices):
        buffer.push(price, float(number))
    signature = buffer.signature()
    assert signature is not None
    return signature


def test_fewer_than_two_ticks_have_no_signature() -> None:
    buffer = TickBuffer()
    assert buffer.signature() is None
    buffer.push(1.0, 0.0)
    assert buffer.signature() is None


def test_realised_volatility_is_the_root_of_the_summed_squares_of_log_returns() -> None:
    assert _signature(100, 110, 100).volatility == pytest.approx(math.sqrt(2) * math.log(1.1))


def test_span_imbalance_and_steps_are_those_of_the_window() -> None:
    signature = _signature(100, 101, 102, 101, 101)
    assert signature.span == pytest.approx(2 / 101)
    assert signature.imbalance == pytest.approx(1 / 3)
    assert (signature.ticks, signature.distinct) == (5, 3)
    # Three changes in four seconds.
    assert signature.steps_per_minute == pytest.approx(45)
    assert signature.mean_step == pytest.approx((1 / 100 + 1 / 101 + 1 / 102) / 3)


@pytest.mark.parametrize(
    ("prices", "run"), [((1, 2, 3, 3, 4), 3), ((5, 6, 5, 4), -2), ((1, 1, 1), 0), ((2, 1, 2), 1)]
)
def test_a_run_counts_moves_in_one_direction_at_the_end(
    prices: tuple[float, ...], run: int
) -> None:
    assert _signature(*prices).run == run


@pytest.mark.parametrize(
    ("prices", "reversal"),
    [
        ((100, 110, 105), -0.5),
        ((110, 100, 105), 0.5),
        ((100, 110), 0.0),
        ((100, 100), 0.0),
        ((100, 110, 100), 0.0),
    ],
)
def test_a_reversal_is_what_was_given_back_since_the_last_extreme(
    prices: tuple[float, ...], reversal: float
) -> None:
    assert _signature(*prices).reversal == pytest.approx(reversal)


@given(st.lists(st.floats(0.01, 1e6), max_size=700))
def test_the_ring_holds_the_newest_prices_in_order(prices: list[float]) -> None:
    buffer = TickBuffer()
    for number, price in enumerate(prices):
        buffer.push(price, float(number))
    assert buffer.prices().tolist() == prices[-TICKS_MAX:]
    assert len(buffer) == min(len(prices), TICKS_MAX)
