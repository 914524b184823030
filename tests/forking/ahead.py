"""The time of forked processes: what depends on candles need not depend on when it is played.

What measures how long something takes stays as it is, and so does what sleeps.
"""

import time
from datetime import datetime, timedelta, tzinfo

from bot import clock

# By this name in a fork's environment: whole minutes, so that what happens in certain seconds of a
# minute happens in the same ones.
MINUTES = "TESTS_MINUTES_AHEAD"
_MINUTES_PER_DAY = 24 * 60
_MACHINE_S, _MACHINE_NS = time.time, time.time_ns


def minutes_to_noon(now_s: float) -> int:
    """Return by how much to be ahead so that it is the first minute after 12:00 UTC."""
    return (_MINUTES_PER_DAY * 3 // 2 - int(now_s // 60)) % _MINUTES_PER_DAY


def set_ahead(minutes: int) -> None:
    """Let this process's wall clock be ahead of the machine's."""
    ahead_s = minutes * 60

    class _Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(_MACHINE_S(), tz) + timedelta(seconds=ahead_s)

    clock.datetime = _Ahead  # type: ignore[misc]
    # The client library of the exchanges asks for itself.
    time.time = lambda: _MACHINE_S() + ahead_s
    time.time_ns = lambda: _MACHINE_NS() + ahead_s * 10**9
