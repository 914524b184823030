"""Until when an exchange wants to hear nothing: what a restart has to know of it, and may believe.

Whoever asks while it is banned is banned for longer. A clock that was wrong when this was written
down, or is now, must not keep anybody out for good.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

# The longest ban that Binance gives.
SILENCE_MAX = timedelta(days=3)
# Clocks are set by a moment now and then; what was said later than that from now was never said.
_CLOCK_SET_MAX = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Silence:
    """What was asked for: when, and until when, both by our clock."""

    said_at: datetime
    until: datetime


class Silences(Protocol):
    """Keeps the newest silence past the end of a process; neither call may fail or wait long."""

    def kept(self) -> Silence | None:
        """Return what was kept last, None where there is nothing to be believed."""
        ...

    def keep(self, silence: Silence) -> None:
        """Keep it instead of what was kept before."""
        ...


def left_s(silence: Silence, now: datetime) -> float:
    """Return how many seconds of a silence are left, 0 where it is over or not to be believed."""
    if now < silence.said_at - _CLOCK_SET_MAX:
        return 0.0
    until = min(silence.until, silence.said_at + SILENCE_MAX)
    return max((until - now).total_seconds(), 0.0)
