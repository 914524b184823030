"""A wait that ends: what the exchange has not answered by then counts as unanswered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trading.domain.errors import Unreachable

_Answer = TypeVar("_Answer")


async def within(
    seconds: float, answer: Awaitable[_Answer], sleep: Callable[[float], Awaitable[None]]
) -> _Answer:
    """Return an answer of the exchange; raises Unreachable when it takes longer than `seconds`."""
    work = asyncio.ensure_future(answer)
    alarm = asyncio.ensure_future(sleep(seconds))
    try:
        await asyncio.wait({work, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise Unreachable(f"the exchange did not answer within {seconds:g} s")
    finally:
        alarm.cancel()
        work.cancel()
