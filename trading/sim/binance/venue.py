"""What stands behind the wire: the market place, its one account, and the exchange's own clock."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from trading.domain.money import ZERO
from trading.sim.binance.codes import ApiError, illegal
from trading.sim.binance.tickets import Params
from trading.sim.liquidity import hash_of
from trading.sim.orders import PlacedOrder
from trading.sim.world import Market, World

_SYMBOL = "^[A-Z0-9-_.]{1,20}$"
_PERMISSIONS = {
    "ipRestrict": True,
    "enableReading": True,
    "enableSpotAndMarginTrading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFixApiTrade": False,
    "enableFixReadOnly": False,
    "enablePortfolioMarginTrading": False,
}


@dataclass(slots=True)
class OrderEffects:
    """What faults do to the next order: when it is matched, and how long queries miss it."""

    match_after_ms: int = 0
    hidden_ms: int = 0
    on_hidden_query: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a handler sees it."""

    params: Params
    now_ms: int
    effects: OrderEffects = field(default_factory=OrderEffects)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that came or went without a trade."""

    number: int
    asset: str
    delta: Decimal
    at_ms: int


@dataclass(frozen=True, slots=True)
class _Hidden:
    until_ms: int
    is_absent: bool
    on_query: Callable[[], None] | None


class Venue:
    """The simulated exchange as Binance presents it. `clock` gives Unix milliseconds."""

    def __init__(self, world: World, key: str, secret: str, clock: Callable[[], int]) -> None:
        self.world = world
        self.exchange = world.exchange
        self.key = key
        self.secret = secret
        self.offset_ms = 0
        self.permissions = dict(_PERMISSIONS)
        self.is_key_revoked = False
        # Exchange symbols and when (Unix milliseconds) they stop being traded.
        self.delistings: dict[str, int] = {}
        self.traps: list[dict[str, Any]] = []
        self.transfers: list[Transfer] = []
        self.cancel_ids: dict[int, str] = {}
        # The account's number: the same for the same key, as a real one would be.
        self.uid = hash_of(key)
        self._clock = clock
        self._hidden: dict[int, _Hidden] = {}
        self._ids = 0
        self._symbols = {m.instrument.exchange_symbol: s for s, m in world.markets.items()}

    def now_ms(self) -> int:
        """Return the exchange's time, which may be off."""
        return self._clock() + self.offset_ms

    def market(self, params: Params) -> Market:
        """Return the market a request names; Binance's errors for none or an unknown one."""
        name = params.get("symbol", "")
        if not name:
            raise ApiError(
                -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            )
        return self.market_named(name)

    def market_named(self, name: str) -> Market:
        """Return a market by its Binance name."""
        symbol = self._symbols.get(name)
        if symbol is None and not re.fullmatch(_SYMBOL, name):
            raise illegal("symbol", _SYMBOL)
        if symbol is None:
            raise ApiError(-1121, "Invalid symbol.")
        return self.world.markets[symbol]

    def find_market(self, name: str) -> Market | None:
        """Return a market by `BTCUSDT`, `btcusdt` or `BTC/USDT`, or None."""
        symbol = self._symbols.get(name.upper().replace("/", ""))
        return None if symbol is None else self.world.markets[symbol]

    def new_client_id(self) -> str:
        """Return an id for requests that brought none."""
        self._ids += 1
        return f"sim{self.uid:08x}{self._ids:010d}"

    def hide(self, order: PlacedOrder, effects: OrderEffects, now_ms: int) -> None:
        """Keep an order out of queries for a while."""
        if effects.hidden_ms > 0:
            until_ms = now_ms + effects.hidden_ms
            self._hidden[order.order_id] = _Hidden(
                until_ms, effects.match_after_ms > 0, effects.on_hidden_query
            )

    def is_hidden(self, order_id: int, now_ms: int) -> bool:
        """Whether queries do not know this order yet; a query that misses it is counted."""
        hidden = self._hidden.get(order_id)
        if hidden is None:
            return False
        if now_ms >= hidden.until_ms:
            del self._hidden[order_id]
            return False
        if hidden.on_query is not None:
            hidden.on_query()
        return True

    def is_absent(self, order_id: int, now_ms: int) -> bool:
        """Whether the order has not even reached the engine, so that a cancel misses it too."""
        hidden = self._hidden.get(order_id)
        return hidden is not None and hidden.is_absent and now_ms < hidden.until_ms

    def transfer(self, asset: str, delta: Decimal) -> Transfer:
        """Deposit or withdraw, and remember it."""
        now_ms = self.now_ms()
        if delta != ZERO:
            self.exchange.transfer(asset, delta, now_ms)
        transfer = Transfer(len(self.transfers) + 1, asset, delta, now_ms)
        self.transfers.append(transfer)
        return transfer
