"""A wait that a cancellation does not break: who asked for a commit learns whether it took place.

What follows a commit is a plain call: it tells everybody what is durable now. A cancellation that
came between the two would leave memory without what the journal has until the next start.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# A commit takes milliseconds; a disk that hangs must not keep a process from ending.
_PATIENCE_S = 5.0


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Return what work returns; a cancellation meanwhile takes effect at the next wait after it.

    A second cancellation breaks the wait, and so does work that takes `_PATIENCE_S` after the first
    one; the work itself goes on.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        waiting = asyncio.current_task()
        if waiting is None or not waiting.cancelling():
            # The work was cancelled, not who waits for it.
            raise
        await asyncio.wait((task,), timeout=_PATIENCE_S)
        if not task.done() or task.cancelled():
            raise
        # Asked for once, it counts once: `asyncio.timeout` tells its own from others by the number.
        waiting.uncancel()
        waiting.cancel()
        return task.result()
