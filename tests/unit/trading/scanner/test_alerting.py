"""Alerts: each crossing and each further rise once, and no flapping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.domain.watching import AlertKind, ScoreAlert, ScoreKind, Watched
from trading.scanner.alerting import AlertRule, Remembered, judge
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore

MINUTE_MS = 60_000
RULE = AlertRule()
WEEK = TimeframeScore(Timeframe("1w"), Standing.TOO_YOUNG, 12)


def score(minute: int, bear: float | None, bull: float | None = 0.0) -> RankScore:
    return RankScore("ADA/USDT", minute * MINUTE_MS, 1.25, bull, bear, 0.0, (WEEK,))


def told(bears: list[float | None], rule: AlertRule = RULE) -> list[tuple[int, AlertKind, float]]:
    """Minute, reason and score of every alert while the bear score goes this way."""
    remembered: Remembered = {}
    found: list[tuple[int, AlertKind, float]] = []
    for minute, bear in enumerate(bears):
        remembered, alerts = judge(score(minute, bear), rule, remembered)
        found += [(minute, one.reason, one.score) for one in alerts]
    return found


def test_a_score_is_told_as_it_crosses_and_on_each_further_rise() -> None:
    assert told([0.4, 0.5, 0.6, 0.6, 0.8, 1.0]) == [
        (1, AlertKind.CROSSED, 0.5),
        (2, AlertKind.ROSE, 0.6),
        (4, AlertKind.ROSE, 0.8),
        (5, AlertKind.ROSE, 1.0),
    ]


def test_a_score_that_stays_above_is_not_told_each_minute() -> None:
    # The ancestor forgot what it had told, and told it again every minute.
    assert len(told([0.7] * 500)) == 1


def test_a_fall_and_return_within_the_band_is_no_new_crossing() -> None:
    assert told([0.5, 0.45, 0.5, 0.41, 0.5]) == [(0, AlertKind.CROSSED, 0.5)]
    assert told([0.8, 0.5, 0.7, 0.8]) == [(0, AlertKind.CROSSED, 0.8)], "nor a further rise"


def test_below_the_band_a_crossing_is_new_once_it_has_cooled_off() -> None:
    quick = [0.5, 0.3, *[0.3] * 12, 0.5, 0.5]
    # Crossed again in minute 14 and still above in minute 15, when 15 minutes have passed.
    assert told(quick) == [(0, AlertKind.CROSSED, 0.5), (15, AlertKind.CROSSED, 0.5)]
    assert told(quick[:-1]) == [(0, AlertKind.CROSSED, 0.5)]


def test_a_crossing_that_did_not_outlast_the_cool_off_is_not_told_late() -> None:
    assert told([0.5, 0.3, 0.5, *[0.45] * 20]) == [(0, AlertKind.CROSSED, 0.5)]
    assert told([0.5, 0.3, 0.5, 0.3, *[0.3] * 20]) == [(0, AlertKind.CROSSED, 0.5)]


def test_a_further_rise_does_not_wait_for_the_cool_off() -> None:
    rule = AlertRule(cool_off_ms=10**9)
    assert [minute for minute, _, _ in told([0.5, 0.6, 0.7], rule)] == [0, 1, 2]


def test_a_rise_smaller_than_asked_for_is_not_told_but_adds_up() -> None:
    rule = AlertRule(rise_min=0.1)
    assert [at for _, _, at in told([0.5, 0.55, 0.6, 0.65, 0.7], rule)] == [0.5, 0.6, 0.7]


def test_an_unknown_score_changes_nothing() -> None:
    assert told([0.6, None, 0.6, None, 0.7]) == [
        (0, AlertKind.CROSSED, 0.6),
        (4, AlertKind.ROSE, 0.7),
    ]
    assert told([None] * 5) == []


def test_an_alert_tells_the_score_itself_and_what_it_rose_from() -> None:
    remembered, [crossed] = judge(score(1, 0.6), RULE, {})
    _, [rose] = judge(score(2, 0.9), RULE, remembered)
    assert crossed == ScoreAlert(
        *("ADA/USDT", ScoreKind.BEAR, AlertKind.CROSSED, 60_000, 1.25, 0.6, 0.5, None),
        too_young=(Timeframe("1w"),),
    )
    assert (rose.score, rose.before, rose.threshold) == (0.9, 0.6, 0.5)


def test_both_scores_of_a_symbol_have_thresholds_and_memories_of_their_own() -> None:
    rule = AlertRule(Thresholds(bull=0.8, bear=0.3))
    remembered, alerts = judge(score(1, bear=0.5, bull=0.7), rule, {})
    assert [one.kind for one in alerts] == [ScoreKind.BEAR]
    remembered, alerts = judge(score(2, bear=0.5, bull=0.8), rule, remembered)
    assert [(one.kind, one.threshold) for one in alerts] == [(ScoreKind.BULL, 0.8)]
    assert remembered["ADA/USDT", ScoreKind.BEAR] == Watched(True, 0.5, 60_000)


def test_what_is_remembered_survives_a_restart_as_a_value() -> None:
    remembered, _ = judge(score(1, 0.6), RULE, {})
    again = {key: Watched(one.is_above, one.told, one.told_ms) for key, one in remembered.items()}
    assert judge(score(2, 0.6), RULE, again)[1] == ()


@given(
    bears=st.lists(st.none() | st.integers(0, 30).map(lambda points: points / 30), max_size=60),
    hysteresis=st.sampled_from([0.0, 0.1, 0.3]),
    cool_off_minutes=st.integers(0, 20),
    rise_min=st.sampled_from([0.0, 0.1]),
)
def test_alerts_are_never_below_the_threshold_and_never_repeat_what_was_told(
    bears: list[float | None], hysteresis: float, cool_off_minutes: int, rise_min: float
) -> None:
    rule = AlertRule(Thresholds(), hysteresis, rise_min, cool_off_minutes * MINUTE_MS)
    found = told(bears, rule)
    assert all(at >= 0.5 for _, _, at in found)
    last: tuple[int, float] | None = None
    for minute, reason, at in found:
        if last is None:
            assert reason is AlertKind.CROSSED
        elif reason is AlertKind.ROSE:
            assert at > last[1]
            assert at - last[1] >= rise_min - 1e-9
        else:
            assert minute - last[0] >= cool_off_minutes
            between = [bear for bear in bears[last[0] : minute] if bear is not None]
            assert min(between) < 0.5 - hysteresis
        last = minute, at


@given(bears=st.lists(st.integers(0, 30).map(lambda points: points / 30), max_size=60))
def test_without_a_cool_off_the_highest_score_of_every_stay_above_is_told(
    bears: list[float],
) -> None:
    rule = AlertRule(hysteresis=0.0, cool_off_ms=0)
    found = [minute for minute, _, _ in told(list(bears), rule)]
    highest, expected = 0.0, []
    for minute, bear in enumerate(bears):
        if bear > highest and bear >= 0.5:
            expected.append(minute)
        highest = max(highest, bear) if bear >= 0.5 else 0.0
    assert found == expected


@pytest.mark.parametrize(
    "wrong",
    [{"hysteresis": -0.1}, {"rise_min": -1.0}, {"cool_off_ms": -1}, {"hysteresis": float("nan")}],
)
def test_a_rule_below_zero_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused, match="should be >= 0"):
        AlertRule(**wrong)  # type: ignore[arg-type]
