"""Descriptors kept for requests: an order's connection when the process may open nothing more.

A connection that stands needs none, but an exchange ends those that rest. What streams does without
them: prices are asked for then, over these.
"""

import errno
import logging
import os
import socket
from typing import Any

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

logger = logging.getLogger(__name__)
# An order and what is asked about it, while another connection comes to its end.
_KEPT = 4
# For the files and the socket that asking for a name takes.
_FOR_A_NAME = 3
_EXHAUSTED = {errno.EMFILE, errno.ENFILE}


class SpareDescriptors:
    """Open descriptors that are given up one by one, and had back once there are others."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self.fetch()

    def fetch(self) -> None:
        """Have all of them, as far as there are any."""
        while len(self._held) < _KEPT and (taken := _opened()) is not None:
            self._held.append(taken)

    def give_up(self, count: int = 1) -> bool:
        """Let go of some; False where there is none any more."""
        given, self._held = self._held[:count], self._held[count:]
        for each in given:
            os.close(each)
        if given:
            logger.warning("descriptors_exhausted", extra={"left": len(self._held)})
        return bool(given)

    def close(self) -> None:
        """Let go of all of them."""
        while self._held:
            os.close(self._held.pop())

    def connecting(self, address: Any) -> socket.socket:
        """Make the socket of a connection, by a spare one if need be; raises OSError."""
        try:
            made = socket.socket(*address[:3])
        except OSError as error:
            if error.errno not in _EXHAUSTED or not self.give_up():
                raise
            return socket.socket(*address[:3])
        self.fetch()
        return made


class SparingResolver(ThreadedResolver):
    """Asks for a name once more with spare descriptors, where it failed for want of them."""

    def __init__(self, spare: SpareDescriptors) -> None:
        super().__init__()
        self._spare = spare

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises OSError."""
        try:
            return await super().resolve(host, port, family)
        except OSError:
            # The system says of a name that it is not found, whatever kept it from looking.
            if (free := _opened()) is not None:
                os.close(free)
                raise
            if not self._spare.give_up(_FOR_A_NAME):
                raise
        try:
            return await super().resolve(host, port, family)
        finally:
            self._spare.fetch()


def _opened() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
