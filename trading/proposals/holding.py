"""What is true of one instrument while a command is checked: the coins and money it may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.money import ZERO, plain
from trading.domain.order import Side
from trading.domain.position import Portfolio
from trading.domain.tracker import Tracker
from trading.trackers import slices


@dataclass(frozen=True, slots=True)
class Holding:
    """What is true of one instrument while a command is checked."""

    instrument: Instrument
    portfolio: Portfolio
    trackers: Sequence[Tracker]
    exiting: Decimal = ZERO
    # Quote and base units that sell orders of ours lock, base units that others of them may lock,
    # base units that open purchases may spend, those that others of them may have bought, and those
    # that swings have bought so far: each owns its own once its purchase has ended.
    offered: Decimal = ZERO
    offered_base: Decimal = ZERO
    in_doubt: Decimal = ZERO
    reserved: Decimal = ZERO
    arriving: Decimal = ZERO
    swinging: Decimal = ZERO

    @property
    def managed(self) -> Decimal:
        """Managed base units that no exit is already selling."""
        return max(self.portfolio.managed(self.instrument.symbol) - self.exiting, ZERO)

    @property
    def unswung(self) -> Decimal:
        """Those of them that no swing has just bought, and sells next."""
        return max(self.managed - self.swinging, ZERO)

    @property
    def held(self) -> Decimal:
        """Base units that `all` and shares are of: those managed, else those that nobody does."""
        return self.managed - self.bound or self.available

    @property
    def unmanaged(self) -> Decimal:
        """Base units that no position manages, no order locks and no open purchase claims.

        What a purchase has just bought is managed as soon as it is booked.
        """
        spendable = self.portfolio.spendable(self.instrument.base, self.offered_base)
        return min(self.unclaimed, max(spendable - self.arriving, ZERO))

    @property
    def unclaimed(self) -> Decimal:
        """The same with those that orders of others lock."""
        claimed = self.reserved + self.arriving
        return max(self.portfolio.unmanaged(self.instrument.base) - claimed, ZERO)

    @property
    def bound(self) -> Decimal:
        """Managed base units that orders of others lock, as far as this market needs them.

        While we sell nobody can tell whose the locked ones are.
        """
        if self.exiting:
            return ZERO
        base = self.instrument.base
        shown = min(self.managed, self.portfolio.total(base))
        own = self.portfolio.free(base) + self.offered_base + self.in_doubt
        return max(shown - own, ZERO)

    @property
    def locked(self) -> str:
        """How many base units orders lock, in words for a refusal; empty for none."""
        base = self.instrument.base
        if self.exiting:
            return (
                f"{plain(self.exiting)} {base} are in a sale at work; /orders shows it, and gives "
                "it up"
            )
        quantity = self.bound + self.unclaimed - self.unmanaged
        if quantity <= ZERO:
            return ""
        return f"{plain(quantity)} {base} lie in orders that are not Umbra's: cancel them first"

    @property
    def elsewhere(self) -> str:
        """How many base units other symbols manage, and for whom, in words for a refusal."""
        base, symbol = self.instrument.base, self.instrument.symbol
        others = [name for name in self.portfolio.holders(base) if name != symbol]
        quantity = self.portfolio.managed_of(base) - self.portfolio.managed(symbol)
        return slices.managed_as(others, quantity, base, self.trackers)

    @property
    def held_back(self) -> str:
        """Which base units no sale of this symbol may use, and why, in words for a refusal."""
        return "; ".join(filter(None, (self.locked, self.elsewhere)))

    @property
    def kept_from_trackers(self) -> str:
        """The same with those that no other tracker may own: what a swing buys, it sells next."""
        base = self.instrument.base
        bought = f"{plain(self.swinging)} {base} belong to a swing that is still buying"
        return "; ".join(filter(None, (self.held_back, bought if self.swinging else "")))

    @property
    def available(self) -> Decimal:
        """Those of the unmanaged base units that no tracker has reserved to buy with."""
        spent = slices.to_spend(self.trackers, self.instrument.base)
        return max(self.unmanaged - spent, ZERO)

    @property
    def shared(self) -> slices.Holdings:
        """What the trackers of this instrument may share out."""
        quote = self.instrument.quote
        return slices.Holdings(
            self.unswung,
            self.unmanaged,
            self.portfolio.spendable(quote, self.offered),
            self.portfolio.managed_of(quote),
            self.portfolio.holders(quote),
        )

    @property
    def quote_free(self) -> Decimal:
        """Quote units that no order holds, no position manages and no tracker has reserved."""
        quote = self.instrument.quote
        spendable = self.portfolio.spendable(quote, self.offered)
        return max(spendable - slices.to_spend(self.trackers, quote), ZERO)

    @property
    def rest(self) -> str:
        """Whose the quote units are that a purchase may not spend, in words for a refusal."""
        quote = self.instrument.quote
        rivals = slices.rivals(self.trackers, Side.BUY, self.instrument)
        buying = [one for one in rivals if one.side is Side.BUY]
        parts = [slices.reserving(buying, quote), slices.keeping(self.shared, rivals, quote)]
        return "".join(f"; {part}" for part in parts if part)

    def check_here(self) -> None:
        """Refuse to use coins that are all managed under another symbol."""
        base, symbol = self.instrument.base, self.instrument.symbol
        elsewhere = [name for name in self.portfolio.holders(base) if name != symbol]
        if elsewhere and self.managed + self.unmanaged <= 0:
            total = plain(self.portfolio.total(base))
            raise Refused(
                f"all {total} {base} are managed under {', '.join(elsewhere)}: trackers of that "
                "symbol share them",
                example="/positions",
            )
