"""Orders and events as the book and the exchange know them: what goes in and what comes out."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum

from trading.domain.money import ZERO
from trading.domain.order import OrderStatus, Side, TimeInForce
from trading.sim.models import Fee, settled


class OrderKind(Enum):
    """What the exchange does with an order when it arrives."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def is_conditional(self) -> bool:
        """Whether the order waits for its stop price first."""
        return self in _RELEASED_AS

    @property
    def released_as(self) -> "OrderKind":
        """What a conditional order becomes when its stop price is reached."""
        return _RELEASED_AS.get(self, self)

    @property
    def is_stop(self) -> bool:
        """Whether the order sells below or buys above the market, as stops do."""
        return self in _STOPS

    @property
    def has_limit(self) -> bool:
        """Whether the order carries a limit price."""
        return self in _WITH_LIMIT


_RELEASED_AS = {
    OrderKind.STOP_LOSS: OrderKind.MARKET,
    OrderKind.TAKE_PROFIT: OrderKind.MARKET,
    OrderKind.STOP_LOSS_LIMIT: OrderKind.LIMIT,
    OrderKind.TAKE_PROFIT_LIMIT: OrderKind.LIMIT,
}
_WITH_LIMIT = frozenset(
    {
        OrderKind.LIMIT,
        OrderKind.LIMIT_MAKER,
        OrderKind.STOP_LOSS_LIMIT,
        OrderKind.TAKE_PROFIT_LIMIT,
    }
)
_STOPS = frozenset({OrderKind.STOP_LOSS, OrderKind.STOP_LOSS_LIMIT})


class SelfTrade(Enum):
    """Who gives way when an order would match another one of the same owner."""

    NONE = "NONE"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class EndReason(Enum):
    """Why the book is done with an order."""

    FILLED = "filled"
    CANCELED = "canceled"
    UNFILLED = "unfilled"
    WOULD_TAKE = "would_take"
    SELF_TRADE = "self_trade"


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order as the book needs it: sizes in base units, or `quote_quantity` for market orders.

    A buy never spends more than `spend_max` in quote; what it cannot afford ends unfilled.
    """

    order_id: int
    side: Side
    kind: OrderKind
    quantity: Decimal = ZERO
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    quote_quantity: Decimal | None = None
    spend_max: Decimal | None = None
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Traded:
    """A print; `taker_id` and `maker_id` name orders of the book, None stands for the others."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    aggressor: Side
    taker_id: int | None = None
    maker_id: int | None = None


@dataclass(frozen=True, slots=True)
class Triggered:
    """A stop price was reached; the order goes to market now."""

    order_id: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The book is done with an order; `status` is final."""

    order_id: int
    status: OrderStatus
    reason: EndReason


BookEvent = Traded | Triggered | Ended


@dataclass(frozen=True, slots=True)
class OrderTicket:
    """What somebody asks for: base quantity, or `quote_quantity` for market orders."""

    symbol: str
    client_order_id: str
    side: Side
    kind: OrderKind
    quantity: Decimal = ZERO
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of one order, with the fee it cost."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Fee
    is_maker: bool
    at_ms: int

    @property
    def notional(self) -> Decimal:
        """Quote value without fee, as the account books it."""
        return settled(self.price * self.quantity)


class OrderChange(Enum):
    """What just happened to an order."""

    ACCEPTED = "accepted"
    TRIGGERED = "triggered"
    TRADED = "traded"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(slots=True)
class PlacedOrder:
    """An order the exchange took, as it stands now.

    `working_ms` is since when it could trade: for a stop that never fired, None.
    """

    order_id: int
    ticket: OrderTicket
    quantity: Decimal
    created_ms: int
    updated_ms: int
    status: OrderStatus = OrderStatus.NEW
    end_reason: EndReason | None = None
    executed: Decimal = ZERO
    notional: Decimal = ZERO
    reserved: Decimal = ZERO
    is_working: bool = True
    working_ms: int | None = None
    executions: list[Execution] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return not self.status.is_terminal
