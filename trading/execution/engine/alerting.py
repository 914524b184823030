"""The alarms of one decision: what a person is told, and when it is no longer true."""

from collections.abc import Iterable
from datetime import datetime

from trading.domain.chat import Severity
from trading.domain.events import AlertEnded, AlertRaised
from trading.execution.engine.case import Case

# They describe what stands in the way of a decision, and are false once it is out of the way.
# What a person has to look into (a late order, two ends of one) stands until it was seen.
_PASSING = frozenset(
    {"rate_limit", "blocked", "unresolved", "unproven", "fills", "backstop", "failed"}
)
_ENDED_WITH_THE_CASE = _PASSING | {"storage"}


def raised(
    case: Case, kind: str, text: str, now: datetime, severity: Severity = Severity.CRIT
) -> tuple[AlertEnded | AlertRaised, ...]:
    """Return an alert about a case; it takes the place of the one of its kind before."""
    case.alerts += 1
    alert = AlertRaised(
        alert_id=f"{kind}:{case.intent.intent_id}:{now:%Y%m%dT%H%M%S}:{case.alerts}",
        severity=severity,
        text=text,
        at=now,
        tracker_id=case.intent.tracker_id,
    )
    before = over(case, kind, now) if kind in _PASSING else ()
    if severity is Severity.CRIT and kind in _ENDED_WITH_THE_CASE:
        case.standing.setdefault(kind, []).append(alert.alert_id)
    return (*before, alert)


def over(case: Case, kind: str, now: datetime) -> tuple[AlertEnded, ...]:
    """Return the ends of what stands of one kind: it is no longer true."""
    return tuple(AlertEnded(alert_id, now) for alert_id in case.standing.pop(kind, ()))


def all_over(case: Case, now: datetime) -> tuple[AlertEnded, ...]:
    """Return the ends of everything that stands about a case: it has ended."""
    return tuple(ended for kind in tuple(case.standing) for ended in over(case, kind, now))


def taken_up(
    cases: Iterable[Case], standing: Iterable[AlertRaised], now: datetime
) -> tuple[AlertEnded, ...]:
    """Give alarms from before this process to their cases; return the ends of those without one."""
    by_id = {case.intent.intent_id: case for case in cases}
    ended = []
    for alert in standing:
        kind, _, rest = alert.alert_id.partition(":")
        intent_id = rest.rsplit(":", 2)[0]
        if kind not in _ENDED_WITH_THE_CASE or rest.count(":") < 2:
            continue
        if case := by_id.get(intent_id):
            case.standing.setdefault(kind, []).append(alert.alert_id)
        else:
            ended.append(AlertEnded(alert.alert_id, now))
    return tuple(ended)
