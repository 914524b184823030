"""What the archive of candles holds, as the chat sees it: a Protocol, and the values it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trading.domain.errors import Refused


@dataclass(frozen=True, slots=True)
class HeldSeries:
    """What the archive holds of one series; times are those at which the candles open.

    `first_ms` and `last_ms` are None where it holds no candle; `missing` counts the candles that
    its `gaps` lack; `damaged` counts months that cannot be believed; `lost` names those that it
    has held and holds no more. `set_aside` names months that were damaged and are in quarantine,
    `replaced` those of them that are held again.
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
    lost: str = ""
    set_aside: str = ""
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class HeldCombination:
    """A history that several series make together: whose candles it has how many of.

    `parts` names each series and its share, the one that leads first; there are none, and `problem`
    says why, where they cannot be put together.
    """

    symbol: str
    timeframe: str
    parts: tuple[tuple[str, int], ...]
    first_ms: int = 0
    last_ms: int = 0
    problem: str = ""


Held = HeldSeries | HeldCombination


class ArchiveReader(Protocol):
    """Reads what the archive of candles holds, off the loop."""

    async def counts(self) -> tuple[int, int]:
        """Return how many series it knows, and how many combined histories."""
        ...

    async def held(self, first: int, most: int) -> Sequence[Held]:
        """Read some of them by name, series before combined ones, proving every checksum."""
        ...


@dataclass(frozen=True, slots=True)
class Removable:
    """A series of the archive that may be taken out, and how many candles go with it."""

    exchange: str
    symbol: str
    timeframe: str
    candles: int


class ArchiveRemover(Protocol):
    """Takes candles of this agent's exchange out of the archive for good, off the loop."""

    async def found(self, symbol: str, timeframes: Sequence[str] = ()) -> Sequence[Removable]:
        """Count what is held of a symbol, over some candle lengths or all.

        Raises Refused where nothing is held, NotInTime.
        """
        ...

    async def remove(self, series: Sequence[Removable]) -> None:
        """Take out what was found, all of it or nothing, also through a kill; raises NotInTime."""
        ...


class NoArchive:
    """Where no candles are kept."""

    async def counts(self) -> tuple[int, int]:
        """Return none of both."""
        return 0, 0

    async def held(self, _first: int, _most: int) -> Sequence[Held]:
        """Return nothing."""
        return ()

    async def found(self, symbol: str, _timeframes: Sequence[str] = ()) -> Sequence[Removable]:
        """Raise Refused: there is nothing to take out."""
        raise Refused(f"no candles of {symbol[:20]} are kept here", example="/data")

    async def remove(self, _series: Sequence[Removable]) -> None:
        """Do nothing."""
