"""What a person may wish of the scanner, and what is refused with an example."""

import pytest

from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.domain.watching import AlertType, Interest, Loudness, Wishes, checked

HOUR = Timeframe("1h")


@pytest.mark.parametrize("threshold", [1, 50, 100, None])
def test_a_threshold_is_a_score_or_chosen_by_the_past(threshold: int | None) -> None:
    wishes = Wishes((Interest("ADA/USDT", (HOUR,), threshold),))

    assert checked(wishes) is wishes


@pytest.mark.parametrize("threshold", [0, 101, -5])
def test_a_threshold_that_no_score_can_mean_is_refused(threshold: int) -> None:
    with pytest.raises(Refused, match="between 1 and 100"):
        checked(Wishes((Interest("ADA/USDT", (HOUR,), threshold),)))


def test_watching_without_a_timeframe_is_refused() -> None:
    with pytest.raises(Refused, match="timeframe"):
        checked(Wishes((Interest("ADA/USDT", ()),)))


def test_reports_more_often_than_each_quarter_of_an_hour_are_refused() -> None:
    with pytest.raises(Refused, match="15 minutes"):
        checked(Wishes(report_every_min=5))


@pytest.mark.parametrize("sounds", [-1, 61])
def test_a_budget_of_sounds_out_of_bounds_is_refused(sounds: int) -> None:
    with pytest.raises(Refused, match="between 0 and 60"):
        checked(Wishes(audible_per_hour=sounds))


def test_what_nobody_turned_down_is_on() -> None:
    wishes = Wishes(loudness=((AlertType.RISES, Loudness.OFF),))

    assert wishes.loud(AlertType.RISES) is Loudness.OFF
    assert wishes.loud(AlertType.CRASHES) is Loudness.ON


def test_an_interest_is_found_by_its_symbol() -> None:
    interest = Interest("ADA/USDT", (HOUR,))

    assert Wishes((interest,)).interest("ADA/USDT") == interest
    assert Wishes((interest,)).interest("BTC/USDT") is None
