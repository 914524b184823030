"""What stands until somebody has seen it, and how often it is told again, by whichever part."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_AFTER = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
_EVERY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Standing:
    """What nobody has acknowledged, as plain text, and since when it stands, where that is kept."""

    text: str
    since: datetime | None = None


def repeats_due(elapsed: timedelta, *, each_minute: bool = False) -> int:
    """How many repetitions belong to an age: at 1, 5, 15 min, then every 15 min; or each minute."""
    if each_minute:
        return elapsed // _AFTER[0]
    due = sum(elapsed >= after for after in _AFTER)
    if elapsed > _AFTER[-1]:
        due += (elapsed - _AFTER[-1]) // _EVERY
    return due
