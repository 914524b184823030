"""A request that is made while its attempt is being written, and held until that is durable.

What is signed and translated meanwhile costs no time afterwards: the disk and the processor work
side by side. The gateway holds the request back before its first byte, so an attempt that never
becomes durable never leaves.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from trading.domain.order import Attempt, SendEvidence

Submit = Callable[[Attempt, asyncio.Future[None]], Coroutine[Any, Any, SendEvidence]]
# A disk that takes longer than that lets the signature's time grow old: it is made anew.
_FRESH_S = 0.1


class Beforehand:
    """One request on hold."""

    def __init__(self, attempt: Attempt, submit: Submit, now_s: float) -> None:
        self._attempt = attempt
        self._made_s = now_s
        # Whether it leaves, or has left.
        self.is_released = False
        self._durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sending = asyncio.create_task(submit(attempt, self._durable))

    def release(self, attempt: Attempt, now_s: float) -> asyncio.Task[SendEvidence] | None:
        """Let the request of a durable attempt go; None, and nothing is sent, if it is too old.

        It leaves with the loop's next turn; asked again, the same request is returned.
        """
        if self.is_released:
            return self._sending
        # Whoever cancels the task cancels what it waits for first.
        is_over = self._sending.done() or self._durable.done()
        if is_over or attempt != self._attempt or now_s - self._made_s > _FRESH_S:
            self.drop()
            return None
        self.is_released = True
        self._durable.set_result(None)
        return self._sending

    def drop(self) -> None:
        """Never send it."""
        self._sending.cancel()
        self._durable.cancel()
