"""Alerts: each crossing and each further rise once, no flapping, and no crash that is swallowed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.errors import Refused
from trading.domain.time import Timeframe
from trading.domain.watching import AlertKind, ScoreAlert, ScoreKind, Watched
from trading.scanner.alerting import AlertRule, Remembered, judge, move_of
from trading.scanner.scores import RankScore, Standing, Thresholds, TimeframeScore

pytestmark = pytest.mark.uncounted

MINUTE_MS = 60_000
RULE = AlertRule()
HOUR = Timeframe("1h")
WEEK = TimeframeScore(Timeframe("1w"), Standing.TOO_YOUNG, 12)
CROSSED, ROSE, FURTHER = AlertKind.CROSSED, AlertKind.ROSE, AlertKind.FURTHER


def candle(change: float, bear_points: int = 6, bull_points: int = 0) -> TimeframeScore:
    return TimeframeScore(
        HOUR,
        Standing.SCORED,
        500,
        change=change,
        bear_points=bear_points,
        bull_points=bull_points,
    )


def score(
    minute: int,
    bear: float | None,
    bull: float | None = 0.0,
    price: float = 1.25,
    change: float = -1.0,
) -> RankScore:
    candles = (candle(change), WEEK)
    return RankScore("ADA/USDT", minute * MINUTE_MS, price, bull, bear, 0.0, candles)


def told(
    bears: Sequence[float | None], rule: AlertRule = RULE
) -> list[tuple[int, AlertKind, float]]:
    """Minute, reason and score of every alert while the bear score goes this way."""
    return [(minute, one.reason, one.score) for minute, one in alerts_of(bears, rule=rule)]


def alerts_of(
    bears: Sequence[float | None], prices: Sequence[float] = (), rule: AlertRule = RULE
) -> list[tuple[int, ScoreAlert]]:
    """Minute and alert while bear score and price go this way, from a price of 100 on."""
    remembered: Remembered = {}
    found: list[tuple[int, ScoreAlert]] = []
    for minute, bear in enumerate(bears):
        price = prices[minute] if prices else 100.0
        now = score(minute, bear, price=price, change=price - 100)
        remembered, alerts = judge(now, rule, remembered)
        found += [(minute, one) for one in alerts]
    return found


def test_a_score_is_told_as_it_crosses_and_on_each_further_rise() -> None:
    assert told([0.4, 0.5, 0.6, 0.6, 0.8, 1.0]) == [
        (1, CROSSED, 0.5),
        (2, ROSE, 0.6),
        (4, ROSE, 0.8),
        (5, ROSE, 1.0),
    ]


def test_a_score_that_stays_above_is_not_told_each_minute() -> None:
    # The ancestor forgot what it had told, and told it again every minute.
    assert len(told([0.7] * 500)) == 1


def test_a_fall_and_return_within_the_band_is_no_new_crossing() -> None:
    assert told([0.5, 0.45, 0.5, 0.41, 0.5]) == [(0, CROSSED, 0.5)]
    assert told([0.8, 0.5, 0.7, 0.8]) == [(0, CROSSED, 0.8)], "nor a further rise"


def test_below_the_band_a_crossing_is_new_once_it_has_cooled_off() -> None:
    quick = [0.5, 0.3, *[0.3] * 12, 0.5, 0.5]
    # Crossed again in minute 14 and still above in minute 15, when 15 minutes have passed.
    assert told(quick) == [(0, CROSSED, 0.5), (15, CROSSED, 0.5)]
    assert told(quick[:-1]) == [(0, CROSSED, 0.5)]


def test_a_crossing_that_did_not_outlast_the_cool_off_is_not_told_late() -> None:
    assert told([0.5, 0.3, 0.5, *[0.45] * 20]) == [(0, CROSSED, 0.5)]
    assert told([0.5, 0.3, 0.5, 0.3, *[0.3] * 20]) == [(0, CROSSED, 0.5)]


def test_what_is_higher_than_the_score_told_last_breaks_the_cool_off() -> None:
    assert told([0.5, 0.2, 0.9, 0.2, 0.9]) == [(0, CROSSED, 0.5), (2, ROSE, 0.9)]
    rule = AlertRule(rise_min=0.2)
    assert told([0.5, 0.2, 0.6, 0.7], rule) == [(0, CROSSED, 0.5), (3, ROSE, 0.7)]


def test_a_further_rise_does_not_wait_for_the_cool_off() -> None:
    rule = AlertRule(cool_off_ms=10**9)
    assert [minute for minute, _, _ in told([0.5, 0.6, 0.7], rule)] == [0, 1, 2]


def test_a_rise_smaller_than_asked_for_is_not_told_but_adds_up() -> None:
    rule = AlertRule(rise_min=0.1)
    assert [at for _, _, at in told([0.5, 0.55, 0.6, 0.65, 0.7], rule)] == [0.5, 0.6, 0.7]


# ---------------------------------------------------------------- a full score cannot rise


def test_a_crash_after_a_dip_that_had_the_full_score_is_told_at_once() -> None:
    # Bear 100 for 0.8 %, back to nothing, and three minutes later the real one.
    scores = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    prices = [99.2, 100.0, 100.0, 70.0, 69.0, 58.0, 52.0]
    found = alerts_of(scores, prices)
    assert [(minute, one.reason) for minute, one in found] == [
        (0, CROSSED),
        (3, FURTHER),
        (5, FURTHER),
    ]
    crash = found[1][1]
    assert (crash.before, crash.before_price) == (1.0, 99.2)
    assert crash.move == pytest.approx(-30)


def test_a_full_score_is_told_again_as_the_price_goes_on_by_half_of_what_was_told() -> None:
    # A crash of a third, then of a half: from 2,800 to 2,000 to 1,500.
    assert [minute for minute, _ in alerts_of([0.7, 1.0, 1.0, 1.0], [96, 71.4, 70, 53.6])] == [
        *(0, 1, 3)
    ]
    assert [minute for minute, _ in alerts_of([1.0] * 3, [90.0, 86.0, 85.4])] == [0, 2]


def test_what_hardly_moves_is_not_told_again_for_half_of_nothing() -> None:
    assert len(alerts_of([1.0] * 4, [99.9, 99.8, 99.6, 99.0])) == 1


def test_a_price_that_comes_back_is_no_further_fall() -> None:
    assert len(alerts_of([1.0] * 4, [80.0, 95.0, 81.0, 130.0])) == 1


def test_a_rise_goes_further_upwards() -> None:
    remembered, [first] = judge(score(1, 0.0, 1.0, price=110.0), RULE, {})
    remembered, down = judge(score(2, 0.0, 1.0, price=100.0), RULE, remembered)
    _, [up] = judge(score(3, 0.0, 1.0, price=111.2), RULE, remembered)
    assert (first.reason, down, up.reason) == (CROSSED, (), FURTHER)


def test_the_move_that_is_told_is_that_of_the_candle_that_went_furthest_its_way() -> None:
    candles = (candle(-3.0), candle(-8.0), candle(-20.0, bear_points=0), candle(4.0, 0, 3), WEEK)
    scores = RankScore("ADA/USDT", 0, 1.0, 0.5, 0.5, 0.0, candles)
    assert move_of(scores, ScoreKind.BEAR) == -8.0
    assert move_of(scores, ScoreKind.BULL) == 4.0
    assert move_of(RankScore("ADA/USDT", 0, 1.0, 0.5, 0.5, 0.0, (WEEK,)), ScoreKind.BULL) is None


# ---------------------------------------------------------------- thresholds that change


def judged_by(*steps: tuple[float, float]) -> list[tuple[int, AlertKind]]:
    """Minute and reason of each alert while threshold and bear score are these."""
    remembered: Remembered = {}
    found = []
    for minute, (threshold, bear) in enumerate(steps):
        rule = AlertRule(Thresholds(bear=threshold))
        remembered, alerts = judge(score(minute, bear), rule, remembered)
        found += [(minute, one.reason) for one in alerts]
    return found


def test_a_change_of_threshold_starts_no_wait() -> None:
    assert judged_by((0.5, 0.71), (1.0, 0.71), (0.5, 0.71)) == [(0, CROSSED), (2, CROSSED)]
    assert judged_by((0.5, 0.71), (1.0, 0.71), (1.0, 1.0)) == [(0, CROSSED), (2, CROSSED)]
    assert judged_by((0.7, 0.6), (0.5, 0.6)) == [(1, CROSSED)]


def test_a_threshold_that_the_score_still_reaches_tells_nothing_twice() -> None:
    assert judged_by((0.5, 0.71), (0.6, 0.71), (0.7, 0.71), (0.3, 0.71)) == [(0, CROSSED)]


def test_a_score_that_fell_itself_waits_under_any_threshold() -> None:
    assert judged_by((0.5, 0.71), (0.5, 0.2), (0.6, 0.2), (0.6, 0.71)) == [(0, CROSSED)]


# ---------------------------------------------------------------- values


def test_an_unknown_score_changes_nothing() -> None:
    assert told([0.6, None, 0.6, None, 0.7]) == [
        (0, CROSSED, 0.6),
        (4, ROSE, 0.7),
    ]
    assert told([None] * 5) == []


def test_an_alert_tells_the_score_itself_and_what_it_rose_from() -> None:
    remembered, [crossed] = judge(score(1, 0.6), RULE, {})
    _, [rose] = judge(score(2, 0.9), RULE, remembered)
    assert crossed == ScoreAlert(
        *("ADA/USDT", ScoreKind.BEAR, CROSSED, 60_000, 1.25, 0.6, 0.5, None),
        too_young=(Timeframe("1w"),),
        move=-1.0,
    )
    assert (rose.score, rose.before, rose.threshold, rose.before_price) == (0.9, 0.6, 0.5, 1.25)


def test_both_scores_of_a_symbol_have_thresholds_and_memories_of_their_own() -> None:
    rule = AlertRule(Thresholds(bull=0.8, bear=0.3))
    remembered, alerts = judge(score(1, bear=0.5, bull=0.7), rule, {})
    assert [one.kind for one in alerts] == [ScoreKind.BEAR]
    remembered, alerts = judge(score(2, bear=0.5, bull=0.8), rule, remembered)
    assert [(one.kind, one.threshold) for one in alerts] == [(ScoreKind.BULL, 0.8)]
    assert remembered["ADA/USDT", ScoreKind.BEAR] == Watched(True, 0.5, 60_000, 1.25, -1.0, 0.3)


def test_a_score_that_fell_and_has_cooled_off_is_forgotten() -> None:
    remembered, _ = judge(score(0, 0.6), RULE, {})
    remembered, _ = judge(score(1, 0.1), RULE, remembered)
    assert remembered["ADA/USDT", ScoreKind.BEAR].told == 0.6
    remembered, _ = judge(score(15, 0.1), RULE, remembered)
    assert remembered["ADA/USDT", ScoreKind.BEAR] == Watched()


def test_what_an_older_version_remembered_is_told_on_from_there() -> None:
    old = {("ADA/USDT", ScoreKind.BEAR): Watched(True, 0.6, 0)}
    assert judge(score(2, 0.6, price=0.1), RULE, old)[1] == ()
    assert [one.reason for one in judge(score(2, 0.7), RULE, old)[1]] == [ROSE]
    owed = {("ADA/USDT", ScoreKind.BEAR): Watched(True, None, 0)}
    assert [one.reason for one in judge(score(2, 0.6), RULE, owed)[1]] == [CROSSED]


# ---------------------------------------------------------------- whatever comes

POINTS = st.none() | st.integers(0, 30).map(lambda points: points / 30)
STEPS = st.lists(st.tuples(POINTS, st.integers(40, 160)), max_size=60)
RULES = st.builds(
    lambda hysteresis, rise_min, share, minutes: AlertRule(
        Thresholds(), hysteresis, rise_min, share, 0.01, minutes * MINUTE_MS
    ),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.integers(0, 20),
)


@given(steps=STEPS, rule=RULES)
def test_whatever_beats_what_was_told_last_is_told_at_once(
    steps: list[tuple[float | None, int]], rule: AlertRule
) -> None:
    bears, prices = [bear for bear, _ in steps], [float(price) for _, price in steps]
    found = dict(alerts_of(bears, prices, rule))
    last: ScoreAlert | None = None
    for minute, bear in enumerate(bears):
        now = found.get(minute)
        if bear is not None and bear >= 0.5:
            assert now is not None or last is not None, "the first crossing never waits"
            if now is None and last is not None:
                assert bear <= last.score or bear - last.score < rule.rise_min
                fallen = 1 - prices[minute] / last.price
                most = max(rule.further_share * abs(last.move or 0.0) / 100, rule.further_min)
                assert fallen < most
        last = now or last


@given(steps=STEPS, rule=RULES)
def test_what_beats_nothing_is_told_once_in_a_crossing_and_not_before_it_has_cooled_off(
    steps: list[tuple[float | None, int]], rule: AlertRule
) -> None:
    bears, prices = [bear for bear, _ in steps], [float(price) for _, price in steps]
    last: tuple[int, ScoreAlert] | None = None
    for minute, one in alerts_of(bears, prices, rule):
        assert one.score >= 0.5
        if last is None:
            assert one.reason is CROSSED
        elif one.reason is CROSSED:
            assert minute - last[0] >= rule.cool_off_ms // MINUTE_MS
            between = [bear for bear in bears[last[0] : minute] if bear is not None]
            assert min(between) < 0.5 - rule.hysteresis
        elif one.reason is ROSE:
            assert one.score > last[1].score
            assert one.score - last[1].score >= rule.rise_min - 1e-9
        else:
            assert one.price < last[1].price
        last = minute, one


@given(
    falls=st.lists(st.integers(1, 1000).map(lambda parts: parts / 1000), min_size=1, max_size=60)
)
def test_a_crash_of_any_shape_is_told_in_a_few_steps_and_never_more_than_half_of_it_late(
    falls: list[float],
) -> None:
    prices = sorted((100 * part for part in falls), reverse=True)
    found = alerts_of([1.0] * len(prices), prices)
    last = found[-1][1]
    assert prices[-1] > last.price * (1 - max(0.5 * abs(last.move or 0.0) / 100, 0.01))
    # Each step is half as far again as the last, from 1 % on, until half is left at each.
    assert len(found) <= 12 + 10


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
    [
        {"hysteresis": -0.1},
        {"rise_min": -1.0},
        {"further_share": -0.5},
        {"further_min": float("nan")},
        {"cool_off_ms": -1},
        {"hysteresis": float("nan")},
    ],
)
def test_a_rule_below_zero_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused, match="should be >= 0"):
        AlertRule(**wrong)  # type: ignore[arg-type]


def test_while_both_scores_are_at_their_thresholds_an_alert_asks_for_nothing() -> None:
    _, alerts = judge(score(1, bear=0.6, bull=0.7), RULE, {})
    assert [(one.kind, one.against) for one in alerts] == [
        (ScoreKind.BULL, 0.6),
        (ScoreKind.BEAR, 0.7),
    ]
    _, [alone] = judge(score(1, bear=0.6, bull=0.4), RULE, {})
    assert not alone.is_undecided
