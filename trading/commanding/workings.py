"""The parts of the agent that commands act on, and what every command asks of them."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from trading import backstops, decide, symbols
from trading.deadlines import Patience
from trading.decide import DecisionSettings, SizedOrder
from trading.desk import CloseLine, OrderProposal, Shown, TrackerProposal
from trading.domain.commands import EditTracker, PlaceOrder
from trading.domain.errors import AuthLost, Refused, Retryable, Unreachable
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.market import OrderBook, Quote
from trading.domain.money import ONE, ZERO, plain
from trading.domain.order import Attempt, Intent, OrderReport, Side
from trading.domain.position import Portfolio
from trading.domain.tracker import Distance, ThenKind, Tracker, TrackerSpec
from trading.execution.engine import HELD, ExecutionEngine
from trading.market.indicators import atr
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.pricing import Prices
from trading.proposals import closing, consent, ordering, tracking
from trading.proposals.holding import Holding
from trading.reachability import EXCHANGE_DOWN
from trading.risk.gate import Activity, Approved, Refusal, beyond, largest, oversized, review
from trading.risk.limits import RiskLimits
from trading.state import AgentState
from trading.trackers import editing
from trading.trackers.arming import Armed, Present
from trading.trackers.engine import TrackerEngine
from trading.trackers.slices import rounded_down

logger = logging.getLogger(__name__)
_ATR_CANDLES = 60
# Of the account, each overtaken by a sale of ours that was booked meanwhile.
_READS_MAX = 3
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Sized:
    """A sized order, its card, the price that the person sees, and what is said of its amount."""

    order: SizedOrder
    card: OrderProposal
    reference: Decimal
    shown: Shown


@dataclass(frozen=True, slots=True)
class Basis:
    """What was asked for a tracker: the present, and why no coins may come under care by it."""

    present: Present
    doubt: Refused | None


@dataclass(frozen=True, slots=True)
class Workings:
    """What commands act on; questions about the present that several of them ask."""

    state: AgentState
    prices: Prices
    trackers: TrackerEngine
    execution: ExecutionEngine
    gateway: ExchangeGateway
    clock: Clock
    limits: RiskLimits
    decisions: DecisionSettings
    fee: Decimal
    record: Callable[..., Awaitable[None]]
    activity: Callable[[Intent], Activity]
    waits_for: Callable[[], Sequence[str]]
    refused: Callable[[Refusal], Awaitable[None]]
    key_refused: Callable[[], None]
    sleep: Callable[[float], Awaitable[None]]
    patience: Patience

    async def ask(self, answer: Awaitable[_Answer]) -> _Answer:
        """Await a read that a person waits for; raises Unreachable when it takes too long."""
        return await self.patience.ask(answer)

    def instrument(self, symbol: str) -> Instrument:
        """Return the one instrument that a symbol means; raises Refused."""
        return symbols.resolve(symbol, self.state.instruments)

    def tracker(self, tracker_id: int) -> Tracker:
        """Return a live tracker; raises Refused."""
        tracker = self.trackers.get(tracker_id)
        if tracker is None:
            raise Refused(f"there is no live tracker #{tracker_id}", "/trackers")
        return tracker

    def holding(self, symbol: str) -> Holding:
        """Return what is true of one instrument now; what has fired is its exit's business."""
        waiting = [item for item in self.trackers.all() if item.state.is_waiting]
        holding = self.coins(symbol)
        reserved = self.execution.reserved(holding.instrument.base)
        swinging = self._bought_by_swings(symbol)
        return replace(holding, trackers=waiting, reserved=reserved, swinging=swinging)

    def _bought_by_swings(self, symbol: str) -> Decimal:
        buying = {
            item.tracker_id
            for item in self.trackers.acting()
            if item.side is Side.BUY and item.spec.then.kind is ThenKind.SWING
        }
        return self.execution.bought_of_slices(symbol, buying) if buying else ZERO

    def coins(self, symbol: str) -> Holding:
        """Return the same without a look at trackers and at what open purchases may spend.

        Asked of every holding in a row, where such a look each time would take long.
        """
        instrument = self.instrument(symbol)
        return Holding(
            instrument,
            self.state.book.snapshot(),
            (),
            self.execution.exiting(symbol),
            self.execution.offered(instrument.quote),
            self.execution.offered(instrument.base),
            self.execution.in_doubt(instrument.base),
            arriving=self.execution.arriving(instrument.base),
        )

    def ordered(self, symbol: str) -> tuple[Intent, ...]:
        """Return what persons ordered of a symbol and is at work; raises Refused for nothing."""
        found = tuple(
            intent
            for intent in self.execution.intents
            if intent.symbol == symbol and intent.tracker_id is None
        )
        if not found:
            raise Refused(f"no order of yours is at work on {symbol}", "/orders")
        return found

    def sales(self) -> tuple[Intent, ...]:
        """Return the sales that are at work or stuck, those that a halt holds aside."""
        held = {tracker.tracker_id for tracker in self.held_exits()}
        return tuple(
            intent
            for intent in self.execution.intents
            if intent.side is Side.SELL and intent.tracker_id not in held
        )

    def bounded_sales(self) -> tuple[Intent, ...]:
        """Return those at work that may end, or wait, with coins unsold, without those held."""
        at_work = {intent.intent_id for intent in self.sales()}
        return tuple(one for one in self.execution.bounded_sales if one.intent_id in at_work)

    def backstops(self) -> list[tuple[Intent, Attempt]]:
        """Return the stops that rest on the exchange, those that are being taken off among them."""
        return backstops.resting(self.state.backstops, self.execution.attempts)

    def check_entries(self) -> None:
        """Refuse what adds risk while entries are refused."""
        mode = self.state.mode
        if not mode.takes_entries:
            word = mode.value.replace("_", " ")
            raise Refused(f"new risk is refused while trading is {word}", "/resume")
        for doubt in self.waits_for():
            raise Refused(f"new risk is refused while this stands: {doubt}", "/status")

    def check_size(self, tracker: Tracker, price: Decimal) -> None:
        """Refuse a purchase that its limits would not let pass whenever it fires."""
        intent = decide.on_trigger(tracker, price, self.clock.now(), self.decisions)
        if reasons := self._oversized(intent):
            most, quote = self._most(intent), self.instrument(tracker.symbol).quote
            example = f"{plain(most)} {quote}" if most else "/balance"
            raise Refused("; ".join(reasons), example=example)

    def approve(self, intent: Intent) -> None:
        """Ask the risk gate what it would say; its reasons become the refusal."""
        verdict = self._review(intent)
        if isinstance(verdict, Refusal):
            example = self._smaller(intent) or self._nearer(intent)
            raise Refused("; ".join(verdict.reasons), example=example)

    def _oversized(self, intent: Intent) -> tuple[str, ...]:
        return oversized(intent, self.state.book.snapshot(), self.limits, self.activity(intent))

    def _smaller(self, intent: Intent) -> str | None:
        """Return the purchase that would not be too great, where only its size is wrong."""
        if not self._oversized(intent):
            return None
        most, quote = self._most(intent), self.instrument(intent.symbol).quote
        return f"/buy {intent.symbol} {plain(most)} {quote}" if most else "/balance"

    def _nearer(self, intent: Intent) -> str | None:
        """Return the purchase at the market's price, where a limit far above it is wrong."""
        market = beyond(intent, self.limits, self.activity(intent))
        if market is None:
            return None
        instrument = self.instrument(intent.symbol)
        return ordering.at_the_market(instrument, intent.quantity, intent.quote_budget, market)

    def _most(self, intent: Intent) -> Decimal | None:
        """Return the most that an entry may spend; None where that would be too little to send."""
        most = largest(self.state.book.snapshot(), self.limits, self.activity(intent))
        least = self.instrument(intent.symbol).notional_min * 2
        return None if most is None or most < least else rounded_down(most)

    async def decide(self, intent: Intent, portfolio: Portfolio) -> Approved:
        """Ask the risk gate for leave to act now; raises Refused, and a reached cap is noted."""
        verdict = self._review(intent, portfolio)
        if isinstance(verdict, Refusal):
            await self.refused(verdict)
            raise Refused("; ".join(verdict.reasons))
        return verdict

    def _review(self, intent: Intent, portfolio: Portfolio | None = None) -> Approved | Refusal:
        return review(
            intent,
            portfolio or self.state.book.snapshot(),
            self.limits,
            self.state.mode,
            self.activity(intent),
            self.clock.now(),
        )

    async def present(self, symbol: str, trail: Distance | None) -> Present:
        """Return price, time and, where the trail asks for one, the ATR share; raises Refused."""
        await self._look(symbol)
        price = self.prices.known(symbol)
        share = None
        if trail is not None and trail.atr_multiple is not None:
            read = self.gateway.candles(symbol, trail.timeframe, _ATR_CANDLES)
            candles = await self.ask(read)
            value = atr([candle for candle in candles if candle.is_closed])
            share = trail.atr_multiple * Decimal(repr(value)) / price if value else None
        return Present(price, self.clock.now(), self.fee, share)

    async def basis(
        self, symbol: str, trail: Distance | None, *, takes_coins: bool = True
    ) -> Basis:
        """Ask for all that `arm` and `edit` have to wait for; raises Refused."""
        present = await self.present(symbol, trail)
        return Basis(present, await self._settle(symbol) if takes_coins else None)

    def arm(
        self, spec: TrackerSpec, owner: tuple[int, int], basis: Basis
    ) -> tuple[Armed, TrackerProposal]:
        """Work out a new tracker of what is left now; raises Refused.

        `owner` is the tracker's number and whose it is.
        """
        holding = self.holding(spec.symbol)
        armed, facts = tracking.tracker(spec, owner, holding, basis.present)
        self._check_adopted(armed.adopted, holding.instrument, basis.doubt)
        return armed, facts

    async def quote(self, symbol: str) -> Quote | None:
        """Return the best prices, read where nobody watches them; None where none come in time."""
        try:
            await self._look(symbol)
        except Refused:
            return None
        return self.prices.quote(symbol)

    def edit(self, tracker: Tracker, command: EditTracker, basis: Basis) -> editing.Edit:
        """Work out a change of a live tracker, of what is left now; raises Refused."""
        present, holding = basis.present, self.holding(tracker.symbol)
        owned = None
        if command.amount is not None:
            others = [item for item in holding.trackers if item.tracker_id != tracker.tracker_id]
            holding = replace(holding, trackers=others)
            owned = tracking.slice_for(command.amount, tracker.side, holding, present.price)
            self._check_adopted(owned.adopted, holding.instrument, basis.doubt)
        return editing.edit(tracker, command, present, holding.instrument, owned)

    async def size(self, command: PlaceOrder, shown: Shown | None = None) -> Sized:
        """Size a person's order at the present book, as it was `shown`; raises Refused."""
        symbol = command.symbol
        quote, book, notes = await self._touch(symbol, is_sale=command.side is Side.SELL)
        # Last, for what is sold while something else is awaited would look unmanaged.
        doubt = await self._settle(symbol) if command.side is Side.SELL else None
        holding = self.holding(symbol)
        limit = command.limit_price or self.execution.entry_limit(holding.instrument, quote.ask)
        wanted = consent.as_shown(command, holding, shown)
        order, card = ordering.order(wanted, holding, quote, book, self.fee, limit)
        card = replace(card, notes=(*notes, *card.notes))
        reference = quote.ask if command.side is Side.BUY else quote.bid
        shown = consent.shown_of_order(command, order, holding)
        self._check_adopted(shown.adopted, holding.instrument, doubt)
        return Sized(order, card, reference, shown)

    async def _settle(self, symbol: str) -> Refused | None:
        """Read the account anew while it may show what was sold; return why that is not known.

        What is managed already need not wait for an exchange that says nothing.
        """
        book = self.state.book
        # A line that nothing comes over may hold for half a minute before it counts as lost.
        is_silent = self.state.has_condition(EXCHANGE_DOWN)
        base = self.instrument(symbol).base
        unknown = f"what the account holds of {base} is not known"
        must_ask = is_silent or book.is_behind(base)
        for _ in range(_READS_MAX):
            if not must_ask:
                return None
            try:
                await self._read_account(base)
            except (Retryable, AuthLost) as error:
                return Refused(f"{unknown}: {error}")
            # What was sold while the answer was on its way may be in it.
            must_ask = book.has_sold(base)
        return _being_booked(base) if must_ask else None

    async def look_at_account(self) -> None:
        """Read the account anew while it may show what was sold; what is known does for now.

        Who sells everything waits for no exchange that says nothing.
        """
        book = self.state.book
        is_behind = any(map(book.is_behind, book.snapshot().balances))
        must_ask = is_behind and not self.state.has_condition(EXCHANGE_DOWN)
        for _ in range(_READS_MAX):
            if not must_ask:
                return
            try:
                await self._read_account()
            except (Retryable, AuthLost) as error:
                logger.warning("account_not_read", extra={"error": str(error)})
                return
            must_ask = any(book.has_sold(line.base) for line in self.unmanaged_lines())

    async def _read_account(self, asset: str | None = None) -> None:
        """Read the account, and what purchases that rest have brought by then, or those of one."""
        book = self.state.book
        booked = book.booked
        balances = await self.ask(self.gateway.balances())
        book.set_balances(balances, self.clock.monotonic(), booked)
        bought = balances if asset is None else {asset}
        await self.ask(self.execution.look_at_purchases(bought))

    async def _look(self, symbol: str) -> None:
        try:
            await self.ask(self.prices.look(symbol))
        except Unreachable as error:
            raise Refused(f"there is no fresh price of {symbol}: {error.words}") from error

    async def _touch(
        self, symbol: str, *, is_sale: bool
    ) -> tuple[Quote, OrderBook | None, tuple[str, ...]]:
        """Return the best prices, the book if it could be read, and what a person should know.

        Who sells need not wait for an exchange that says nothing: the last known price will do.
        """
        book = None
        try:
            book = await self.ask(self._read_book(symbol))
        except (Retryable, Refused) as error:
            logger.info("book_not_read", extra={"error": str(error)})
        quote = self.prices.quote(symbol)
        if quote is not None:
            return quote, book, ()
        last = self.prices.last_quote(symbol)
        if last is None or not is_sale:
            raise Refused(f"there is no fresh price of {symbol}: the exchange does not answer")
        quote, age_s = last
        return quote, None, (f"⚠️ That price is {age_s:.0f} s old: the exchange does not answer",)

    async def _read_book(self, symbol: str) -> OrderBook:
        await self.prices.look(symbol)
        return await self.gateway.order_book(symbol)

    def closing(
        self, symbol: str, share: Decimal, waiting: Sequence[Intent], shown: Shown | None = None
    ) -> closing.Closing:
        """Return what closing a share of a symbol sells, as it was `shown`; raises Refused."""
        position = self.state.book.snapshot().positions.get(symbol)
        price = self.prices.price(symbol) or (position.average_price if position else None)
        return closing.closing(self.holding(symbol), waiting, share, price, shown)

    def stuck(self, symbol: str, share: Decimal) -> tuple[Intent, ...]:
        """Return the sales that wait for a price, or are blocked, and that a closing has sell.

        A part of a holding is none of what a stop sells that has fired.
        """
        return tuple(
            one
            for one in self.execution.stuck_sales
            if one.symbol == symbol and (share == ONE or one.tracker_id is None)
        )

    def at_work(self, symbol: str) -> Decimal:
        """Return the coins in slices whose exits are at work, which no `holding` counts any more.

        Who fits slices to what a person's sale leaves of a holding has to count them again.
        """
        open_exits = {
            intent.tracker_id
            for intent in self.execution.intents
            if intent.symbol == symbol and intent.side is Side.SELL and not intent.state.is_terminal
        }
        acting = (item for item in self.trackers.acting() if item.tracker_id in open_exits)
        return sum((item.quantity for item in acting), ZERO)

    def managed_lines(self, freed: Iterable[Intent] = ()) -> tuple[CloseLine, ...]:
        """Return everything managed that is worth an order, with what these sales give free."""
        lines = []
        freed = tuple(freed)
        for symbol, position in self.state.book.snapshot().positions.items():
            instrument = self.state.instruments.get(symbol)
            if instrument is None or not position.quantity:
                continue
            given = sum((each.residual for each in freed if each.symbol == symbol), ZERO)
            quantity = instrument.quantity(self.coins(symbol).managed + given)
            price = self.prices.price(symbol) or position.average_price
            if price is not None and not instrument.is_dust(quantity, price):
                lines.append(CloseLine(symbol, instrument.base, quantity, quantity * price))
        return tuple(lines)

    def held_exits(self) -> tuple[Tracker, ...]:
        """Return the sales that have fired and that `/halt everything` holds back."""
        return tuple(
            tracker
            for tracker in self.trackers.acting()
            # What is blocked for another reason, no end of a halt sells.
            if tracker.side is Side.SELL and tracker.reason.startswith(str(HELD))
        )

    def held_lines(self) -> tuple[CloseLine, ...]:
        """Return what the end of `/halt everything` sells."""
        lines = []
        for tracker in self.held_exits():
            price = self.prices.price(tracker.symbol) or tracker.stop_price
            value = None if price is None else tracker.quantity * price
            base = base_and_quote(tracker.symbol)[0]
            lines.append(CloseLine(tracker.symbol, base, tracker.quantity, value))
        return tuple(lines)

    def unmanaged_lines(self) -> tuple[CloseLine, ...]:
        """Return coins that Umbra does not manage, where a market against the valuation exists."""
        book = self.state.book
        portfolio = book.snapshot()
        lines = []
        for asset in portfolio.balances:
            instrument = self.state.instruments.get(f"{asset}/{book.currency}")
            if instrument is None:
                continue
            quantity = instrument.quantity(self.coins(instrument.symbol).unclaimed)
            price = portfolio.prices.get(instrument.symbol)
            if price is not None and not instrument.is_dust(quantity, price):
                lines.append(CloseLine(instrument.symbol, asset, quantity, quantity * price))
        return tuple(lines)

    async def foreign_orders(self) -> Sequence[OrderReport] | None:
        """Return open orders that are not ours; None when the exchange does not answer."""
        if self.state.has_condition(EXCHANGE_DOWN):
            return None
        try:
            reports = await self.ask(self.gateway.open_orders())
        except (Retryable, AuthLost):
            return None
        return [each for each in reports if not self.execution.is_ours(each.client_order_id)]

    def prices_age_s(self, symbols: Iterable[str]) -> float | None:
        """Return the age of the oldest price among symbols, None without any price."""
        ages = [self.prices.age_s(symbol) for symbol in symbols]
        return max((age_s for age_s in ages if age_s is not None), default=None)

    def worst_case(self, tracker: Tracker, worst: Decimal | None, price: Decimal) -> Decimal | None:
        """Return a worst price as a loss against the present price, in quote units."""
        if worst is None or tracker.side is Side.BUY or worst / price > ONE:
            return None
        return (worst - price) * tracker.quantity

    def _check_adopted(
        self, adopted: Decimal, instrument: Instrument, doubt: Refused | None
    ) -> None:
        """Raise the doubt, if there is one by now, where coins would be taken over."""
        if not adopted:
            return
        if doubt is None and self.state.book.has_sold(instrument.base):
            # Another word was waited for meanwhile.
            doubt = _being_booked(instrument.base)
        if doubt is not None:
            raise doubt


def _being_booked(base: str) -> Refused:
    words = f"what the account holds of {base} is not known: a sale of it is being booked"
    return Refused(words, "/orders")
