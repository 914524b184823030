"""Flood control: so many commands per person, and a double tap counts once.

What is typed again once it was answered is meant again, however soon: nobody is left without an
answer. A button that is tapped again within the second is never meant twice.
"""

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


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody typed, or what stands behind a button, in one chat; `at` is when it arrived."""

    update_id: int
    chat_id: int
    text: str
    at: datetime
    is_tap: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime
    last: Said | None = None
    # When the answer to the last one set out; None while it is being made.
    answered_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(slots=True)
class FloodGate:
    """Counts per person; times are when updates arrived, so a replay decides the same."""

    _buckets: dict[int, _Bucket] = field(default_factory=dict)

    def admit(self, user_id: int, said: Said) -> Admission:
        """Decide about one command; FLOOD is told once in ten seconds, FLOOD_TOLD is silent."""
        bucket = self._buckets.setdefault(user_id, _Bucket(_BURST, said.at))
        passed_s = max((said.at - bucket.at).total_seconds(), 0.0)
        bucket.tokens = min(_BURST, bucket.tokens + passed_s * _PER_SECOND)
        bucket.at = max(said.at, bucket.at)
        if _is_same(bucket, said):
            return Admission.SAME
        bucket.last, bucket.answered_at = said, None
        # Of what is urgent only the same thing twice at once is held back.
        if bucket.tokens < 1 and not is_urgent(said.text):
            return _flooded(bucket, said.at)
        bucket.tokens = max(bucket.tokens - 1, 0.0)
        return Admission.PASS

    def answered(self, update_id: int, at: datetime) -> None:
        """Take in that the answer to an update sets out: whoever says it again has read it."""
        for bucket in self._buckets.values():
            if bucket.last is not None and bucket.last.update_id == update_id:
                bucket.answered_at = bucket.answered_at or at


def _is_same(bucket: _Bucket, said: Said) -> bool:
    last = bucket.last
    if last is None or (last.chat_id, last.text) != (said.chat_id, said.text):
        return False
    # One update whose end could not be stored is handled again.
    if last.update_id == said.update_id:
        return False
    if abs(said.at - last.at) >= _SAME_WITHIN:
        return False
    return said.is_tap or bucket.answered_at is None or said.at < bucket.answered_at


def _flooded(bucket: _Bucket, at: datetime) -> Admission:
    if bucket.told_at is not None and at - bucket.told_at < _NOTICE_EVERY:
        return Admission.FLOOD_TOLD
    bucket.told_at = at
    return Admission.FLOOD
