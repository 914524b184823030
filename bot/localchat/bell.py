"""Waking what waits: long polls, presses and pages wait here for the next change."""

from __future__ import annotations

import asyncio

# A page that reads slower than this many changes is cut off; it reconnects and reloads.
BACKLOG_MAX = 512


class Bell:
    """Rings for everybody who waits at that moment; ringing for nobody is harmless."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.is_closing = False
        # How many long polls of the bot wait at this moment.
        self.polls = 0

    def ring(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = asyncio.Event()

    def close(self) -> None:
        """Wake all for the last time: the server stops."""
        self.is_closing = True
        self.ring()

    async def wait(self, seconds: float) -> bool:
        """Wait for the next ring; False when the time ran out first."""
        if seconds <= 0 or self.is_closing:
            return False
        # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the ring.
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Subscriber:
    """A page that follows along; `changes` ends with None when it fell too far behind."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[bytes | None] = asyncio.Queue(BACKLOG_MAX + 1)
        self._is_cut_off = False

    def tell(self, change: bytes) -> None:
        """Queue a change for the page, or cut it off."""
        if self._is_cut_off:
            return
        if self.changes.qsize() >= BACKLOG_MAX:
            self.end()
        else:
            self.changes.put_nowait(change)

    def end(self) -> None:
        """Let the page read what it has, then end its stream."""
        if not self._is_cut_off:
            self._is_cut_off = True
            self.changes.put_nowait(None)
