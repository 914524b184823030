"""The clock as a port: time is an argument, and this is where it comes from."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The only source of time; `monotonic` is in seconds and never steps."""

    def now(self) -> datetime:
        """Return the aware UTC wall time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...
