"""Long answers read a little at a time, so that the loop turns in between."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_Row = TypeVar("_Row")
# About a millisecond of work.
_ROWS = 50


async def in_portions(
    rows: Sequence[Any], read: Callable[[Sequence[Any]], Sequence[_Row]]
) -> list[_Row]:
    """Read rows in order; a stop that fires meanwhile waits for a portion, not for all."""
    found: list[_Row] = []
    for start in range(0, len(rows), _ROWS):
        if start:
            await asyncio.sleep(0)
        found += read(rows[start : start + _ROWS])
    return found
