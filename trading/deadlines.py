"""A wait that ends: what the exchange has not answered by then counts as unanswered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trading.domain.errors import Silent, Unreachable

_Answer = TypeVar("_Answer")
# A person who asks in an emergency gets what is known rather than what might still come.
_PATIENT_S = 2.0
_DOUBTING_S = 0.3
_DOUBT_LASTS_S = 10.0


async def within(
    seconds: float, answer: Awaitable[_Answer], sleep: Callable[[float], Awaitable[None]]
) -> _Answer:
    """Return an answer of the exchange; raises Silent when it takes longer than `seconds`."""
    work = asyncio.ensure_future(answer)
    alarm = asyncio.ensure_future(sleep(seconds))
    try:
        await asyncio.wait({work, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise Silent(f"the exchange did not answer within {seconds:g} s")
    finally:
        alarm.cancel()
        work.cancel()


def is_ending() -> bool:
    """Whether the present task was asked to end.

    An error on its way out takes the place of that: whoever goes on after it never ends.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Patience:
    """How long somebody waits for what would be good to know: less where nothing came just now.

    Several questions in a row to an exchange that hangs must not add up.
    """

    def __init__(
        self, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._doubted_until_s = float("-inf")

    async def ask(self, answer: Awaitable[_Answer]) -> _Answer:
        """Return an answer; raises Unreachable when it takes too long."""
        is_doubted = self._monotonic() < self._doubted_until_s
        asked_s, patience_s = self._monotonic(), _DOUBTING_S if is_doubted else _PATIENT_S
        try:
            answered = await within(patience_s, answer, self._sleep)
        except Unreachable:
            now_s = self._monotonic()
            # Only a full wait says anything: the way may be longer than the short one.
            if not is_doubted and now_s - asked_s >= patience_s:
                self._doubted_until_s = now_s + _DOUBT_LASTS_S
            raise
        self._doubted_until_s = float("-inf")
        return answered
