"""Metrics: four figures of each candle, never rounded, never of nonsense."""

import numpy as np
import pytest

from trading.scanner.metrics import Metric, metrics, sought


def _one(open_: float, high: float, low: float, close: float) -> list[float]:
    made = metrics(*(np.array([price]) for price in (open_, high, low, close)))
    return [float(row[0]) for row in made]


def test_the_metrics_are_worked_out_in_percent() -> None:
    # 90 against 100; 110 against 80; 110 against 100; 80 against 100.
    assert _one(100, 110, 80, 90) == pytest.approx([-10, 37.5, 10, 20])


def test_up_and_down_are_never_negative_and_a_flat_candle_has_none() -> None:
    assert _one(100, 100, 100, 100) == [0, 0, 0, 0]


def test_tenths_of_a_percent_make_no_ties() -> None:
    first, second = _one(100, 101, 99, 100.04), _one(100, 101, 99, 100.01)
    assert first[Metric.CHANGE] > second[Metric.CHANGE]


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        _one(100, 110, 80, price)


@pytest.mark.parametrize(("high", "low"), [(104, 90), (110, 101)])
def test_a_candle_whose_ends_do_not_bound_it_is_refused(high: float, low: float) -> None:
    with pytest.raises(ValueError, match="bound"):
        _one(100, high, low, 105)


def test_the_present_change_is_looked_up_and_not_the_furthest_reach() -> None:
    made = metrics(*(np.array([price]) for price in (100.0, 130.0, 70.0, 95.0)))
    looked_up = sought(made)
    assert looked_up[Metric.UP, 0] == pytest.approx(-5)
    assert looked_up[Metric.DOWN, 0] == pytest.approx(5)
    assert made[Metric.DOWN, 0] == pytest.approx(30)


def test_a_fall_to_the_low_equals_the_reach_of_that_low() -> None:
    prices = np.linspace(50, 99.9, 500)
    opens = np.full(500, 100.0)
    made = metrics(opens, opens, prices, prices)
    assert (sought(made)[Metric.DOWN] == made[Metric.DOWN]).all()
