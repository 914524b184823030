"""Orders on two levels: the intent (a business decision) and its attempts (one request each)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from trading.domain.instrument import Instrument
from trading.domain.money import ZERO


class Side(Enum):
    """Buy or sell; `sign` is +1 for a buy, so that both share one body."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(Enum):
    """How an order is priced."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"


class TimeInForce(Enum):
    """How long a limit order lives."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


# Why the exchange ended an order that would have met one of the same account.
SELF_TRADE = "self-trade prevention"
# Why a sale found nothing left to sell, or a tracker ended before its private stop fired.
BACKSTOP_SOLD = "its backstop on the exchange sold"
# Why an entry is given up as everything is sold: what it buys after that is sold, too.
PANICKED = "a panic sells everything"


class OrderStatus(Enum):
    """The exchange's own word about an order."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def is_terminal(self) -> bool:
        """Whether the exchange will never change this order again."""
        return self not in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Exactly what one attempt sends; quantity in base units, price None for a market order.

    A STOP_LOSS sells at the market once the last trade is at or below `stop_price`, and locks the
    coins until then. `recv_window_ms` is how old the request may be when it arrives: the fence of
    an absence proof.
    """

    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    recv_window_ms: int = 5000
    stop_price: Decimal | None = None

    @property
    def rests(self) -> bool:
        """Whether it waits in the book until somebody takes its price."""
        is_limit = self.order_type is OrderType.LIMIT
        return is_limit and self.time_in_force is TimeInForce.GTC


@dataclass(frozen=True, slots=True)
class Fees:
    """What executions cost beside their price: in quote, and in coins whose worth nobody knew.

    `unpriced` are units by asset, sorted; `quote` does not count them.
    """

    quote: Decimal = ZERO
    unpriced: tuple[tuple[str, Decimal], ...] = ()

    def __add__(self, other: "Fees") -> "Fees":
        """Both together."""
        units = dict(self.unpriced)
        for asset, amount in other.unpriced:
            units[asset] = units.get(asset, ZERO) + amount
        return Fees(self.quote + other.quote, tuple(sorted(units.items())))

    def share(self, part: Decimal, whole: Decimal) -> "Fees":
        """What falls to `part` of `whole`."""
        units = tuple((asset, amount * part / whole) for asset, amount in self.unpriced)
        return Fees(self.quote * part / whole, units)


NO_FEES = Fees()


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; `trade_id` is the exchange's and unique per symbol.

    `fee_worth` is what the fee was worth in quote when the execution was booked: of a third coin at
    its price of that moment, of coins that a sale took at their own cost. It is None where the
    execution itself tells it, where no price was known, and in what older versions wrote.
    """

    symbol: str
    trade_id: str
    client_order_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime
    fee_worth: Decimal | None = None

    @property
    def notional(self) -> Decimal:
        """Quote value without fee."""
        return self.quantity * self.price

    def effects(self, base: str, quote: str) -> Iterator[tuple[str, Decimal]]:
        """Yield what it does to each asset of the account, in units."""
        yield base, self.side.sign * self.quantity
        yield quote, -self.side.sign * self.notional
        if self.fee:
            yield self.fee_asset, -self.fee

    def fees(self, base: str, quote: str) -> Fees:
        """What it cost beside its price."""
        if not self.fee:
            return NO_FEES
        worth = self.fee_worth
        if worth is None:
            told = {quote: self.fee, base: self.fee * self.price}
            worth = told.get(self.fee_asset)
        if worth is None:
            return Fees(unpriced=((self.fee_asset, self.fee),))
        return Fees(worth)


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the exchange says of one order: an answer, a query, or the user stream."""

    client_order_id: str
    exchange_order_id: str
    symbol: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None
    fills: tuple[Fill, ...]
    updated_at: datetime
    reason: str = ""


class SendPhase(Enum):
    """How far a request got before its outcome was known."""

    NOT_SENT = "not_sent"
    SENT = "sent"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class SendEvidence:
    """Everything observed about one order request; `execution.classify` turns it into a verdict."""

    phase: SendPhase
    http_status: int | None = None
    code: int | None = None
    message: str = ""
    report: OrderReport | None = None
    retry_after_s: float | None = None


