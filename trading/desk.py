"""The desk: what chat, command line and web may ask of the running agent, and propose to it.

`TradingAgent` is one implementation, the fake of the chat's tests the other. Everything here is
served from local state; only the `async` queries read storage or, for candles and for the first
price of a symbol, the exchange.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.commands import Command
from trading.domain.instrument import Instrument
from trading.domain.market import Quote
from trading.domain.money import ZERO
from trading.domain.order import Attempt, Fill, Intent, OrderReport, Side
from trading.domain.position import RoundTrip
from trading.domain.time import Timeframe
from trading.domain.tracker import NextLevel, Tracker
from trading.overview import (
    AccountView,
    ChartView,
    EndedTrackerView,
    HealthView,
    JobView,
    PositionView,
    StandingView,
    StatusView,
    SummaryView,
    TrackerView,
)
from trading.ports.storage import Recorded


@dataclass(frozen=True, slots=True)
class TrackerProposal:
    """What arming would do."""

    tracker: Tracker
    instrument: Instrument
    price: Decimal
    is_protecting: bool
    worst_case: Decimal | None
    notes: tuple[str, ...]
    level: Decimal | None = None
    next_level: NextLevel = NextLevel.FIRES


@dataclass(frozen=True, slots=True)
class EditProposal:
    """What a change of a live tracker would do; worst cases in quote units, against `price`."""

    before: Tracker
    after: Tracker
    instrument: Instrument
    is_loosening: bool
    worst_case_before: Decimal | None
    worst_case_after: Decimal | None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """A tracker that a sale takes coins from, in base units; with nothing left it ends."""

    tracker_id: int
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class OrderProposal:
    """What an order would roughly cost; `slippage` a share, `fee` in quote units."""

    symbol: str
    instrument: Instrument
    side: Side
    quantity: Decimal
    price: Decimal
    notional: Decimal
    slippage: Decimal
    fee: Decimal
    limit_price: Decimal | None
    notes: tuple[str, ...]
    shrunk: tuple[Shrinkage, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseLine:
    """One holding that would be sold."""

    symbol: str
    base: str
    quantity: Decimal
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Hurried:
    """An older sale that waits for a price, is blocked or given up: a closing has it sell at once.

    `released` base units of it stay unsold: the closing sells less than lies in it.
    """

    intent: Intent
    released: Decimal = ZERO

    @property
    def quantity(self) -> Decimal:
        """The base units that it sells."""
        return self.intent.residual - self.released

    @property
    def let_go(self) -> Decimal:
        """Those of the released that are not managed any more: they came under care only for it."""
        return max(min(self.released, self.intent.on_loan - self.intent.released), ZERO)


@dataclass(frozen=True, slots=True)
class CloseProposal:
    """What closing would sell, and what else is there: orders that are not ours, unmanaged coins.

    These stay untouched, but for a panic with everything: that cancels the orders and sells the
    coins too, all but the `unsellable`, by name and quantity. `foreign_orders` is None where the
    exchange did not tell; `price_age_s` is of the oldest price. `currency` is what the account
    counts in: what sales bring in of any other is not sold on. `is_in_doubt` says that more may be
    managed than is known. Sales `at_work` go on, whatever is confirmed; those `hurried` are
    sold at the market from then on.
    """

    lines: tuple[CloseLine, ...]
    trackers_cancelled: tuple[Tracker, ...]
    foreign_orders: tuple[OrderReport, ...] | None
    unmanaged: tuple[CloseLine, ...]
    price_age_s: float | None = None
    unsellable: tuple[tuple[str, Decimal], ...] = ()
    currency: str = ""
    shrunk: tuple[Shrinkage, ...] = ()
    is_in_doubt: bool = False
    at_work: tuple[Intent, ...] = ()
    hurried: tuple[Hurried, ...] = ()


@dataclass(frozen=True, slots=True)
class PlainProposal:
    """A sentence that says what would happen."""

    text: str


Facts = TrackerProposal | EditProposal | OrderProposal | CloseProposal | PlainProposal


@dataclass(frozen=True, slots=True)
class Shown:
    """What a question says of an amount; none of it may become more before it is done.

    `size` is what a relative amount (all, a share) or a tracker's comes to: coins to sell or to
    own, or money to spend; None for an amount that was typed. `adopted` are coins that come under
    Umbra's care with it, `orders` the ids of the decisions that it names: no others are given up.
    `rules` stands for the rules of a tracker that a change began from: others are asked anew.
    """

    size: Decimal | None = None
    adopted: Decimal = ZERO
    orders: tuple[str, ...] = ()
    rules: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A checked command: its facts, whether it must be asked, and what the person sees.

    `reference_price` is set where risk is added: a confirmation past the allowed drift is refused.
    So is one whose amount has outgrown what was `shown`. `value` is what is bought or sold, in the
    account's currency, None where no market tells.
    """

    command: Command
    facts: Facts
    needs_confirmation: bool
    reference_price: Decimal | None = None
    shown: Shown | None = None
    value: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, in one sentence; events tell the rest as they happen.

    `size` is what a sale by hand comes to, in coins.
    """

    text: str
    tracker_id: int | None = None
    intent_ids: tuple[str, ...] = ()
    size: Decimal | None = None


class Desk(Protocol):
    """The running agent as its front ends see it."""

    @property
    def is_simulated(self) -> bool:
        """Whether no real money can move: every card says SIMULATED or PAPER then."""
        ...

    @property
    def mode(self) -> str:
        """`live` or `paper`."""
        ...

    def instrument(self, text: str) -> Instrument:
        """Match what a person typed (`BTC/USDT`, `btcusdt`, `BTC-USDT`) against the list.

        Raises Refused with near misses; ambiguous and non-ASCII text is Refused too.
        """
        ...

    def quote(self, symbol: str) -> Quote | None:
        """Return the newest sane quote that is watched, or was read moments ago."""
        ...

    async def look(self, symbol: str) -> Quote | None:
        """Return the best prices, read where nobody watches them; None where none come in time."""
        ...

    def status(self) -> StatusView:
        """Return the whole state on one card."""
        ...

    def standing(self) -> StandingView:
        """Return what is wrong and was not acknowledged."""
        ...

    def positions(self) -> Sequence[PositionView]:
        """Return managed holdings, greatest value first."""
        ...

    def greatest_positions(self, most: int) -> Iterator[PositionView]:
        """Give the greatest managed holdings, each looked at when it is asked for."""
        ...

    def account(self) -> AccountView:
        """Return every balance, valued."""
        ...

    def open_orders(self) -> Sequence[tuple[Intent, Attempt | None]]:
        """Return our decisions at work and their newest attempts."""
        ...

    def trackers(self) -> Sequence[TrackerView]:
        """Return live trackers, nearest to fire first."""
        ...

    def tracker(self, tracker_id: int) -> TrackerView:
        """Return one live tracker; raises Refused when it is unknown or ended."""
        ...

    async def ended_tracker(self, tracker_id: int) -> EndedTrackerView:
        """Return one tracker that is over; raises Refused when there never was one."""
        ...

    def jobs(self) -> Sequence[JobView]:
        """Return the table of recurring jobs."""
        ...

    def health(self) -> HealthView:
        """Return the state of the process."""
        ...

    async def history(self, limit: int) -> Sequence[RoundTrip]:
        """Return finished exits, newest first."""
        ...

    async def fills(self, since: datetime | None, limit: int) -> Sequence[Fill]:
        """Return executions, newest first."""
        ...

    async def audit(self, limit: int) -> Sequence[Recorded]:
        """Return who asked what and what was decided, newest first."""
        ...

    async def chart(self, symbol: str, timeframe: Timeframe, limit: int) -> ChartView:
        """Return candles with trackers and fills; raises Unreachable."""
        ...

    async def summary(self, since: datetime) -> SummaryView:
        """Return what happened since a moment."""
        ...

    async def propose(self, command: Command, by: int) -> Proposal:
        """Check a command against the present state; raises Refused with what to send instead."""
        ...

    async def execute(
        self,
        command: Command,
        by: int,
        cause: str,
        reference_price: Decimal | None = None,
        shown: Shown | None = None,
    ) -> Outcome:
        """Do a command once per `cause` (a confirmation's nonce or an update's id).

        A second call with the same cause raises AlreadyRecorded. Raises Refused when the state has
        changed so that the command breaks a rule, or the price has drifted from `reference_price`;
        Outgrown when it would be more by now than was `shown`.
        """
        ...
