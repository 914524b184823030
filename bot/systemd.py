"""What the service manager is told: ready, still alive, stopping (the protocol of sd_notify)."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

logger = logging.getLogger(__name__)
_LOOK_AGAIN_S = 1.0
# What a start asks for, and how often: to check a long journal takes minutes.
_EXTENDED_S = 60.0
_EXTEND_AGAIN_S = 10.0


class ServiceManager:
    """Sends datagrams to the socket that systemd names; does nothing where there is none."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        # A leading @ stands for the zero byte of Linux's abstract names.
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._watchdog_s = watchdog_s

    def ready(self, status: str) -> None:
        """The process serves."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        self._tell(f"STATUS={text}")

    def stopping(self) -> None:
        """An orderly end has begun."""
        self._tell("STOPPING=1")

    async def run_start(self, waits: asyncio.Event) -> None:
        """Ask for time until a start `waits` for others, and is ready; beat from then on.

        Until cancelled.
        """
        while not waits.is_set():
            self._tell(f"EXTEND_TIMEOUT_USEC={_EXTENDED_S * 1e6:.0f}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXTEND_AGAIN_S):
                    await waits.wait()
        await self.run(lambda: True)

    async def run(self, is_beating: Callable[[], bool]) -> None:
        """Say twice per watchdog interval that all is well, as long as it is; until cancelled.

        While it is not, it is looked at again soon: what mends itself should not be killed for it.
        """
        if self._watchdog_s is None:
            await asyncio.Event().wait()
            return
        pause_s = self._watchdog_s / 2
        while True:
            is_well = is_beating()
            if is_well:
                self._tell("WATCHDOG=1")
            await asyncio.sleep(pause_s if is_well else min(pause_s, _LOOK_AGAIN_S))

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            logger.warning("service_manager_not_told", extra={"error": str(error)})
