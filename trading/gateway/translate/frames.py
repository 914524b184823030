"""The plain frames of Binance's busiest streams, read straight from their text.

Only what looks exactly as documented is read here. Whatever does not is left to the general way,
which knows why it is unusable: this reader returns None and decides nothing.
"""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DecimalException
from math import floor
from typing import Any

import orjson

from trading.domain.making import maker
from trading.domain.market import MarketTrade, Quote
from trading.gateway.translate.values import DIGITS_MAX, TIME_MS_MAX, TIME_MS_MIN
from trading.ports.clock import Clock

_parsed = orjson.loads
# Reads a text with room for each of its digits: what the class does, for 25 ns less a number.
_exactly = Context(prec=DIGITS_MAX).create_decimal
_quote = maker(Quote)
_trade = maker(MarketTrade)
_PRINTS = frozenset({"trade", "aggTrade"})
_BOOK = "bookTicker"
_KNOWN_MAX = 20_000
# Well within what the general way believes, so that one comparison of either end is enough.
_LEAST = Decimal("1e-18")
_MOST = Decimal("1e18")
# How long the monotonic clock carries the wall clock on before that is asked again.
_ANCHORED_S = 0.25


class _Prices(dict[str, Decimal]):
    """Prices by their texts, which come back again and again: one that is known is not read."""

    __slots__ = ()

    def __missing__(self, text: str) -> Decimal:
        value = _number(text)
        if len(self) >= _KNOWN_MAX:
            self.clear()
        self[text] = value
        return value


class Frames:
    """Reads the frames of some instruments; keeps the prices that it has read lately."""

    __slots__ = (
        "_anchor_ms",
        "_anchor_s",
        "_anchored_until_s",
        "_clock",
        "_now_ms",
        "_price_of",
        "_symbols",
    )

    def __init__(self, symbols: Mapping[str, str], clock: Clock, now_ms: Callable[[], int]) -> None:
        self._symbols = dict(symbols)
        self._clock = clock
        self._now_ms = now_ms
        self._price_of = _Prices()
        self._anchor_s = self._anchored_until_s = float("-inf")
        self._anchor_ms = 0.0

    def read(self, frame: str | bytes) -> Quote | MarketTrade | None:
        """Return what a plain frame says, None for every other one; never raises."""
        # Books come most often, and are read in place: each call would cost 50 ns of 4 µs.
        try:
            said = _parsed(frame)
            symbol = self._symbols[said["s"]]
            event = said.get("e")
            if event is not None and event != _BOOK:
                return self._trade(said, symbol) if event in _PRINTS else None
            price_of = self._price_of
            bid, ask = price_of[said["b"]], price_of[said["a"]]
            # Quantities hardly ever come back.
            bid_size_text, ask_size_text = said["B"], said["A"]
            if (
                type(bid_size_text) is not str
                or type(ask_size_text) is not str
                or len(bid_size_text) > DIGITS_MAX
                or len(ask_size_text) > DIGITS_MAX
            ):
                return None
            bid_size, ask_size = _exactly(bid_size_text), _exactly(ask_size_text)
            if not (_LEAST <= bid_size < _MOST and _LEAST <= ask_size < _MOST):
                return None
            received_s = self._clock.monotonic()
            if "E" not in said:
                if not self._anchor_s <= received_s < self._anchored_until_s:
                    self._anchor(received_s)
                at_ms = floor(self._anchor_ms + received_s * 1000)
            elif not _is_time(at_ms := said["E"]):
                return None
            return _quote(symbol, bid, bid_size, ask, ask_size, at_ms, received_s)
        except (KeyError, TypeError, ValueError, AttributeError, DecimalException):
            return None

    def _trade(self, said: dict[str, Any], symbol: str) -> MarketTrade | None:
        price_text, at_ms = said["p"], said["E"]
        if not _is_time(at_ms):
            return None
        return _trade(
            symbol, self._price_of[price_text], _number(said["q"]), at_ms, self._clock.monotonic()
        )

    def _anchor(self, now_s: float) -> None:
        self._anchor_s, self._anchored_until_s = now_s, now_s + _ANCHORED_S
        # Half a millisecond more, so that cutting off rounds.
        self._anchor_ms = self._now_ms() - now_s * 1000 + 0.5


def _number(text: object) -> Decimal:
    if type(text) is not str or len(text) > DIGITS_MAX:
        raise ValueError(text)
    value = _exactly(text)
    if not _LEAST <= value < _MOST:
        raise ValueError(text)
    return value


def _is_time(value: object) -> bool:
    return type(value) is int and TIME_MS_MIN <= value <= TIME_MS_MAX
