"""The simulated market place: every market with its price, liquidity, tape and candles.

A scenario, a tape or a person (`set_price`) moves prices; the exchange matches against the
liquidity that follows them. Time is an argument; a stretch of time is played by `advance`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Protocol

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.market import BookLevel
from trading.domain.money import plain
from trading.domain.order import Side
from trading.domain.time import Timeframe
from trading.sim.candles import CandleStore, TapePrint
from trading.sim.catalogue import Catalogue
from trading.sim.exchange import Exchange
from trading.sim.history import Rows, history
from trading.sim.liquidity import Liquidity
from trading.sim.models import FeeSchedule
from trading.sim.orders import Execution, OrderChange, PlacedOrder, Traded
from trading.sim.scenario import STEP_MS, Scenario
from trading.sim.tape import Tape, TapeTick

_TAPE_KEPT = 1_000
_REFILL_MS = 250
# A pass plays at most this many steps one by one; a faster market skips the steps between.
_STEPS_PER_PASS = 40
_PRINT_QUOTE = 800.0


@dataclass(frozen=True, slots=True)
class TapeEntry:
    """A print with its time, as the public sees it."""

    trade: Traded
    at_ms: int


@dataclass(slots=True)
class Market:
    """One instrument as it trades now; `update_id` counts changes of its book."""

    instrument: Instrument
    price: Decimal
    liquidity: Liquidity
    candles: CandleStore
    adjustment: float = 1.0
    update_id: int = 1
    is_stale: bool = True
    refill_at_ms: int | None = None
    tape: deque[TapeEntry] = field(default_factory=lambda: deque(maxlen=_TAPE_KEPT))

    @property
    def symbol(self) -> str:
        """The name as in `BTC/USDT`."""
        return self.instrument.symbol


class WorldListener(Protocol):
    """Hears of prints and of books that changed."""

    def printed(self, market: Market, trade: Traded, now_ms: int) -> None:
        """A trade appeared on a market's tape."""
        ...

    def book_changed(self, market: Market, now_ms: int) -> None:
        """A market's book is different now."""
        ...

    def book_read(self, market: Market) -> None:
        """Somebody was shown a market's book."""
        ...


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """How the market moves: `speed` times the scenario's or the tape's own pace, or not at all."""

    seed: int = 7
    speed: float = 1.0
    is_still: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 10_000:
            raise Refused(f"speed should be above 0, at most 10000, was {self.speed}", example="1")


