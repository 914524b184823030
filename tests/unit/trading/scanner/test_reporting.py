"""A report: the past replayed, what followed, the best thresholds; bounded, and mute when short."""

import numpy as np
import pytest

from tests.unit.trading.scanner.make import walk
from trading.candles.series import no_candles
from trading.domain.time import Timeframe
from trading.scanner.aftermath import after_crashes, after_rises, aftermath
from trading.scanner.replay import ReplaySettings, replay
from trading.scanner.reporting import days_needed, divides_all, longer_lengths, report_of

FIVE_MINUTES_MS, DAY_MS = 300_000, 86_400_000
SHORT = (Timeframe("15m"), Timeframe("1h"))
DAYS = 40
PAST = walk(DAYS * 288)


def test_a_report_says_what_followed_each_score() -> None:
    report = report_of("A/B", SHORT, PAST, FIVE_MINUTES_MS)
    assert report is not None
    assert (report.symbol, report.timeframes) == ("A/B", SHORT)
    assert (report.candles, report.length_ms) == (len(PAST), FIVE_MINUTES_MS)
    scores = replay(PAST, FIVE_MINUTES_MS, ReplaySettings(SHORT))
    after = aftermath(PAST, FIVE_MINUTES_MS)
    assert repr(report.after_crashes) == repr(after_crashes(scores.bear, after))
    assert repr(report.after_rises) == repr(after_rises(scores.bull, after))
    moments = int((~np.isnan(scores.bear)).sum())
    assert 0 < sum(each.moments[0] for each in report.after_crashes) <= moments
    assert report.best is not None
    assert report.best.out_of_sample.round_trips > 0


def test_a_long_past_is_put_together_to_fewer_candles() -> None:
    report = report_of("A/B", SHORT, PAST, FIVE_MINUTES_MS, candles_max=5_000)
    assert report is not None
    assert report.length_ms == 900_000
    assert report.candles == len(PAST) // 3


def test_candles_longer_than_the_shortest_timeframe_are_never_made() -> None:
    report = report_of("A/B", SHORT, PAST, FIVE_MINUTES_MS, candles_max=10)
    assert report is not None
    assert report.length_ms == 900_000


@pytest.mark.parametrize("days", [0, 1, 20])
def test_a_short_past_has_no_report(days: int) -> None:
    assert report_of("A/B", SHORT, PAST.take(slice(0, days * 288)), FIVE_MINUTES_MS) is None


def test_no_past_has_no_report() -> None:
    assert report_of("A/B", SHORT, no_candles(), FIVE_MINUTES_MS) is None


def test_lengths_that_no_timeframe_is_a_multiple_of_are_passed_by() -> None:
    assert divides_all(60_000, SHORT)
    assert not divides_all(1_800_000, SHORT)
    assert longer_lengths(60_000, SHORT) == [300_000, 900_000]
    assert longer_lengths(180_000, SHORT) == [900_000]


@pytest.mark.parametrize(
    ("names", "days"),
    [(("1m",), 21), (("1h", "1d"), 21), (("12h",), 24), (("1d", "3d"), 44), (("1M",), 1_251)],
)
def test_a_first_score_takes_three_weeks_or_forty_of_the_shortest_candles(
    names: tuple[str, ...], days: int
) -> None:
    assert days_needed([Timeframe(name) for name in names]) == days
