"""What time alone makes necessary: balances, valuation, reconciliation, the day's limits."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal

from trading import outside
from trading.alarms import Alarms
from trading.commanding.workings import Workings
from trading.domain.errors import (
    AccountEmpty,
    AlreadyRecorded,
    AuthLost,
    Retryable,
    SettingsInvalid,
)
from trading.domain.events import DayOpened, Event
from trading.domain.money import ZERO
from trading.domain.position import DOLLARS, Balance, TradingMode
from trading.domain.valuation import price_in, route
from trading.funds import Funds
from trading.key_rights import KeyFinding, judge_key
from trading.lost_coins import LostCoins
from trading.market.engine import MarketEngine
from trading.market.indicators import atr
from trading.ports.storage import Journal
from trading.reading_back import read_back
from trading.risk import halts
from trading.trackers import protection
from trading.transfers import Transfers

logger = logging.getLogger(__name__)
_ATR_CANDLES = 60
_RECONCILED_AT_ONCE = 40


class Housekeeping:
    """The recurring work of one agent; each method is a job of `trading.schedule`."""

    def __init__(
        self,
        workings: Workings,
        market: MarketEngine,
        alarms: Alarms,
    ) -> None:
        self._of = workings
        self._market = market
        self._alarms = alarms
        self.funds = Funds(workings.state.book, workings.clock, workings.record)
        self.transfers = Transfers(workings.state, workings.gateway, workings.clock, self.funds)
        self.lost = LostCoins(workings)
        self._accepts_unrestricted_key = False
        self._is_key_unchecked = False
        self.clock_offset_ms = 0
        self._reconciled_to = ""

    def concerned(self) -> frozenset[str]:
        """Return the symbols that money depends on: tracked, held, or being traded."""
        held = (
            symbol
            for symbol, position in self._of.state.book.positions.items()
            if position.quantity
        )
        return self._of.trackers.symbols() | frozenset(held) | self._working()

    def is_of_worth(self, symbol: str) -> bool:
        """Whether prices of a symbol that come late matter: not of a crumb, nor where one looked.

        What is tracked, traded, or held so that an order could sell it is of worth.
        """
        of = self._of
        position = of.state.book.positions.get(symbol)
        if position is not None and position.quantity:
            price = of.prices.price(symbol) or position.average_price
            instrument = of.state.instruments.get(symbol)
            if not protection.is_too_little(position.quantity, instrument, price):
                return True
        is_at_work = any(intent.symbol == symbol for intent in of.execution.intents)
        return is_at_work or symbol in of.trackers.symbols()

    async def load(self, journal: Journal) -> None:
        """Take what the account should hold by the journal, once."""
        if (counted := await self.transfers.load(journal)) is not None:
            self.lost.load(counted)

    def apply(self, event: Event) -> None:
        """Take what a durable fact does to the account."""
        self.transfers.apply(event)
        self.lost.apply(event)

    async def reconcile(self) -> None:
        """Compare orders, executions and balances with the exchange's; raises Retryable."""
        await self.lost.compare_with(self._next_symbols())
        await self._watch_endings()

    def _working(self) -> frozenset[str]:
        at_work = {intent.symbol for intent in self._of.execution.intents}
        return self._of.execution.moving() | at_work

    def _next_symbols(self) -> list[str]:
        # Each costs much of the exchange's budget per minute: more than that go in turns.
        symbols = sorted(self.concerned())
        if len(symbols) <= _RECONCILED_AT_ONCE:
            return symbols
        later = [symbol for symbol in symbols if symbol > self._reconciled_to]
        chosen = (later + symbols)[:_RECONCILED_AT_ONCE]
        self._reconciled_to = chosen[-1]
        return chosen

    async def refresh_balances(self) -> None:
        """Read the whole account, value it, and hold the day's loss against its limit."""
        known, busy = dict(self._of.state.book.positions), self._of.execution.moving()
        began, booked = self._of.clock.now(), self._of.state.book.booked
        try:
            balances = await self._of.gateway.balances()
        except AccountEmpty:
            # The stream's balances stand; that they are in doubt is told, and nothing is added.
            await self.lost.compare({}, known, busy | self._of.execution.moving())
            raise
        except AuthLost:
            self._of.key_refused()
            raise
        self._of.state.book.set_balances(balances, self._of.clock.monotonic(), booked)
        busy |= self._of.execution.moving()
        self.lost.showed(balances, known, busy, began)
        await self.lost.explain(balances, known, busy)
        is_agreed = await self.lost.compare(balances, known, busy)
        self.clock_offset_ms = await self._of.gateway.clock_offset_ms()
        unwatched, dollars = self._unwatched(balances), self._dollars()
        prices = await self._last_prices() if unwatched or dollars else {}
        is_priced = self._price_the_rest(unwatched, prices)
        has_moved = self.funds.is_waiting
        await self.funds.settle(is_priced=is_priced)
        pending = await self._find_transfers(is_priced=is_priced) if is_agreed else ZERO
        # What is not shown is not lost, nor is what nobody could value just now; and an answer may
        # be a moment older than what was just told of.
        is_known = is_priced or not self._of.state.book.unpriced()
        if is_agreed and is_known and not has_moved:
            await self._check_daily_loss(pending)
        # Without an answer nothing is known of a peg, and nothing ends.
        if dollars and prices is not None:
            await self._judge_pegs(dollars, prices)
        if self._is_key_unchecked:
            with contextlib.suppress(Retryable):
                await self.check_permissions()

    async def _find_transfers(self, *, is_priced: bool) -> Decimal:
        """Write down what came or went untold; returns the worth of what is in doubt."""
        found = await self.transfers.compare()
        if found.is_judged:
            # Before it counts: no loss of unknown cause ends entries without a word.
            for fact in found.facts:
                await self._of.record(fact)
            await self.funds.settle(is_priced=is_priced)
            for fact in self._counted():
                await self._of.record(fact)
        return found.pending

    def _counted(self) -> Sequence[Event]:
        # What is at work may have traded, and is booked later.
        counted = None if self._working() else self.transfers.counted()
        return () if counted is None else (counted,)

    async def tighten(self) -> None:
        """Give trackers with an ATR distance the present ATR; only a smaller one acts."""
        wanted = {
            (tracker.symbol, trail.timeframe)
            for tracker in self._of.trackers.all()
            if (trail := tracker.spec.trail) is not None and trail.atr_multiple is not None
        }
        for symbol, timeframe in wanted:
            candles = await self._of.gateway.candles(symbol, timeframe, _ATR_CANDLES)
            value = atr([candle for candle in candles if candle.is_closed])
            price = self._of.prices.price(symbol)
            if value and price:
                self._of.trackers.tighten(symbol, timeframe, Decimal(repr(value)) / price)

    async def refuse_dangerous_key(self, *, accepts_unrestricted: bool) -> None:
        """Check the key once before anything is sent with it; raises SettingsInvalid.

        An exchange that cannot tell right now stops no start, for stops have to be watched: it is
        asked again every minute.
        """
        self._accepts_unrestricted_key = accepts_unrestricted
        try:
            findings = await self._judge_key()
        except Retryable as error:
            self._is_key_unchecked = True
            logger.warning("key_not_checked", extra={"error": str(error)})
            return
        texts = [finding.text for finding in findings if finding.is_dangerous]
        if texts:
            raise SettingsInvalid("; ".join(texts))

    async def judge_crashes(self, journal: Journal) -> None:
        """After crash upon crash only protect, until a person has looked."""
        since = self._of.clock.now() - halts.CRASH_WINDOW
        lives = await read_back(journal, since, halts.LIVES)
        await self._alarms.halt_loudly(halts.crash_loop(lives), "safe_mode", "the log")

    async def check_permissions(self) -> None:
        """Alarm about a key that may do too much, or too little; the first adds no more risk."""
        findings = await self._judge_key()
        day = self._of.clock.now().date().isoformat()
        for finding in findings:
            await self._alarms.alert(f"permissions:{day}:{finding.name}", finding.text)
        dangerous = [finding.text for finding in findings if finding.is_dangerous]
        if dangerous:
            await self._alarms.halt(halts.Halt(TradingMode.REDUCING, dangerous[0]))

    async def _judge_key(self) -> Sequence[KeyFinding]:
        rights = await self._of.gateway.permissions()
        self._is_key_unchecked = False
        return judge_key(rights, accepts_unrestricted=self._accepts_unrestricted_key)

    async def open_day(self) -> None:
        """Write down the account's value once per UTC day, for the day's loss limit."""
        now = self._of.clock.now()
        day = self._of.state.day
        if day is None or day.day != now.date():
            # What came before is part of what the day opens with.
            await self.funds.settle()
            self.transfers.open_day()
            opened = DayOpened(now.date(), self._of.state.book.equity(), now)
            await self._of.record(opened, *self._counted())

    async def _last_prices(self) -> Mapping[str, Decimal] | None:
        """Return what everything was traded at last, None without an answer."""
        try:
            return await self._of.gateway.last_prices()
        except Retryable:
            return None

    def _dollars(self) -> set[str]:
        """Return the dollars that trackers and positions are counted in."""
        instruments = self._of.state.instruments
        quotes = {instruments[each].quote for each in self.concerned() if each in instruments}
        return quotes & DOLLARS

    async def _judge_pegs(self, dollars: set[str], prices: Mapping[str, Decimal]) -> None:
        off = outside.off_peg(dollars, prices)
        with contextlib.suppress(Retryable):
            if bool(off) is not self._of.state.has_condition(outside.OFF_PEG):
                await self._of.record(outside.pegged(off, self._of.clock.now()))

    async def _watch_endings(self) -> None:
        with contextlib.suppress(Retryable):
            ends = await self._of.gateway.delistings()
            for alert in outside.ending(ends, self.concerned(), self._of.clock.now()):
                with contextlib.suppress(AlreadyRecorded):
                    await self._of.record(alert)

    def _price_the_rest(
        self, unwatched: Mapping[str, Sequence[str]], prices: Mapping[str, Decimal] | None
    ) -> bool:
        """Value what no live price values; returns whether the exchange told what it had to."""
        book = self._of.state.book
        if prices is None and unwatched:
            # The last known prices stand; the next round asks again.
            return False
        prices = prices or {}
        for symbol in {symbol for symbols in unwatched.values() for symbol in symbols}:
            if symbol in prices and self._market.price(symbol) is None:
                book.set_price(symbol, prices[symbol])
        rates = {asset: price_in(asset, book.currency, prices) for asset in unwatched}
        book.set_rates({asset: rate for asset, rate in rates.items() if rate is not None})
        return True

    def _unwatched(self, balances: Mapping[str, Balance]) -> Mapping[str, Sequence[str]]:
        """Return the assets that no live price values, each with the symbols that would.

        Every quote currency is among them: what is sold into it has its worth at once.
        """
        currency, instruments = self._of.state.book.currency, self._of.state.instruments
        quotes = {instrument.quote for instrument in instruments.values()}
        routes = {asset: route(asset, currency, instruments) for asset in {*balances, *quotes}}
        return {
            asset: symbols
            for asset, symbols in routes.items()
            if symbols and any(self._market.price(symbol) is None for symbol in symbols)
        }

    async def _check_daily_loss(self, pending: Decimal) -> None:
        """Hold the loss against its limit; what is `pending` is none until it is judged."""
        state = self._of.state
        if (base := state.equity_base) is None:
            return
        loss = halts.loss_share(base + pending, state.book.equity())
        await self._alarms.halt(halts.daily_loss(loss, self._of.limits, state.book.unpriced()))
