"""What would hold a tick up inside Python itself: threads that wait for their turn, and garbage."""

import asyncio
import gc
import sys

_SWITCH_S = 0.0001
_GC_THRESHOLDS_AT_START = (10_000, 20, 100)
# Garbage of thousands of objects is gone within half a millisecond, and never grows to megabytes.
_GC_THRESHOLDS_AT_WORK = (2_000, 10, 50)
_GC_FULL_EVERY_S = 300.0


def shorten() -> None:
    """Let threads take turns sooner, and a start be held up less often."""
    # By default the journal's thread waits up to 5 ms for its turn, once per statement.
    sys.setswitchinterval(_SWITCH_S)
    # Garbage waits longer than by default, so that a start looks less often through what the
    # libraries have made.
    gc.set_threshold(*_GC_THRESHOLDS_AT_START)


async def collect_now_and_then() -> None:
    """Look no more through what a start has made, and through the rest until cancelled."""
    _keep_what_is_in_memory()
    while True:
        await asyncio.sleep(_GC_FULL_EVERY_S)
        # Closed connections and the like outlive the small collections, and an agent that has
        # little to do would not come to a full one for days.
        gc.collect()


def _keep_what_is_in_memory() -> None:
    # No collection walks through what a start has made.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS_AT_WORK)
    # Full collections wait until a quarter of what the last one left has come anew: measured with
    # all of the libraries in it, that would be garbage of tens of megabytes.
    gc.collect()