class World:
    """All markets of the exchange. Starts at `start_ms`; only `advance` and calls move it."""

    def __init__(
        self,
        listed: Catalogue,
        balances: Mapping[str, Decimal],
        settings: WorldSettings,
        start_ms: int,
        tape: Tape | None = None,
    ) -> None:
        self.settings = settings
        self.listeners: list[WorldListener] = []
        self._chance = Random(f"world {settings.seed}")
        self._prices = {coin: float(price) for coin, price in listed.coin_prices.items()}
        self._constant_prices = dict(listed.coin_prices)
        self.exchange = Exchange(balances, FeeSchedule(), self._price_in)
        self.exchange.listeners.append(self)
        self.markets: dict[str, Market] = {}
        # In order: a set of names would be told in another order in each process.
        self._touched: dict[str, None] = {}
        for instrument in listed.instruments:
            self._open_market(instrument, start_ms)
        self._by_coin = _markets_by_coin(self.markets.values())
        self._scenario = Scenario(settings.seed, self._prices)
        self._tape = tape.ticks(settings.seed) if tape else None
        self._next_tick: TapeTick | None = next(self._tape) if self._tape else None
        self._steps_done = 0

    # ------------------------------------------------------------ time

    def advance(self, now_ms: int, elapsed_ms: float) -> None:
        """Play what happens up to a moment: prices, refills, delayed matching.

        `elapsed_ms` since the start comes from a clock that never steps; `now_ms` stamps events.
        """
        for market in self.markets.values():
            due_ms = market.refill_at_ms
            # The exchange's clock may have been set back meanwhile.
            if due_ms is not None and not now_ms < due_ms <= now_ms + _REFILL_MS:
                self._refill(market, now_ms)
        self.exchange.release_late(now_ms)
        if not self.settings.is_still:
            played_ms = elapsed_ms * self.settings.speed
            if self._tape is None:
                self._play_scenario(played_ms, now_ms)
            else:
                self._play_tape(self._tape, played_ms, now_ms)
        self._announce(now_ms)

    def set_price(self, symbol: str, price: Decimal, now_ms: int) -> Decimal:
        """Move one market to a price (rounded to its tick) and print it; the others stay."""
        market = self.markets[symbol]
        tick = market.instrument.price_tick
        ceiling = market.instrument.price_max
        rounded = (price / tick).to_integral_value() * tick
        if rounded <= 0 or (ceiling is not None and rounded > ceiling):
            raise Refused(
                f"price should be from {plain(tick)} to {plain(ceiling or rounded)},"
                f" was {plain(price)}",
                example="65000",
            )
        market.adjustment = float(rounded) / self._cross(market.instrument)
        self._move(market, rounded, now_ms)
        self._announce(now_ms)
        return rounded

    def print_trade(self, symbol: str, price: Decimal, quantity: Decimal, now_ms: int) -> None:
        """Print a trade that the book knows nothing of, as a wrong tick would look."""
        market = self.markets[symbol]
        trade_id = self.exchange.books[symbol].take_trade_id()
        trade = Traded(trade_id, price, quantity, Side.BUY)
        for listener in self.listeners:
            listener.printed(market, trade, now_ms)

    # ------------------------------------------------------------ books

    def fresh_book(self, symbol: str, now_ms: int) -> Market:
        """Return a market whose book shows the liquidity around its present price."""
        market = self.markets[symbol]
        if market.is_stale:
            self._show(market, now_ms)
        return market

    def depth(
        self, symbol: str, now_ms: int, limit: int | None = None
    ) -> tuple[tuple[BookLevel, ...], tuple[BookLevel, ...]]:
        """Return bids and asks of a market, best first."""
        market = self.fresh_book(symbol, now_ms)
        for listener in self.listeners:
            listener.book_read(market)
        return self.exchange.books[symbol].depth(limit)

    def touch(self, symbol: str) -> tuple[BookLevel | None, BookLevel | None]:
        """Return the best bid and ask without making the whole book."""
        market = self.markets[symbol]
        book = self.exchange.books[symbol]
        if market.is_stale and not book.has_orders:
            return (
                market.liquidity.touch(Side.BUY, market.price),
                market.liquidity.touch(Side.SELL, market.price),
            )
        return book.best(Side.BUY), book.best(Side.SELL)

    def reshape(self, symbol: str, now_ms: int) -> None:
        """Show a market's liquidity anew, after its depth or spread was changed."""
        self._show(self.markets[symbol], now_ms)
        self._announce(now_ms)

    def announce(self, now_ms: int) -> None:
        """Tell the listeners which books changed since the last time."""
        self._announce(now_ms)

    # ------------------------------------------------------------ what the exchange tells

    def trade_printed(self, symbol: str, trade: Traded, now_ms: int) -> None:
        """Put a trade on the tape and into the candles, and pass it on."""
        market = self.markets[symbol]
        market.tape.append(TapeEntry(trade, now_ms))
        market.candles.take(
            TapePrint(
                trade.trade_id,
                float(trade.price),
                float(trade.quantity),
                now_ms,
                trade.aggressor is Side.BUY,
            )
        )
        if trade.taker_id is not None or trade.maker_id is not None:
            # Somebody took from the others; they come back a moment later.
            market.refill_at_ms = now_ms + _REFILL_MS
            self._changed(market)
        for listener in self.listeners:
            listener.printed(market, trade, now_ms)

    def order_changed(
        self, order: PlacedOrder, change: OrderChange, execution: Execution | None, now_ms: int
    ) -> None:
        """Count the book's change."""
        self._changed(self.markets[order.ticket.symbol])

    def balances_changed(self, assets: tuple[str, ...], now_ms: int) -> None:
        """Balances do not move markets."""

    # ------------------------------------------------------------ inside

    def _open_market(self, instrument: Instrument, start_ms: int) -> None:
        cross = Decimal(repr(self._cross(instrument)))
        price = max(instrument.price_tick, instrument.price_down(cross))
        seed, tick = self.settings.seed, float(instrument.price_tick)

        def history_of(timeframe: Timeframe, end_ms: int, end_price: float) -> Rows:
            return history(f"{seed} {instrument.symbol}", timeframe, end_ms, end_price, tick)

        self.exchange.list_instrument(instrument)
        self.markets[instrument.symbol] = Market(
            instrument,
            price,
            Liquidity(instrument, seed),
            CandleStore(history_of, start_ms, float(price)),
        )
        # An opening print, so that there is a last trade from the first moment on.
        size = self._print_size(self.markets[instrument.symbol], 0.0)
        self.exchange.trade(instrument.symbol, price, size, Side.BUY, start_ms)

    def _play_scenario(self, played_ms: float, now_ms: int) -> None:
        due = int(played_ms // STEP_MS) - self._steps_done
        moved: dict[str, float] = {}
        for left in range(due, 0, -1):
            moved.update(self._scenario.step())
            self._steps_done += 1
            if left <= _STEPS_PER_PASS or left % (due // _STEPS_PER_PASS) == 0:
                self._reprice(moved, now_ms)
                moved = {}

    def _play_tape(self, ticks: Iterator[TapeTick], played_ms: float, now_ms: int) -> None:
        while self._next_tick is not None and self._next_tick.after_ms <= played_ms:
            tick = self._next_tick
            base, quote = tick.market
            price = tick.price * self._prices.get(quote, 1.0)
            market = self.markets.get(f"{base}/{quote}")
            if market is not None:
                self._prices[base] = price
                self._follow(market, now_ms, tick.volume)
            self._reprice({base: price}, now_ms)
            self._next_tick = next(ticks, None)

    def _reprice(self, moved: Mapping[str, float], now_ms: int) -> None:
        self._prices.update(moved)
        symbols = dict.fromkeys(s for coin in moved for s in self._by_coin.get(coin, ()))
        for symbol in symbols:
            self._follow(self.markets[symbol], now_ms)

    def _follow(self, market: Market, now_ms: int, volume: float = 0.0) -> None:
        instrument = market.instrument
        tick = instrument.price_tick
        cross = self._cross(instrument) * market.adjustment
        price = max(tick, round(cross / float(tick)) * tick)
        if price != market.price or volume > 0:
            self._move(market, price, now_ms, volume)

    def _move(self, market: Market, price: Decimal, now_ms: int, volume: float = 0.0) -> None:
        aggressor = Side.BUY if price >= market.price else Side.SELL
        market.price = price
        market.is_stale = True
        self._changed(market)
        if self.exchange.books[market.symbol].has_orders:
            self._show(market, now_ms)
        quantity = self._print_size(market, volume)
        self.exchange.trade(market.symbol, price, quantity, aggressor, now_ms)

    def _refill(self, market: Market, now_ms: int) -> None:
        market.refill_at_ms = None
        self._show(market, now_ms)
        if self.exchange.books[market.symbol].last_price != market.price:
            # The price is what the reference says; our own order moved it for a moment only.
            quantity = self._print_size(market, 0.0)
            self.exchange.trade(market.symbol, market.price, quantity, Side.BUY, now_ms)

    def _show(self, market: Market, now_ms: int) -> None:
        market.is_stale = False
        levels = market.liquidity.levels
        self.exchange.refresh(
            market.symbol,
            levels(Side.BUY, market.price),
            levels(Side.SELL, market.price),
            now_ms,
        )
        self._changed(market)

    def _changed(self, market: Market) -> None:
        market.update_id += 1
        self._touched[market.symbol] = None

    def _announce(self, now_ms: int) -> None:
        touched, self._touched = self._touched, {}
        for symbol in touched:
            for listener in self.listeners:
                listener.book_changed(self.markets[symbol], now_ms)

    def _print_size(self, market: Market, volume: float) -> Decimal:
        step = market.instrument.quantity_step
        wanted = volume or _PRINT_QUOTE * self._chance.lognormvariate(0, 1) / float(market.price)
        return max(1, round(wanted / float(step))) * step

    def _cross(self, instrument: Instrument) -> float:
        return self._prices[instrument.base] / self._prices[instrument.quote]

    def _price_in(self, asset: str, quote: str) -> Decimal | None:
        market = self.markets.get(f"{asset}/{quote}")
        if market is not None:
            return market.price
        prices = self._constant_prices
        return prices[asset] / prices[quote] if asset in prices and quote in prices else None


def _markets_by_coin(markets: Iterable[Market]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for market in markets:
        for coin in (market.instrument.base, market.instrument.quote):
            found.setdefault(coin, []).append(market.symbol)
    return found
