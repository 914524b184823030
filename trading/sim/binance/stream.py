"""Market streams: who listens to what, and what they are sent when the market moves."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from trading.domain.market import BookLevel
from trading.domain.order import Side
from trading.sim.binance import market_messages as messages
from trading.sim.binance.filters import number
from trading.sim.binance.market_rest import day_statistics
from trading.sim.binance.outlet import Outlet, drain
from trading.sim.binance.stream_names import Kind, Stream, parse_stream
from trading.sim.binance.venue import Venue
from trading.sim.orders import Traded
from trading.sim.world import Market

_NEWEST_ONLY = frozenset(
    {Kind.BOOK_TICKER, Kind.TICKER, Kind.MINI_TICKER, Kind.PARTIAL_DEPTH, Kind.KLINE}
)


class Subscriber:
    """A connection with the streams it asked for; combined ones get their frames wrapped."""

    def __init__(self, outlet: Outlet, is_combined: bool) -> None:
        self.outlet = outlet
        self.is_combined = is_combined
        self.streams: set[str] = set()


# Sizes by price, of bids and of asks, as they are written.
_Sides = tuple[dict[str, str], dict[str, str]]


class _DepthFeed:
    """What the subscribers of one depth stream know, so that the next event is the difference."""

    def __init__(self, update_id: int, sides: _Sides) -> None:
        self.last_id = update_id
        self._sides = sides
        self._read: tuple[set[str], set[str]] = (set(), set())

    def read(self, sides: _Sides) -> None:
        """Somebody read the book between two events: what it showed has to be undone as well."""
        for known, read, shown in zip(self._sides, self._read, sides, strict=True):
            read |= {price for price, _ in known.items() ^ shown.items()}

    def changes(self, sides: _Sides) -> tuple[list[list[str]], list[list[str]]]:
        bids, asks = map(_changes, self._sides, sides, self._read)
        self._sides, self._read = sides, (set(), set())
        return bids, asks


class MarketStreams:
    """Publishes what the world tells it; `tick` sends what goes out by the clock."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.subscribers: set[Subscriber] = set()
        self.muted_until_s = 0.0
        self.is_frozen = False
        self.muted_frames = 0
        self._by_stream: dict[str, set[Subscriber]] = {}
        self._parsed: dict[str, Stream] = {}
        self._depth: dict[str, _DepthFeed] = {}
        self._kline_opens: dict[str, int] = {}
        self._last_frames: dict[str, bytes] = {}
        self._moved: set[str] = set()
        venue.world.listeners.append(self)

    # ------------------------------------------------------------ who listens

    def subscribe(self, subscriber: Subscriber, names: list[str]) -> None:
        """Add streams; unknown names are taken and stay silent, as on the real exchange."""
        for name in names:
            subscriber.streams.add(name)
            self._by_stream.setdefault(name, set()).add(subscriber)
            stream = parse_stream(name)
            if stream is not None and name not in self._parsed:
                self._parsed[name] = stream
                self._begin(name, stream)

    def unsubscribe(self, subscriber: Subscriber, names: list[str]) -> None:
        """Take streams away."""
        for name in names:
            subscriber.streams.discard(name)
            listeners = self._by_stream.get(name, set())
            listeners.discard(subscriber)
            if not listeners:
                self._by_stream.pop(name, None)
                for known in (self._parsed, self._depth, self._kline_opens, self._last_frames):
                    known.pop(name, None)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a connection."""
        self.unsubscribe(subscriber, list(subscriber.streams))
        self.subscribers.discard(subscriber)

    async def drained(self) -> None:
        """Wait until all connections got what was published; slow ones are not waited for."""
        await drain([subscriber.outlet for subscriber in self.subscribers])

    # ------------------------------------------------------------ what the world tells

    def printed(self, market: Market, trade: Traded, now_ms: int) -> None:
        """Send a trade at once."""
        self._moved.add(market.symbol)
        symbol = market.instrument.exchange_symbol
        name = symbol.lower()
        for stream, event in ((f"{name}@trade", "trade"), (f"{name}@aggTrade", "aggTrade")):
            if stream in self._by_stream:
                self._publish(stream, _trade_frame(event, symbol, trade, now_ms))

    def book_changed(self, market: Market, now_ms: int) -> None:
        """Send the best bid and ask at once; depth follows by the clock."""
        self._moved.add(market.symbol)
        name = market.instrument.exchange_symbol.lower() + "@bookTicker"
        if name in self._by_stream:
            self._book_ticker(name, market, now_ms)

    def book_read(self, market: Market) -> None:
        """Remember what a reader of the book saw, for the next difference."""
        for name, feed in self._depth.items():
            is_other = self._parsed[name].symbol != market.instrument.exchange_symbol
            if not is_other and market.update_id != feed.last_id:
                feed.read(self._sides(market))

    # ------------------------------------------------------------ what goes by the clock

    def tick(self, now_ms: int, count: int) -> None:
        """Send what is due; called each 100 ms with a growing count."""
        moved, self._moved = self._moved, set()
        for name, stream in list(self._parsed.items()):
            if stream.is_due(count):
                self._send_due(name, stream, now_ms)
            elif stream.kind is Kind.KLINE and self._has_moved(stream, moved):
                self._klines(name, stream, now_ms)

    def push(self, market: Market, now_ms: int) -> None:
        """Send everything that shows this market now, whatever the clock says."""
        symbol = market.instrument.exchange_symbol
        for name, stream in list(self._parsed.items()):
            if stream.symbol == symbol:
                self._send_due(name, stream, now_ms)

    def _has_moved(self, stream: Stream, moved: set[str]) -> bool:
        market = self.venue.find_market(stream.symbol)
        return market is not None and market.symbol in moved

    def _send_due(self, name: str, stream: Stream, now_ms: int) -> None:
        if stream.is_array:
            self._array(name, stream, now_ms)
            return
        market = self.venue.find_market(stream.symbol)
        send = _SENDERS.get(stream.kind)
        if market is not None and send is not None:
            send(self, name, stream, market, now_ms)

    def _book_ticker_due(self, name: str, _stream: Stream, market: Market, now_ms: int) -> None:
        self._book_ticker(name, market, now_ms)

    def _klines_due(self, name: str, stream: Stream, _market: Market, now_ms: int) -> None:
        self._klines(name, stream, now_ms)

    def _book_ticker(self, name: str, market: Market, now_ms: int) -> None:
        bid, ask = self.venue.world.touch(market.symbol)
        self._publish_json(
            name,
            {
                "u": market.update_id,
                "s": market.instrument.exchange_symbol,
                "b": number(bid.price) if bid else "0.00000000",
                "B": number(bid.quantity) if bid else "0.00000000",
                "a": number(ask.price) if ask else "0.00000000",
                "A": number(ask.quantity) if ask else "0.00000000",
                # Binance's spot stream has no event time; clients ignore it, tests need it.
                "E": now_ms,
            },
            Kind.BOOK_TICKER,
        )

    def _ticker(self, name: str, stream: Stream, market: Market, now_ms: int) -> None:
        shown = day_statistics(self.venue, market, now_ms)
        self._publish_json(name, _TICKERS[stream.kind](shown, now_ms), stream.kind)

    def _array(self, name: str, stream: Stream, now_ms: int) -> None:
        event = _TICKERS[stream.kind]
        markets = self.venue.world.markets.values()
        rows = [event(day_statistics(self.venue, m, now_ms), now_ms) for m in markets]
        self._publish(name, orjson.dumps(rows), name)

    def _klines(self, name: str, stream: Stream, now_ms: int) -> None:
        market = self.venue.find_market(stream.symbol)
        if market is None or stream.timeframe is None:
            return
        symbol, interval = stream.symbol, stream.timeframe.name
        running = market.candles.running(stream.timeframe, now_ms)
        if self._kline_opens.get(name, running.open_ms) != running.open_ms:
            closed = market.candles.last_closed(stream.timeframe, now_ms)
            event = messages.kline_event(symbol, interval, closed, True, now_ms)
            # Not replaceable: everybody should see each candle close.
            self._publish(name, orjson.dumps(event))
        self._kline_opens[name] = running.open_ms
        event = messages.kline_event(symbol, interval, running, False, now_ms)
        self._publish(name, orjson.dumps(event), name)

    def _depth_difference(self, name: str, _stream: Stream, market: Market, now_ms: int) -> None:
        feed = self._depth[name]
        if market.update_id == feed.last_id:
            return
        self.venue.world.fresh_book(market.symbol, now_ms)
        bids, asks = feed.changes(self._sides(market))
        if not bids and not asks:
            return
        first_id, feed.last_id = feed.last_id + 1, market.update_id
        self._publish_json(
            name,
            {
                "e": "depthUpdate",
                "E": now_ms,
                "s": market.instrument.exchange_symbol,
                "U": first_id,
                "u": feed.last_id,
                "b": bids,
                "a": asks,
            },
        )

    def _partial_depth(self, name: str, stream: Stream, market: Market, now_ms: int) -> None:
        bids, asks = self.venue.world.depth(market.symbol, now_ms, stream.levels)
        shown = {
            "lastUpdateId": market.update_id,
            "bids": messages.levels(bids),
            "asks": messages.levels(asks),
        }
        self._publish_json(name, shown, stream.kind)

    def _begin(self, name: str, stream: Stream) -> None:
        market = self.venue.find_market(stream.symbol) if stream.symbol else None
        if market is None:
            return
        now_ms = self.venue.now_ms()
        if stream.kind is Kind.DEPTH:
            self.venue.world.fresh_book(market.symbol, now_ms)
            sides = self._sides(market)
            self._depth[name] = _DepthFeed(market.update_id, sides)

    def _sides(self, market: Market) -> _Sides:
        bids, asks = self.venue.exchange.books[market.symbol].depth()
        return _written(bids), _written(asks)

    # ------------------------------------------------------------ out

    def _publish_json(self, name: str, event: Mapping[str, Any], kind: Kind | None = None) -> None:
        self._publish(name, orjson.dumps(event), name if kind in _NEWEST_ONLY else None)

    def _publish(self, name: str, frame: bytes, newest_of: str | None = None) -> None:
        if asyncio.get_running_loop().time() < self.muted_until_s:
            self.muted_frames += 1
            if not self.is_frozen:
                return
            # A frozen feed repeats itself: messages come, their event time stands still.
            frame = self._last_frames.setdefault(name, frame)
        else:
            self._last_frames[name] = frame
        wrapped = b""
        for subscriber in self._by_stream.get(name, ()):
            if subscriber.is_combined:
                wrapped = wrapped or b'{"stream":"%b","data":%b}' % (name.encode(), frame)
            subscriber.outlet.send(wrapped if subscriber.is_combined else frame, newest_of)


_SENDERS: dict[Kind, Callable[[MarketStreams, str, Stream, Market, int], None]] = {
    Kind.BOOK_TICKER: MarketStreams._book_ticker_due,
    Kind.TICKER: MarketStreams._ticker,
    Kind.MINI_TICKER: MarketStreams._ticker,
    Kind.KLINE: MarketStreams._klines_due,
    Kind.DEPTH: MarketStreams._depth_difference,
    Kind.PARTIAL_DEPTH: MarketStreams._partial_depth,
}
_TICKERS = {
    Kind.TICKER: messages.ticker_event,
    Kind.MINI_TICKER: messages.mini_ticker_event,
}


def _trade_frame(event: str, symbol: str, trade: Traded, now_ms: int) -> bytes:
    maker = "true" if trade.aggressor is Side.SELL else "false"
    price, quantity = number(trade.price), number(trade.quantity)
    if event == "trade":
        ids = f'"t":{trade.trade_id}'
    else:
        ids = f'"a":{trade.trade_id},"f":{trade.trade_id},"l":{trade.trade_id}'
    return (
        f'{{"e":"{event}","E":{now_ms},"s":"{symbol}",{ids},"p":"{price}","q":"{quantity}",'
        f'"T":{now_ms},"m":{maker},"M":true}}'
    ).encode()


def _written(levels: Iterable[BookLevel]) -> dict[str, str]:
    return {number(level.price): number(level.quantity) for level in levels}


def _changes(
    before: Mapping[str, str], after: Mapping[str, str], read: set[str]
) -> list[list[str]]:
    changed = [price for price, size in after.items() if before.get(price) != size]
    gone = [price for price in before if price not in after]
    named = dict.fromkeys([*changed, *gone, *sorted(read)])
    return [[price, after.get(price, "0.00000000")] for price in named]
