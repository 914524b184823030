"""What must be heard of a tracker that no price moved."""

from dataclasses import replace
from datetime import timedelta

from tests.builders import NOON, bitcoin
from tests.unit.trading.trackers.make import armed, d, line
from trading.domain.chat import Severity
from trading.domain.tracker import Tracker, TrackerKind, TrackerState
from trading.trackers import reminders

RULES = {"BTC/USDT": bitcoin()}


def _lines() -> Tracker:
    return armed(
        TrackerKind.LINES,
        60000,
        support=line(50000, 60000, 48),
        resistance=line(70000, 60000, 48),
        trail="0.02",
    )


def _due(tracker: Tracker, hours: float) -> list[tuple[str, Severity]]:
    now = NOON + timedelta(hours=hours)
    return [(alert.alert_id, alert.severity) for alert in reminders.due([tracker], now, RULES)]


def test_a_pause_is_reminded_of_within_the_hour_and_each_hour() -> None:
    paused = replace(armed(TrackerKind.TRAIL, 60000, trail="0.02"), is_paused=True, paused_at=NOON)
    assert _due(paused, 0.9) == []
    (first,) = _due(paused, 1)
    (same,) = _due(paused, 1.5)
    (second,) = _due(paused, 2)
    assert first == same != second


def test_lines_that_will_meet_are_told_a_day_before_and_as_grave_when_they_have_met() -> None:
    assert _due(_lines(), 23) == []
    assert [severity for _, severity in _due(_lines(), 25)] == [Severity.WARN]
    assert [severity for _, severity in _due(_lines(), 48)] == [Severity.CRIT]


def test_trackers_without_lines_or_pause_are_silent() -> None:
    assert _due(armed(TrackerKind.TRAIL, 60000, trail="0.02"), 99) == []
    assert _due(replace(_lines(), state=TrackerState.EXITING), 99) == []


def _below_its_backstop(**changes: object) -> Tracker:
    tracker = armed(TrackerKind.STOP, 60000, level=58000, backstop=d(55000))
    moved = replace(tracker, level_price=d(50000), stop_price=d(50000))
    moved = replace(moved, spec=replace(moved.spec, level=d(50000)))
    return replace(moved, **changes)  # type: ignore[arg-type]


def test_a_private_stop_that_moved_below_its_backstop_is_told_once_per_arming() -> None:
    tracker = _below_its_backstop()
    [alert] = reminders.due([tracker], NOON, RULES)
    assert (alert.severity, alert.tracker_id) == (Severity.WARN, 1)
    assert alert.text == (
        "The backstop 55000 on the exchange sells before the private stop of #1 at 50000. "
        "To set it lower: /tracker 1 backstop 47500"
    )
    later = _due(replace(tracker, stop_price=d(51000)), 1)
    assert later == [(alert.alert_id, Severity.WARN)]
    [(again, _)] = _due(replace(tracker, arm_seq=2), 1)
    assert again != alert.alert_id


def test_a_backstop_below_its_private_stop_or_of_a_paused_tracker_is_no_news() -> None:
    assert _due(armed(TrackerKind.STOP, 60000, level=58000, backstop=d(55000)), 1) == []
    assert _due(_below_its_backstop(is_paused=True), 0.5) == []
    assert _due(_below_its_backstop(state=TrackerState.EXITING), 1) == []
