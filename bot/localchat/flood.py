"""Telegram's flood limits: so many messages per chat and in all, then 429 with a wait."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bot.localchat.errors import BotApiError

_BUCKETS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """Sustained rates per second and the bursts they allow on top; 0 as a burst switches off."""

    chat_per_second: float = 1.0
    chat_burst: int = 20
    group_per_second: float = 20 / 60
    group_burst: int = 20
    overall_per_second: float = 30.0
    overall_burst: int = 30


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


@dataclass(slots=True)
class FloodGate:
    """Counts what the bot sends; sends and edits of a chat are counted apart."""

    limits: FloodLimits = field(default_factory=FloodLimits)
    _buckets: dict[tuple[str, int], _Bucket] = field(default_factory=dict)

    def admit(self, kind: str, chat_id: int, now_s: float) -> None:
        """Count one call, or refuse it with 429; `now_s` is monotonic."""
        limits = self.limits
        rate, burst = (
            (limits.chat_per_second, limits.chat_burst)
            if chat_id > 0
            else (limits.group_per_second, limits.group_burst)
        )
        overall = (limits.overall_per_second, limits.overall_burst)
        wait_s = max(
            self._wait_s((kind, chat_id), rate, burst, now_s),
            self._wait_s(("overall", 0), *overall, now_s),
        )
        if wait_s > 0:
            retry_after_s = max(1, math.ceil(wait_s))
            raise BotApiError(
                f"Too Many Requests: retry after {retry_after_s}",
                429,
                retry_after_s=retry_after_s,
            )
        for key in ((kind, chat_id), ("overall", 0)):
            if key in self._buckets:
                self._buckets[key].tokens -= 1

    def change(self, limits: FloodLimits) -> None:
        """Count by other limits from now on."""
        self.limits = limits
        self._buckets.clear()

    def _wait_s(self, key: tuple[str, int], rate: float, burst: int, now_s: float) -> float:
        if burst <= 0 or rate <= 0:
            self._buckets.pop(key, None)
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS_MAX:
                self._buckets.clear()
            bucket = self._buckets[key] = _Bucket(float(burst), now_s)
        bucket.tokens = min(burst, bucket.tokens + (now_s - bucket.filled_at_s) * rate)
        bucket.filled_at_s = now_s
        # A hair of tolerance: a bot that waits exactly as long as it was told is let in.
        return 0.0 if bucket.tokens >= 1 - 1e-9 else (1 - bucket.tokens) / rate
