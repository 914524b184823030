"""What must be heard of a tracker that no price moved."""

from dataclasses import replace
from datetime import timedelta

from tests.builders import NOON
from tests.unit.trading.trackers.make import armed, line
from trading.domain.chat import Severity
from trading.domain.tracker import Tracker, TrackerKind, TrackerState
from trading.trackers import reminders


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
    return [(alert.alert_id, alert.severity) for alert in reminders.due([tracker], now)]


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
