"""How a message reaches people: to whom, whether with a sound, and what every text carries."""

from collections.abc import Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

from bot.telegram.access import buttons_for
from bot.telegram.alert import Alert
from trading.domain.chat import OutboxMessage, Person, Role, Severity
from trading.domain.watching import Loudness


def messages_for(
    seq: int, alert: Alert, people: Sequence[Person], banner: str, now: datetime
) -> list[OutboxMessage]:
    """One message per person, silent in their quiet hours unless it is critical.

    Whoever asked for what it tells has read the answer: to them it is critical no more.
    """
    return [
        OutboxMessage(
            message_key=f"alert:{seq}:{person.user_id}",
            chat_id=person.chat_id,
            text=with_banner(alert.card.text, banner),
            created_at=now,
            severity=_severity(alert, person),
            buttons=buttons_for(alert.card.buttons, person.role),
            card=alert.card.name,
            sort=alert.sort,
            gist=alert.gist,
            is_silent=is_silent(
                person,
                _severity(alert, person),
                now,
                is_quiet=_is_quiet(alert, person),
            ),
        )
        for person in people
        if person.is_active
        and (person.role is Role.OWNER or not alert.owner_only)
        and _wished(alert, person) is not Loudness.OFF
    ]


def _severity(alert: Alert, person: Person) -> Severity:
    is_known = alert.severity is Severity.CRIT and alert.asked_by == person.user_id
    return Severity.WARN if is_known else alert.severity


def _is_quiet(alert: Alert, person: Person) -> bool:
    is_wished = _wished(alert, person) is Loudness.SILENT
    return alert.is_quiet or is_wished or alert.asked_by == person.user_id


def _wished(alert: Alert, person: Person) -> Loudness:
    return Loudness.ON if alert.type is None else person.wishes.loud(alert.type)


def with_banner(text: str, banner: str) -> str:
    """Add the line that says no real money moves."""
    return f"{text}\n{banner}" if banner else text


def is_silent(person: Person, severity: Severity, now: datetime, *, is_quiet: bool = False) -> bool:
    """Whether a message makes no sound; CRIT always does."""
    if severity is Severity.CRIT:
        return False
    is_muted = person.silent_until(now) is not None
    return is_quiet or is_muted or _in_quiet_hours(person, now)


def _in_quiet_hours(person: Person, now: datetime) -> bool:
    if person.quiet_hours is None:
        return False
    first, _, last = person.quiet_hours.partition("-")
    start, end = time.fromisoformat(first), time.fromisoformat(last)
    local = now.astimezone(ZoneInfo(person.timezone)).time()
    if start <= end:
        return start <= local < end
    return local >= start or local < end
