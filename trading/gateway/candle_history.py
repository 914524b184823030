"""Past candles of any exchange that the client library knows, a page at a time, without a key."""

import asyncio
import difflib
import importlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from trading.candles.lengthening import source_of
from trading.candles.naming import symbol_among
from trading.candles.series import COLUMNS, Candles, candles_of
from trading.domain.errors import RateLimited, Refused, Unreachable
from trading.domain.time import Timeframe, to_ms
from trading.gateway.client import hooked, point
from trading.gateway.errors import LAST_ANSWER, failure_of, must_be_told
from trading.gateway.settings import GatewaySettings
from trading.gateway.translate.values import Unusable, sequence
from trading.ports import Clock

logger = logging.getLogger(__name__)

PAGE_MAX = 1000
_PAGE_UNKNOWN = 300
_TRIES = 8
_DELAY_S_MAX = 60.0
_SPOT_NUMBERS = 6
# Where a Binance candle keeps what the library does not pass on.
_BINANCE_EXTRA = (7, 8, 9)

_Answer = TypeVar("_Answer")
Sleep = Callable[[float], Awaitable[None]]


class CandleHistory:
    """One market of one exchange; made ready by `open`, and closed by `close`."""

    def __init__(
        self,
        settings: GatewaySettings,
        symbol: str,
        clock: Clock,
        page_max: int = PAGE_MAX,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.symbol = symbol
        self._settings = settings
        self._clock = clock
        self._page_max = page_max
        self._sleep = sleep
        self._api: Any = None
        self._behind_ms = 0

    async def open(self) -> None:
        """Load the markets and the exchange's clock, and put the symbol as the exchange does.

        One that it does not know, or that may be several, is Refused with those near.
        """
        self._api = await asyncio.to_thread(_load, self._settings, self.symbol)
        await self._ask(self._api.load_markets)
        exchange_id = self._settings.exchange_id
        self.symbol = symbol_among(self.symbol, self._api.markets, exchange_id)
        if self._api.has.get("fetchTime"):
            theirs_ms = await self._ask(self._api.fetch_time)
            self._behind_ms = max(to_ms(self._clock.now()) - int(theirs_ms), 0)

    async def close(self) -> None:
        """Close every connection; harmless when there is none."""
        if self._api is not None:
            await self._api.close()

    @property
    def exchange_id(self) -> str:
        """The exchange, by the library's name for it."""
        return self._settings.exchange_id

    @property
    def is_listed(self) -> bool:
        """Whether the symbol still trades, as far as the exchange says."""
        return self._api.markets[self.symbol].get("active") is not False

    @property
    def page_candles(self) -> int:
        """How many candles one answer holds at most."""
        told = self._api.feature_value(self.symbol, "fetchOHLCV", "limit") or _PAGE_UNKNOWN
        return min(int(told), self._page_max)

    def knows(self, timeframe: str) -> bool:
        """Whether the exchange has candles of this length."""
        return timeframe in (self._api.timeframes or {})

    def check_timeframe(self, timeframe: str) -> None:
        """Refuse a length of which the exchange has no candles."""
        if not self._api.has.get("fetchOHLCV") or not self.knows(timeframe):
            names = self._api.timeframes or {}
            known, source = " ".join(names) or "none", source_of(Timeframe(timeframe), names)
            made = "" if source is None else f". Download {source.name}, of which they are made"
            raise Refused(
                f"{self._settings.exchange_id} has no candles of {timeframe}; it has {known}{made}"
            )

    def now_ms(self) -> int:
        """Return the time by the slower of two clocks: a candle closed by it has closed."""
        return to_ms(self._clock.now()) - self._behind_ms

    async def page(self, timeframe: str, since_ms: int) -> Candles:
        """Read the candles that open from a moment on, in no promised order.

        Retries what may pass, with growing pauses or those that the exchange asks for; raises
        Unreachable or RateLimited when it does not pass.
        """
        limit = self.page_candles

        async def read() -> Sequence[Sequence[Any]]:
            rows: Any = await self._api.fetch_ohlcv(self.symbol, timeframe, since_ms, limit)
            must_be_told(rows, LAST_ANSWER.get(), "candles")
            return sequence(rows, "candles")

        return _candles(await self._ask(read))

    async def _ask(self, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for number in range(1, _TRIES + 1):
            try:
                return await self._ask_once(request)
            except RateLimited as error:
                if number == _TRIES:
                    raise
                delay_s = max(error.retry_after_s, 1.0)
            except Unreachable as error:
                if number == _TRIES:
                    raise
                logger.info("candles_retried", extra={"error": str(error)[:300]})
                delay_s = min(0.5 * 2.0**number, _DELAY_S_MAX)
            await self._sleep(delay_s)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _ask_once(self, request: Callable[[], Awaitable[_Answer]]) -> _Answer:
        LAST_ANSWER.set(None)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await request()
        except Exception as error:
            now_ms = to_ms(self._clock.now())
            raise failure_of(error, LAST_ANSWER.get(), now_ms) from error


def _load(settings: GatewaySettings, symbol: str) -> Any:
    library = importlib.import_module("ccxt.async_support")
    if settings.exchange_id not in library.exchanges:
        near = difflib.get_close_matches(settings.exchange_id, library.exchanges, n=3, cutoff=0.5)
        raise Refused(
            f"no exchange is called {settings.exchange_id!r}; near it are "
            f"{', '.join(near) or 'none'}",
            example="binance",
        )
    _, _, settle = symbol.partition(":")
    if settle and settings.rest_url is not None and settings.exchange_id.startswith("binance"):
        raise Refused("--rest-url leads to spot markets alone", example="--symbol BTC/USDT")
    kind = _with_all_numbers(hooked(getattr(library, settings.exchange_id)))
    linear = symbol.partition(":")[0].endswith(f"/{settle}")
    contract = "linear" if linear else "inverse"
    exchange = kind(
        {
            # Nobody else asks in this process, so the library's own pace is the right one.
            "enableRateLimit": True,
            "timeout": int(settings.timeout_s * 1000),
            "options": {
                "defaultType": "swap" if settle else "spot",
                # Only Binance reads this: it lists its kinds of markets apart.
                **(
                    {"fetchMarkets": {"types": [contract if settle else "spot"]}}
                    if settings.exchange_id.startswith("binance")
                    else {}
                ),
            },
        }
    )
    exchange.has["fetchCurrencies"] = False
    exchange.timeout_on_exit = 0
    if settings.rest_url is not None:
        point(exchange, settings)
    return exchange


def _with_all_numbers(base: Any) -> Any:
    # The library is loaded late, so its subclass can only be made here.
    class WithAllNumbers(base):
        def parse_ohlcv(self, ohlcv: Any, market: Any = None) -> list[Any]:
            row: list[Any] = super().parse_ohlcv(ohlcv, market)
            is_inverse = bool(market and market.get("inverse"))
            if self.id.startswith("binance") and isinstance(ohlcv, list) and not is_inverse:
                row += [self.safe_number(ohlcv, place) for place in _BINANCE_EXTRA]
            return row

    return WithAllNumbers


def _candles(rows: Sequence[Sequence[Any]]) -> Candles:
    if not all(len(row) >= _SPOT_NUMBERS and row[0] is not None for row in rows):
        raise Unusable("an answer should hold candles, each with its time")
    width = min((len(row) for row in rows), default=_SPOT_NUMBERS)
    columns = COLUMNS if width == len(COLUMNS) else COLUMNS[:_SPOT_NUMBERS]
    told = zip(*(row[: len(columns)] for row in rows), strict=True) if rows else [()] * len(columns)
    try:
        return candles_of(dict(zip(columns, told, strict=True)))
    except Refused as error:
        raise Unusable(str(error)) from error
