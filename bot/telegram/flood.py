"""Flood control: so many commands per person, and the same one twice in a second counts once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from bot.telegram.words import is_urgent

_SAME_WITHIN = timedelta(seconds=1)
_BURST = 30
_PER_SECOND = 2.0
_NOTICE_EVERY = timedelta(seconds=10)


class Admission(Enum):
    """What happens with one command of somebody."""

    PASS = "pass"  # noqa: S105 - a verdict, not a secret
    SAME = "same"
    FLOOD = "flood"
    FLOOD_TOLD = "flood_told"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime
    last_text: str = ""
    last_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(slots=True)
class FloodGate:
    """Counts per person; times are when updates arrived, so a replay decides the same."""

    _buckets: dict[int, _Bucket] = field(default_factory=dict)

    def admit(self, user_id: int, text: str, at: datetime) -> Admission:
        """Decide about one command; FLOOD is told once in ten seconds, FLOOD_TOLD is silent."""
        bucket = self._buckets.setdefault(user_id, _Bucket(_BURST, at))
        passed_s = max((at - bucket.at).total_seconds(), 0.0)
        bucket.tokens = min(_BURST, bucket.tokens + passed_s * _PER_SECOND)
        bucket.at = max(at, bucket.at)
        if _is_same(bucket, text, at):
            return Admission.SAME
        bucket.last_text, bucket.last_at = text, at
        # Of what is urgent only the same thing twice at once is held back.
        if bucket.tokens < 1 and not is_urgent(text):
            return _flooded(bucket, at)
        bucket.tokens = max(bucket.tokens - 1, 0.0)
        return Admission.PASS


def _is_same(bucket: _Bucket, text: str, at: datetime) -> bool:
    if bucket.last_at is None or bucket.last_text != text:
        return False
    return abs(at - bucket.last_at) < _SAME_WITHIN


def _flooded(bucket: _Bucket, at: datetime) -> Admission:
    if bucket.told_at is not None and at - bucket.told_at < _NOTICE_EVERY:
        return Admission.FLOOD_TOLD
    bucket.told_at = at
    return Admission.FLOOD
