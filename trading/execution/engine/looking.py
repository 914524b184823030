"""One look at the exchange serves everybody who waits for what it tells."""

import asyncio
from collections.abc import Awaitable, Callable


class SharedLook:
    """Looks once for all who ask; `look` says whether it has seen what it looked for."""

    def __init__(self, look: Callable[[], Awaitable[bool]], monotonic: Callable[[], float]) -> None:
        self._look = look
        self._monotonic = monotonic
        # Monotonic seconds.
        self._began_s = float("-inf")
        self._looking: asyncio.Future[bool] | None = None

    async def since(self, moment_s: float) -> bool:
        """Return what the first look says that began at a monotonic moment, or after it."""
        while True:
            looking = self._looking
            if looking is None or (looking.done() and self._began_s < moment_s):
                self._began_s = self._monotonic()
                looking = self._looking = asyncio.ensure_future(self._look())
            is_new_enough = self._began_s >= moment_s
            seen = await asyncio.shield(looking)
            if is_new_enough:
                return seen
