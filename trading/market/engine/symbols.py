"""The watched symbols, looked through without keeping anything else from its turn."""

import asyncio
from collections.abc import AsyncIterator

from trading.market.watched import WatchedSymbol

# A quarter of a millisecond of work: a stop that has just fired waits for as much.
_SYMBOLS_PER_TURN = 25


class Symbols(dict[str, WatchedSymbol]):
    """Watched symbols by name; the set changes while somebody looks through it."""

    async def in_turns(self) -> AsyncIterator[WatchedSymbol]:
        """Give each watched symbol; what else is on the loop has its turn after every few."""
        for number, watched in enumerate(tuple(self.values()), start=1):
            if self.get(watched.symbol) is watched:
                yield watched
            if number % _SYMBOLS_PER_TURN == 0:
                await asyncio.sleep(0)
