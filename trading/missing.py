"""When managed coins that an account does not show count as gone, although no trade tells of it.

Absence of a balance is not a sale (`trackers.md` §4). What left without a trade, a withdrawal say,
is known once reads of the account agree with each other, far enough apart, and with what its stream
said: an answer that lies does so on one of the two. What the stream was just asked for and denies
is proof of nothing, whatever else speaks for it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from trading.domain.money import ZERO
from trading.domain.position import Balance
from trading.execution.reconcile import Finding

READS_MIN = 3
APART_S = 10.0
# What three reads did not prove is looked at less often: each look costs the exchange's patience.
_SLOW_S = 60.0


@dataclass(frozen=True, slots=True)
class _Whole:
    """What a read showed, with all managed units among it, and when it began."""

    total: Decimal
    at: datetime


@dataclass(slots=True)
class _Streak:
    """Reads in a row that missed as many units, by monotonic seconds."""

    quantity: Decimal
    since: datetime
    reads_s: list[float] = field(default_factory=list)


class Missing:
    """Keeps count of these reads, by asset."""

    def __init__(self) -> None:
        self._streaks: dict[str, _Streak] = {}
        self._streamed: dict[str, Decimal] = {}
        self._whole: dict[str, _Whole] = {}
        self._noticed: set[str] = set()

    def notice(self, asset: str) -> bool:
        """Take it that an exit misses units of an asset; whether that asks for a look of its own.

        What is looked at already goes on in its rhythm.
        """
        if asset in self._noticed or asset in self._streaks:
            return False
        self._noticed.add(asset)
        return True

    def taken_up(self) -> tuple[str, ...]:
        """Return the assets to look at now: those that are missing, and those that were noticed."""
        assets = tuple(sorted(self._noticed.union(self._streaks)))
        self._noticed.clear()
        return assets

    def streamed(self, balance: Balance) -> None:
        """Take what the account's stream says of an asset."""
        self._streamed[balance.asset] = balance.total

    def fell_silent(self, assets: Iterable[str]) -> None:
        """Forget what the stream said of these assets: what it would not say now may be newer."""
        for asset in assets:
            self._streamed.pop(asset, None)

    def showed(self, asset: str, total: Decimal, at: datetime) -> None:
        """Take a read that began at a time and showed all that is managed of an asset."""
        self._whole[asset] = _Whole(total, at)

    def traded(self, asset: str, change: Decimal) -> None:
        """Take what an execution of ours did, which that read has not shown."""
        if (whole := self._whole.get(asset)) is not None:
            self._whole[asset] = replace(whole, total=whole.total + change)

    @property
    def whole_at(self) -> Mapping[str, datetime]:
        """When the account last showed all that is managed, by asset: sales before took none."""
        return {asset: whole.at for asset, whole in self._whole.items()}

    def fits(
        self, asset: str, taken: Decimal, shown: Decimal, step: Decimal, word: Decimal | None = None
    ) -> bool:
        """Whether so many units are `shown` because others have `taken` so many, to a `step`.

        The stream says the same, its `word` if it was just asked, or the account showed just so
        much more before. Where nothing is known of before, enough reads have to agree.
        """
        if word is not None:
            return abs(word - shown) <= step
        if self._streamed.get(asset) == shown:
            return True
        if (whole := self._whole.get(asset)) is None:
            return self._is_read_enough(asset)
        return abs(whole.total - taken - shown) <= step

    def read(
        self, short: Iterable[Finding], busy: Collection[str], now: datetime, now_s: float
    ) -> None:
        """Take a read of the account; of assets that are `busy` it says nothing."""
        found = {each.asset: each.quantity for each in short if each.asset not in busy}
        for asset in list(self._streaks):
            if asset not in busy and asset not in found:
                del self._streaks[asset]
        for asset, quantity in found.items():
            streak = self._streaks.get(asset)
            if streak is None or streak.quantity != quantity:
                streak = self._streaks[asset] = _Streak(quantity, now)
            if not streak.reads_s or now_s - streak.reads_s[-1] >= APART_S:
                streak.reads_s.append(now_s)

    @property
    def assets(self) -> tuple[str, ...]:
        """Of which assets units are missing."""
        return tuple(sorted(self._streaks))

    def quantity(self, asset: str) -> Decimal:
        """Return how many units of an asset the last read that could tell has missed."""
        streak = self._streaks.get(asset)
        return ZERO if streak is None else streak.quantity

    def since(self, asset: str) -> datetime | None:
        """Return since when units of an asset are missing."""
        streak = self._streaks.get(asset)
        return None if streak is None else streak.since

    def is_proven(
        self,
        asset: str,
        shown: Decimal,
        word: Decimal | None = None,
        *,
        needs_stream: bool = True,
    ) -> bool:
        """Whether enough reads agree that so many units are `shown`, and the stream with them.

        It `needs_stream` unless something else than these reads says the same. A `word` of it, if
        it was just asked, is the newest that it said.
        """
        if not self._is_read_enough(asset):
            return False
        if word is not None:
            return word == shown
        return not needs_stream or self._streamed.get(asset) == shown

    def _is_read_enough(self, asset: str) -> bool:
        streak = self._streaks.get(asset)
        return streak is not None and len(streak.reads_s) >= READS_MIN

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for the next read."""
        return any(
            now_s - streak.reads_s[-1] >= (APART_S if len(streak.reads_s) < READS_MIN else _SLOW_S)
            for streak in self._streaks.values()
        )
