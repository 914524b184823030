"""How the stream is: live, interrupted, or to be replaced."""

import asyncio

_DOWN_AFTER_S = 1.0


class Line:
    """The state of the stream; times are monotonic seconds."""

    def __init__(self, now_s: float) -> None:
        self.is_streaming = False
        self.was_connected = False
        self.down_since_s = now_s
        # Set to have the stream replaced.
        self.restart = asyncio.Event()
        self._restarted_s = float("-inf")

    def is_down(self, now_s: float) -> bool:
        """Whether it has been interrupted for more than a moment."""
        return not self.is_streaming and now_s - self.down_since_s >= _DOWN_AFTER_S

    def came_alive(self) -> bool:
        """Note its first message; whether it had been connected before."""
        self.is_streaming = True
        was_connected, self.was_connected = self.was_connected, True
        return was_connected

    def lost(self, now_s: float) -> None:
        """Note that the connection is gone."""
        if self.is_streaming:
            self.is_streaming = False
            self.down_since_s = now_s

    def since_restart_s(self, now_s: float) -> float:
        """Return how long ago it was last asked to be replaced."""
        return now_s - self._restarted_s

    def replace(self, now_s: float) -> None:
        """Ask for another connection."""
        self._restarted_s = now_s
        self.restart.set()
