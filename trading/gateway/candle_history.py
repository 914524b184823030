"""Past candles of any exchange that the client library knows, a page at a time, without a key."""

import asyncio
import difflib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trading.candles.lengthening import source_of
from trading.candles.naming import symbol_among
from trading.candles.series import COLUMNS, Candles, candles_of
from trading.domain.errors import RateLimited, Refused, UmbraError, Unreachable
from trading.domain.time import Timeframe, to_ms
from trading.gateway.client import hooked, point
from trading.gateway.errors import (
    LAST_ANSWER,
    Answer,
    code_of,
    failure_of,
    must_be_told,
    why_silent,
)
from trading.gateway.library import REQUESTING, library
from trading.gateway.settings import GatewaySettings
from trading.gateway.translate.values import Unusable, sequence, shown
from trading.ports.clock import Clock

logger = logging.getLogger(__name__)

PAGE_MAX = 1000
_PAGE_UNKNOWN = 300
_TRIES = 8
_DELAY_S_MAX = 60.0
# A person who sees nothing for longer believes that it hangs.
_TOLD_AFTER_S = 3.0
_GOES_ON = "the same command goes on from here"
# What the library calls a wrong question, whether it or the exchange noticed; asking it once more
# would bring the same answer.
_WRONG_QUESTIONS = frozenset({"BadRequest", "NotSupported", "ArgumentsRequired"})
_PASSING_STATUSES = frozenset({408, 425})
# Binance's own trouble, whatever the status: unknown, disconnected, unexpected, timeout, overload.
_PASSING_CODES = frozenset({-1000, -1001, -1006, -1007, -1008})
_SPOT_NUMBERS = 6
# Where a Binance candle keeps what the library does not pass on.
_BINANCE_EXTRA = (7, 8, 9)

_Answer = TypeVar("_Answer")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A try that brought nothing, or nothing so far: then there is no `next_s`."""

    why: str
    number: int
    tries: int
    next_s: float | None


Tell = Callable[[Unanswered | None], None]
"""Hears of each try that brings nothing, and of None when an answer came after all."""


def _nobody(_unanswered: Unanswered | None) -> None:
    return None


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
        self._tell: Tell = _nobody

    async def open(self, tell: Tell = _nobody) -> None:
        """Load the markets and the exchange's clock, and put the symbol as the exchange does.

        One that it does not know, or that may be several, is Refused with those near, and so is an
        address that is none. From now on `tell` hears when the exchange does not answer.
        """
        _check_root(self._settings.rest_url)
        self._tell = tell
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
        Unreachable or RateLimited when it does not pass, and Refused at once when it cannot.
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
                answer = await self._ask_once(request, number)
            except (RateLimited, Unreachable) as error:
                if number == _TRIES:
                    raise self._given_up(error) from error
                delay_s = _delay_s(error, number)
                logger.info("candles_retried", extra={"error": str(error)[:300]})
                self._tell(Unanswered(error.words, number, _TRIES, delay_s))
                await self._sleep(delay_s)
            else:
                self._tell(None)
                return answer
        raise AssertionError("unreachable: the last try returns or raises")

    async def _ask_once(self, request: Callable[[], Awaitable[_Answer]], number: int) -> _Answer:
        LAST_ANSWER.set(None)
        so_far = Unanswered(Unreachable().words, number, _TRIES, None)
        telling = asyncio.get_running_loop().call_later(_TOLD_AFTER_S, self._tell, so_far)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await request()
        except Exception as error:
            raise self._failure_of(error) from error
        finally:
            telling.cancel()

    def _failure_of(self, error: Exception) -> UmbraError:
        seen = LAST_ANSWER.get()
        if _is_wrong_question(error, seen):
            told = str(error) if seen is None else code_of(seen.body)[1]
            status = "" if seen is None else f" (http {seen.status})"
            return Refused(
                f"{self._settings.exchange_id} does not give candles of {self.symbol} to such a "
                f"request: {shown(told)}{status}. Asking again would not help"
            )
        failure = failure_of(error, seen, to_ms(self._clock.now()))
        if type(failure) is not Unreachable:
            return failure
        if seen is None:
            return Unreachable(why_silent(error))
        return Unreachable(f"http {seen.status}, {shown(code_of(seen.body)[1])}")

    def _given_up(self, error: RateLimited | Unreachable) -> RateLimited | Unreachable:
        where = self._settings.rest_url or self._settings.exchange_id
        check = "--rest-url" if self._settings.rest_url else "this machine's network"
        if isinstance(error, RateLimited):
            said = f"{where} still asks for a pause after {_TRIES} tries ({error}). Wait"
            return RateLimited(f"{said}; {_GOES_ON}", error.retry_after_s)
        does = "gives no usable answer" if isinstance(error, Unusable) else "does not answer"
        said = f"{where} {does} after {_TRIES} tries: {error}. Check {check}"
        return Unreachable(f"{said}; {_GOES_ON}")


def _delay_s(error: RateLimited | Unreachable, number: int) -> float:
    if isinstance(error, RateLimited):
        return max(error.retry_after_s, 1.0)
    return min(0.5 * 2.0**number, _DELAY_S_MAX)


def _is_wrong_question(error: Exception, seen: Answer | None) -> bool:
    """Whether the same request can never be answered."""
    if isinstance(error, Unusable):
        return False
    is_called_so = any(kind.__name__ in _WRONG_QUESTIONS for kind in type(error).__mro__)
    if seen is None or seen.status < 400:
        return is_called_so
    is_ours = 400 <= seen.status < 500 and seen.status not in _PASSING_STATUSES
    failure = failure_of(error, seen, 0)
    return is_ours and type(failure) is Unreachable and code_of(seen.body)[0] not in _PASSING_CODES


def _check_root(rest_url: str | None) -> None:
    if rest_url is None:
        return
    try:
        parts = urlsplit(rest_url)
        is_root = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_root = False
    if not is_root:
        raise Refused(
            f"--rest-url should begin with http:// or https:// and name a host, was "
            f"{rest_url[:80]!r}",
            example="--rest-url http://127.0.0.1:8090",
        )


def _load(settings: GatewaySettings, symbol: str) -> Any:
    known = library(REQUESTING)
    if settings.exchange_id not in known.exchanges:
        near = difflib.get_close_matches(settings.exchange_id, known.exchanges, n=3, cutoff=0.5)
        raise Refused(
            f"no exchange is called {settings.exchange_id!r}; near it are "
            f"{', '.join(near) or 'none'}",
            example="binance",
        )
    _, _, settle = symbol.partition(":")
    if settle and settings.rest_url is not None and settings.exchange_id.startswith("binance"):
        raise Refused("--rest-url leads to spot markets alone", example="--symbol BTC/USDT")
    kind = _with_all_numbers(hooked(getattr(known, settings.exchange_id)))
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

        def parse_ohlcvs(
            self,
            ohlcvs: Any,
            market: Any = None,
            timeframe: str = "1m",
            since: int | None = None,
            limit: int | None = None,
            tail: bool = False,
        ) -> list[Any]:
            if not isinstance(ohlcvs, list):
                # A page of HTML, or half an answer: letters are no candles.
                return []
            # Times in another unit are for our own check; the library would drop them as too old.
            rows: list[Any] = super().parse_ohlcvs(ohlcvs, market, timeframe, None, None, tail)
            return [row for row in rows if row[0] is not None]

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