class AttemptState(Enum):
    """Where one request stands; `reliability` §5.2 draws the machine."""

    JOURNALED = "journaled"
    SENT = "sent"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIAL = "partial"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    ABSENT = "absent"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more is expected of this attempt."""
        return self in TERMINAL_ATTEMPTS

    @property
    def words(self) -> str:
        """What a person reads of an order in this state, after `is`."""
        return "being cancelled" if self is AttemptState.PENDING_CANCEL else self.value


TERMINAL_ATTEMPTS = frozenset(
    {
        AttemptState.FILLED,
        AttemptState.CANCELED,
        AttemptState.EXPIRED,
        AttemptState.REJECTED,
        AttemptState.ABSENT,
    }
)


class Purpose(Enum):
    """Why an intent exists; only an entry adds risk and needs leave for it."""

    PROTECT = "protect"
    CLOSE = "close"
    PANIC = "panic"
    ENTRY = "entry"
    BACKSTOP = "backstop"

    @property
    def reduces_risk(self) -> bool:
        """Whether the intent only takes exposure away."""
        return self is not Purpose.ENTRY


class IntentState(Enum):
    """Where a decision stands."""

    OPEN = "open"
    BLOCKED = "blocked"
    DONE = "done"
    DUST = "dust"
    EXPIRED = "expired"
    CLOSED_EXTERNAL = "closed_external"
    ABORTED = "aborted"

    @property
    def is_terminal(self) -> bool:
        """Whether the decision needs no more work."""
        return self not in {IntentState.OPEN, IntentState.BLOCKED}


@dataclass(frozen=True, slots=True)
class Intent:
    """A decision to sell or buy; `quantity` in base for sells, `quote_budget` in quote for buys.

    `reference_price` is the price that the decision saw; `slippage_max` the share beyond it that a
    buy may pay, or the floor the person set for a sell (None: a protective sell has no floor).
    `stop_price` is where a backstop fires on the exchange. `cost` is what the coins sold so far had
    cost in quote, None where that is not known, and `fees` what of it their purchases were charged.
    A closing takes the price that an older sale waits for: it goes on at the market then.
    `given_up` says why it ends as soon as the end of its order is proven, empty while it goes on;
    `given_up_filled` are the base units of its executions that were booked by then. `adopted` are
    the base units that came under care only to be sold by it, `inherited` those that an older sale
    had to let go of and that it has taken over, `released` those that a closing took off it unsold,
    and `let_go` what has left care again with its end, less what a late execution sold of that
    after all.
    """

    intent_id: str
    symbol: str
    side: Side
    purpose: Purpose
    reference_price: Decimal
    created_at: datetime
    quantity: Decimal = ZERO
    quote_budget: Decimal | None = None
    slippage_max: Decimal | None = None
    limit_price: Decimal | None = None
    tracker_id: int | None = None
    arm_seq: int = 0
    expires_at: datetime | None = None
    state: IntentState = IntentState.OPEN
    reason: str = ""
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    attempts: int = 0
    stop_price: Decimal | None = None
    cost: Decimal | None = None
    fees: Fees = NO_FEES
    given_up: str = ""
    given_up_filled: Decimal = ZERO
    adopted: Decimal = ZERO
    inherited: Decimal = ZERO
    released: Decimal = ZERO
    let_go: Decimal = ZERO

    @property
    def residual(self) -> Decimal:
        """Base units still to be done; meaningful for sells and for buys sized in base."""
        return self.quantity - self.filled_quantity

    @property
    def on_loan(self) -> Decimal:
        """Base units that are under care only for it, or for an older sale, to sell them."""
        return self.adopted + self.inherited

    @property
    def unsold(self) -> Decimal:
        """Base units that it has not sold, those that a closing took off it among them."""
        return self.quantity + self.released - self.filled_quantity

    @property
    def to_let_go(self) -> Decimal:
        """Base units that came under care to be sold and are not: they would leave it again now.

        What was managed before counts as sold first.
        """
        return max(min(self.on_loan, self.unsold), ZERO)

    def still_let_go(self, sold: Decimal) -> Decimal:
        """Base units of what it has let go of, once all its executions come to `sold`.

        Those beyond what had been sold as it ended were late, and took these first.
        """
        return max(self.let_go - max(sold - self.filled_quantity, ZERO), ZERO)

    @property
    def budget(self) -> Decimal:
        """Quote units that a buy may spend at most."""
        if self.quote_budget is not None:
            return self.quote_budget
        return self.quantity * (self.limit_price or self.reference_price)

    @property
    def average_price(self) -> Decimal | None:
        """Volume-weighted price of the fills so far."""
        return self.filled_notional / self.filled_quantity if self.filled_quantity else None

    def left_over(self, rules: Instrument | None) -> Decimal:
        """What an end in part has left: quote units of a budget, base units of a quantity.

        It is 0 where nothing was done, and of what no order could do; without `rules`, those of a
        market that is gone, nothing is too little.
        """
        price, budget = self.average_price, self.quote_budget
        if price is None:
            return ZERO
        quantity = self.residual if budget is None else (budget - self.filled_notional) / price
        if quantity <= 0 or (rules is not None and rules.is_dust(quantity, price)):
            return ZERO
        return quantity if budget is None else budget - self.filled_notional


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of an intent with one client order id; at most one per intent is not terminal.

    `reported_at` is the exchange's time of the report that the state rests on.
    """

    intent_id: str
    number: int
    request: OrderRequest
    state: AttemptState
    prepared_at: datetime
    sent_at: datetime | None = None
    exchange_order_id: str | None = None
    filled_quantity: Decimal = ZERO
    reason: str = ""
    reported_at: datetime | None = None

    @property
    def client_order_id(self) -> str:
        """The id that the exchange knows this attempt by."""
        return self.request.client_order_id
