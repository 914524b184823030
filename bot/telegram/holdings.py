"""What the archive of candles holds, as the chat sees it: a Protocol, and the values it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HeldSeries:
    """What the archive holds of one series; times are those at which the candles open.

    `first_ms` and `last_ms` are None where it holds no candle; `missing` counts the candles that
    its `gaps` lack; `damaged` counts months that cannot be believed.
    """

    exchange: str
    symbol: str
    timeframe: str
    candles: int
    first_ms: int | None
    last_ms: int | None
    gaps: int
    missing: int
    damaged: int
    size_bytes: int


class ArchiveReader(Protocol):
    """Reads what the archive of candles holds, off the loop."""

    async def series_count(self) -> int:
        """Return how many series it holds."""
        ...

    async def held(self, first: int, most: int) -> Sequence[HeldSeries]:
        """Read some of them in the order of their names, proving every checksum."""
        ...


class NoArchive:
    """Where no candles are kept."""

    async def series_count(self) -> int:
        """Return 0."""
        return 0

    async def held(self, _first: int, _most: int) -> Sequence[HeldSeries]:
        """Return nothing."""
        return ()
