"""The gateway to a real exchange: deadlines, throttle, and every failure told in our words."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from trading.domain.errors import AccountEmpty, RateLimited, Refused, UmbraError, Unreachable
from trading.domain.instrument import Instrument
from trading.domain.market import Candle, MarketTrade, OrderBook, Quote
from trading.domain.order import Fill, OrderReport, OrderRequest, SendEvidence, SendPhase
from trading.domain.position import Balance, Movement
from trading.domain.redaction import masking_foreign
from trading.domain.time import Timeframe, to_ms
from trading.gateway import errors, server_time
from trading.gateway.client import FRESH_S, HELD_BACK
from trading.gateway.errors import LAST_ANSWER
from trading.gateway.server_time import Sample
from trading.gateway.settings import GatewaySettings
from trading.gateway.silence import SILENCE_MAX, Silence, Silences, left_s
from trading.gateway.throttle import Throttle
from trading.gateway.venue import Venue
from trading.ports.clock import Clock
from trading.ports.exchange import KeyPermissions

logger = logging.getLogger(__name__)

_CLOCK_SAMPLES = 3
_CLOCK_SAMPLING_S = 1.0
_CLOCK_ERROR_MAX = timedelta(hours=6)
# The answers to requests that were under way together name one end, less the way of each.
_SAME_END = timedelta(seconds=2)
# The exchange counts weight in minutes of its own clock.
_WINDOW_MS = 60_000
# Asked without the key, so that no answer to it is a word about the key.
_PUBLIC = frozenset(
    {
        *("instruments", "quote", "quotes", "last_trade", "last_prices", "order_book"),
        *("candles", "server_time"),
    }
)
_Read = TypeVar("_Read")


class CcxtGateway:
    """One account behind the port; orders are sent once, reads are never evidence by failing."""

    def __init__(
        self,
        settings: GatewaySettings,
        clock: Clock,
        venue: Venue,
        silences: Silences | None = None,
    ) -> None:
        """`silences` keeps what the exchange asks for, for the process after this one."""
        self._settings = settings
        self._clock = clock
        self._venue = venue
        # What went out with a request can come back in any text: from here on there is none of it.
        self._masked = masking_foreign((settings.api_key, settings.secret, *settings.other_secrets))
        self._throttle = Throttle(
            settings.weight_per_minute,
            settings.weight_share_for_exits,
            settings.weight_share_for_orders,
            settings.weight_share_for_prices,
        )
        self._silences = silences
        self._silence = silences.kept() if silences is not None else None
        if self._silence is not None:
            self._throttle.be_silent(left_s(self._silence, clock.now()), clock.monotonic())
        self._rules_at_connect: Mapping[str, Instrument] | None = None
        # Exchange time minus ours; None before the first measurement.
        self._measured_ms: int | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether every URL leads to this machine."""
        return self._settings.is_loopback

    async def connect(self) -> None:
        """Load the library and the rules, and measure the clock."""
        await self._venue.open()
        self._rules_at_connect = None
        self._rules_at_connect = await self.instruments()
        await self.clock_offset_ms()

    async def close(self) -> None:
        """Close every connection."""
        await self._venue.close()

    # ------------------------------------------------------------ public

    async def instruments(self) -> Mapping[str, Instrument]:
        """Load every spot instrument; the first call after `connect` gives what that has read."""
        rules, self._rules_at_connect = self._rules_at_connect, None
        if rules is not None:
            # The rules of a whole exchange are megabytes.
            return rules
        return await self._read("instruments", self._venue.instruments)

    async def quote(self, symbol: str) -> Quote:
        """Read best bid and ask."""
        return await self._read("quote", lambda: self._venue.quote(symbol))

    @property
    def quotes_max(self) -> int:
        """How many symbols `quotes` takes."""
        return self._venue.quotes_max

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read best bid and ask of several symbols in one request; unusable ones are left out."""
        return await self._read("quotes", lambda: self._venue.quotes(symbols))

    async def last_trade(self, symbol: str) -> MarketTrade:
        """Read the newest print."""
        return await self._read("last_trade", lambda: self._venue.last_trade(symbol))

    async def last_prices(self) -> Mapping[str, Decimal]:
        """Read the last price of every instrument."""
        return await self._read("last_prices", self._venue.last_prices)

    async def order_book(self, symbol: str, limit: int = 100) -> OrderBook:
        """Read depth."""
        return await self._read("order_book", lambda: self._venue.order_book(symbol, limit))

    async def candles(
        self, symbol: str, timeframe: Timeframe, limit: int, since: datetime | None = None
    ) -> Sequence[Candle]:
        """Read candles, oldest first."""
        return await self._read(
            "candles", lambda: self._venue.candles(symbol, timeframe, limit, since)
        )

    async def stream_market(
        self,
        symbols: frozenset[str],
        on_trade: Callable[[MarketTrade], None],
        on_quote: Callable[[Quote], None],
        on_ending: Callable[[], None] = lambda: None,
    ) -> None:
        """Stream prints and quotes until cancelled; raises Unreachable when it is lost."""
        with self._without_secrets():
            await self._venue.stream_market(symbols, on_trade, on_quote, on_ending)

    def candle_source(self, timeframe: Timeframe) -> Timeframe | None:
        """Return of which candles those of a length are made, None where of none."""
        return self._venue.candle_source(timeframe)

    async def stream_candles(
        self,
        wanted: Mapping[str, frozenset[Timeframe]],
        on_candle: Callable[[str, Timeframe, Candle, int], None],
    ) -> None:
        """Stream candles until cancelled; raises Unreachable when a connection is lost."""
        with self._without_secrets():
            await self._venue.stream_candles(wanted, on_candle)

    # ------------------------------------------------------------ account

    async def account_id(self) -> str:
        """Return the exchange's id of this account."""
        return await self._read("account_id", self._venue.account_id)

    async def delistings(self) -> Mapping[str, datetime]:
        """Read when which symbols stop being traded."""
        return await self._read("permissions", self._venue.delistings)

    async def permissions(self) -> KeyPermissions:
        """Read what the key may do."""
        return await self._read("permissions", self._venue.permissions)

    async def clock_offset_ms(self) -> int:
        """Measure exchange time minus ours, and sign with what is to be believed of it."""
        samples: list[Sample] = []
        ends_s = self._clock.monotonic() + _CLOCK_SAMPLING_S
        # Over a slow line more samples take time and say no more.
        while len(samples) < _CLOCK_SAMPLES and (not samples or self._clock.monotonic() <= ends_s):
            ours_ms, asked_s = to_ms(self._clock.now()), self._clock.monotonic()
            theirs_ms = await self._read("server_time", self._venue.server_time_ms)
            samples.append(Sample.of(ours_ms, theirs_ms, self._clock.monotonic() - asked_s))
        measured_ms = server_time.offset_ms(samples, self._measured_ms)
        if measured_ms is None:
            raise Unreachable("the exchange's clock could not be read")
        self._measured_ms = measured_ms
        self._venue.set_clock_offset(measured_ms)
        return measured_ms

    async def balances(self) -> Mapping[str, Balance]:
        """Read all non-zero balances; none at all is no answer."""
        return _held(await self._read("balances", self._venue.balances))

    async def balances_by_stream(self) -> Mapping[str, Balance] | None:
        """Read all non-zero balances over another way; None where the exchange has none."""
        found = await self._read("balances_by_stream", self._venue.balances_by_stream)
        return None if found is None else _held(found)

    async def submit(
        self, request: OrderRequest, durable: Awaitable[None] | None = None
    ) -> SendEvidence:
        """Send an order once and return everything observed."""
        HELD_BACK.set(durable)
        window_ms = min(request.recv_window_ms, self._settings.recv_window_ms)
        return await self._send("create", lambda: self._venue.create(request), window_ms)

    async def cancel(self, symbol: str, client_order_id: str) -> SendEvidence:
        """Ask to cancel once and return everything observed."""
        window_ms = self._settings.recv_window_ms
        return await self._send(
            "cancel", lambda: self._venue.cancel(symbol, client_order_id), window_ms
        )

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Query one order; None only on the exchange's definitive word."""
        return await self._read("order", lambda: self._venue.order(symbol, client_order_id))

    async def open_orders(self, symbol: str | None = None) -> Sequence[OrderReport]:
        """Read open orders, foreign ones included."""
        return await self._read("open_orders", lambda: self._venue.open_orders(symbol))

    async def orders_since(self, symbol: str, since: datetime) -> Sequence[OrderReport]:
        """Read all orders of a symbol since a time, or since hours before it."""
        begin = self._by_their_clock(since)
        return await self._read("orders_since", lambda: self._venue.orders_since(symbol, begin))

    async def fills_since(self, symbol: str, since: datetime) -> Sequence[Fill]:
        """Read our executions of a symbol since a time, or since hours before it."""
        begin = self._by_their_clock(since)
        return await self._read("fills_since", lambda: self._venue.fills_since(symbol, begin))

    async def stream_account(
        self,
        on_report: Callable[[OrderReport], None],
        on_balance: Callable[[Balance], None],
        on_movement: Callable[[Movement], None] = lambda _movement: None,
    ) -> None:
        """Stream reports, balances and movements until cancelled; raises Unreachable when lost."""
        with self._without_secrets():
            await self._venue.stream_account(
                lambda report: on_report(self._told(report)), on_balance, on_movement
            )

    # ------------------------------------------------------------ inside

    @property
    def _offset_ms(self) -> int:
        return self._measured_ms or 0

    @property
    def _theirs_ms(self) -> int:
        """The exchange's time, by which it counts requests and names the end of a ban."""
        return to_ms(self._clock.now()) + self._offset_ms

    def _by_their_clock(self, since: datetime) -> datetime:
        # A wrong clock of ours, now or when the time was written down, must hide no execution.
        offset = timedelta(milliseconds=self._offset_ms)
        return min(since, self._clock.now()) + offset - _CLOCK_ERROR_MAX

    async def _send(
        self, call: str, work: Callable[[], Awaitable[OrderReport | None]], window_ms: int
    ) -> SendEvidence:
        try:
            self._throttle.take(self._venue.weight(call), self._clock.monotonic())
        except RateLimited as error:
            return SendEvidence(
                SendPhase.NOT_SENT, message=str(error), retry_after_s=error.retry_after_s
            )
        LAST_ANSWER.set(None)
        # Half of what it may be old on arrival is left for the way.
        FRESH_S.set(window_ms / 1000 / 2)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                report = await _freshly(work)
        except Refused as error:
            # Our own check, before any byte was made.
            return SendEvidence(SendPhase.NOT_SENT, message=str(error))
        except Exception as error:
            # Whatever went wrong on the way is evidence, and nothing else: the order may live.
            logger.info(
                "send_failed", extra={"call": call, "error": self._masked(repr(error))[:300]}
            )
            return self._evidence(error)
        finally:
            FRESH_S.set(None)
            self._count_theirs()
        seen = LAST_ANSWER.get()
        self._throttle.answered()
        return SendEvidence(
            SendPhase.ANSWERED,
            http_status=seen.status if seen else 200,
            report=None if report is None else self._told(report),
        )

    def _evidence(self, error: Exception) -> SendEvidence:
        seen = LAST_ANSWER.get()
        found = errors.evidence_of(error, seen, self._theirs_ms)
        if found.retry_after_s is not None:
            self._be_silent(found.retry_after_s, found.http_status)
        return replace(found, message=self._masked(found.message))

    def _told(self, report: OrderReport) -> OrderReport:
        return replace(report, reason=self._masked(report.reason)) if report.reason else report

    @contextlib.contextmanager
    def _without_secrets(self) -> Iterator[None]:
        try:
            yield
        except UmbraError as error:
            error.args = (self._masked(str(error)),)
            raise

    async def _read(self, call: str, work: Callable[[], Awaitable[_Read]]) -> _Read:
        self._throttle.take(self._venue.weight(call), self._clock.monotonic())
        LAST_ANSWER.set(None)
        try:
            with self._without_secrets():
                answer = await self._answered(call, work)
        finally:
            self._count_theirs()
        self._throttle.answered()
        return answer

    async def _answered(self, call: str, work: Callable[[], Awaitable[_Read]]) -> _Read:
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                return await work()
        except UmbraError:
            raise
        except Exception as error:
            seen = LAST_ANSWER.get()
            is_public = call in _PUBLIC
            failure = errors.failure_of(error, seen, self._theirs_ms, is_public=is_public)
            if isinstance(failure, RateLimited):
                self._be_silent(failure.retry_after_s, seen.status if seen else None)
            raise failure from error

    def _count_theirs(self) -> None:
        seen = LAST_ANSWER.get()
        if seen is not None and seen.used_weight is not None:
            left_s = (_WINDOW_MS - self._theirs_ms % _WINDOW_MS) / 1000
            self._throttle.heard(seen.used_weight, self._clock.monotonic(), left_s)

    def _be_silent(self, seconds: float, status: int | None) -> None:
        now_s = self._clock.monotonic()
        self._throttle.be_silent(seconds, now_s, is_forbidden=status == 403)
        # A 403 names no end: how long is our own guess, which grows with each.
        if self._silences is None or status == 403:
            return
        now = self._clock.now()
        until = now + min(timedelta(seconds=self._throttle.silence_s(now_s)), SILENCE_MAX)
        if self._silence is None or abs(until - self._silence.until) > _SAME_END:
            self._silence = Silence(now, until)
            self._silences.keep(self._silence)


def _held(balances: Mapping[str, Balance]) -> Mapping[str, Balance]:
    if not balances:
        raise AccountEmpty("the account should hold something, the answer was empty")
    return balances


async def _freshly(work: Callable[[], Awaitable[_Read]]) -> _Read:
    """Make a request anew, once, whose signature grew old before its first byte left."""
    try:
        return await work()
    except Exception as error:
        if not errors.is_outdated(error):
            raise
        logger.info("signed_anew", extra={"error": str(error)})
    return await work()
