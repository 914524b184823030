"""The machine's clock goes on while its host sleeps."""

import time

from bot.clock import SystemClock


def test_the_steady_clock_counts_the_seconds_of_a_sleeping_host() -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    now_s = SystemClock().monotonic()
    assert before_s <= now_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
