"""Looks for managed coins that the account does not show, and lets go of what is proven to be gone.

One look at a time, for all owners at once (decision 0113): what it finds is told by
`trading.outside`, and what counts as proof by `trading.missing`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trading import outside
from trading.commanding.workings import Workings
from trading.domain.errors import AlreadyRecorded, Retryable
from trading.domain.events import AccountCounted, AlertEnded, Event, FillBooked
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.position import Balance, Position
from trading.execution import reconcile
from trading.execution.reconcile import ORDERS, Difference, Finding
from trading.missing import Missing
from trading.reachability import BALANCES_DISAGREE

logger = logging.getLogger(__name__)


class LostCoins:
    """Compares what the account shows with what is managed; `missing` counts what agrees."""

    def __init__(self, workings: Workings) -> None:
        self._of = workings
        self.missing = Missing()
        self._looking = asyncio.Lock()
        # What a person sold elsewhere explains itself when it is first compared.
        self._is_compared = False

    async def compare_with(self, symbols: Sequence[str]) -> None:
        """Compare orders, executions and balances of these symbols; raises Retryable."""
        try:
            await self._look(symbols)
        finally:
            # Where that got no answer, the next read of the account looks again.
            self._is_compared = True
        await self._compare_again()

    async def look_for_missing(self) -> None:
        """Compare again what managed coins are missing of; raises Retryable."""
        await self._look(self._holders(self.missing.taken_up()))
        await self._compare_again()

    async def settle_missed(self) -> Sequence[str]:
        """Let go of what a start finds gone, as far as trades tell; returns the symbols it asked.

        An exchange that does not answer stops no start: it is asked again once stops are watched.
        """
        book = self._of.state.book
        short = outside.missing(
            book.positions, book.snapshot().balances, self._of.state.instruments
        )
        symbols = self._holders(short)
        try:
            if symbols:
                await self._look(symbols)
        except Retryable as error:
            logger.warning("missing_not_settled", extra={"error": str(error)})
        return symbols

    def _holders(self, assets: Iterable[str]) -> list[str]:
        portfolio = self._of.state.book.snapshot()
        return [symbol for asset in assets for symbol in portfolio.holders(asset)]

    async def _look(self, symbols: Sequence[str]) -> None:
        """Compare these symbols, and settle what that proves of all that is missing."""
        # Two that saw the same sale would take it off twice.
        async with self._looking:
            # While an order of ours trades, coins that it has sold may not be booked yet.
            busy, before = self._of.execution.moving(), self._of.state.book.snapshot().positions
            whole_at = self.missing.whole_at
            findings = await self._of.execution.reconcile(symbols, whole_at)
            short = {each.asset for each in findings if each.kind is Difference.SHORT}
            words = await self._ask_stream(short)
            busy |= self._of.execution.moving() | self._changed_since(before)
            await self._settle(findings, busy, words)

    async def _ask_stream(self, assets: Collection[str]) -> Mapping[str, Decimal]:
        """Have the account's stream say of these assets what it says on its own of changes alone.

        What left while it was not connected it would never tell. Empty while it does not answer.
        """
        if not assets:
            return {}
        try:
            balances = await self._of.gateway.balances_by_stream()
        except Retryable as error:
            logger.info("stream_not_asked", extra={"error": str(error)})
            self.missing.fell_silent(assets)
            return {}
        if balances is None:
            return {}
        told = [balances.get(asset) or Balance(asset, ZERO, ZERO) for asset in assets]
        for balance in told:
            self.missing.streamed(balance)
        return {balance.asset: balance.total for balance in told}

    def in_doubt(self, asset: str | None = None) -> Mapping[str, Decimal]:
        """Return the managed units, by asset, that the account does not show: they are looked into.

        Until it is known that they are gone their stops keep them, and nothing may say that these
        protect them. Whoever needs them of one `asset` says so: all of a great account take longer.
        """
        state, moving = self._of.state, self._of.execution.moving()
        portfolio = state.book.snapshot()
        held = portfolio.positions
        if asset is not None:
            held = {symbol: held[symbol] for symbol in portfolio.holders(asset)}
        # What an order moves just now, or a purchase brought, no balance can tell.
        untold = {base_and_quote(symbol)[0] for symbol in moving}
        short = reconcile.shortfalls(held, portfolio.balances, state.instruments)
        doubt = {
            each.asset: each.quantity
            for each in short
            if each.asset not in untold and not state.book.has_bought(each.asset)
        }
        known = {asset: self.missing.quantity(asset) for asset in untold}
        return {asset: quantity for asset, quantity in (doubt | known).items() if quantity}

    def look_again(self) -> Callable[[], Awaitable[None]] | None:
        """Return the next look at what is missing, once it is due."""
        return self.look_for_missing if self.missing.is_due(self._of.clock.monotonic()) else None

    async def _compare_again(self) -> None:
        state = self._of.state
        if state.has_condition(BALANCES_DISAGREE):
            # What was just booked may explain it.
            known = dict(state.book.positions)
            moving = self._of.execution.moving()
            await self.compare(state.book.snapshot().balances, known, moving)

    def _changed_since(self, before: Mapping[str, Position]) -> set[str]:
        # One that came and went meanwhile has left a position that is another by now.
        after = self._of.state.book.positions
        return {each for each in after if before.get(each) is not after[each]}

    async def _settle(
        self, findings: Sequence[Finding], busy: Collection[str], words: Mapping[str, Decimal]
    ) -> None:
        """Tell of managed coins that are missing, take away what is proven to be gone, and end.

        `words` are what the account's stream was just asked for, by asset.
        """
        state, now = self._of.state, self._of.clock.now()
        # Orders of ours that were just found explain what is missing once they are booked.
        found = {each.symbol for each in findings if each.kind in ORDERS}
        moving = {base_and_quote(symbol)[0] for symbol in {*busy, *found}}
        short = [each for each in findings if each.kind is Difference.SHORT]
        self.missing.read(short, moving, now, self._of.clock.monotonic())
        quiet = [each for each in short if each.asset not in moving]
        gone = [self._gone(each, findings, now, words.get(each.asset)) for each in quiet]
        for fact in (fact for each in gone for fact in outside.settle(each, now)):
            # An alert that stands already is not raised again.
            with contextlib.suppress(AlreadyRecorded):
                await self._of.record(fact)
        left = [each for each in gone if not each.is_known]
        for alert in state.alerts:
            if outside.is_over(alert, left, moving):
                await self._of.record(AlertEnded(alert.alert_id, now))

    def load(self, counted: AccountCounted) -> None:
        """Take what the account should hold by the journal for a read, where all is among it.

        What others sold before it was counted took nothing that is managed now.
        """
        book = self._of.state.book
        for asset, total in counted.totals:
            if total >= book.managed_of(asset):
                self.missing.showed(asset, total, counted.at)

    def apply(self, event: Event) -> None:
        """Take what an execution of ours did to the account since it was read."""
        if isinstance(event, FillBooked):
            for asset, change in event.fill.effects(event.base, event.quote):
                self.missing.traded(asset, change)

    def showed(
        self,
        balances: Mapping[str, Balance],
        known: Mapping[str, Position],
        busy: Collection[str],
        at: datetime,
    ) -> None:
        """Take a read of the account that began at a time; of what moved meanwhile it is none."""
        positions, quiet = self._of.state.book.positions, self._quiet(known, busy)
        restless = {*positions, *busy}.difference(quiet)
        moved = {asset for symbol in restless for asset in base_and_quote(symbol)}
        managed: dict[str, Decimal] = {}
        for symbol, position in positions.items():
            asset, _ = base_and_quote(symbol)
            managed[asset] = managed.get(asset, ZERO) + position.quantity
        for asset, balance in balances.items():
            if asset not in moved and balance.total >= managed.get(asset, ZERO):
                self.missing.showed(asset, balance.total, at)

    def _gone(
        self, short: Finding, findings: Sequence[Finding], now: datetime, word: Decimal | None
    ) -> outside.Gone:
        portfolio, asset = self._of.state.book.snapshot(), short.asset
        managed = {
            symbol: portfolio.managed(symbol)
            for symbol in portfolio.holders(asset)
            if symbol in self._of.state.instruments
        }
        trades = [
            each
            for each in findings
            if each.kind is Difference.FOREIGN_SALE and each.asset == asset
        ]
        shown = sum(managed.values(), ZERO) - short.quantity
        step = max(self._of.state.instruments[symbol].quantity_step for symbol in managed)
        taken = sum((each.quantity for each in trades), ZERO)
        return outside.Gone(
            asset,
            short.quantity,
            managed,
            self.missing.since(asset) or now,
            trades,
            short.looked,
            self.missing.fits(asset, taken, shown, step, word),
            # Nothing trades in an empty account, and its stream has nothing to say.
            self.missing.is_proven(
                asset, shown, word, needs_stream=not (shown < step and self._is_starved(managed))
            ),
        )

    def _is_starved(self, managed: Iterable[str]) -> bool:
        return any(self._of.execution.is_without_coins(symbol) for symbol in managed)

    async def explain(
        self,
        balances: Mapping[str, Balance],
        known: Mapping[str, Position],
        busy: Collection[str],
    ) -> None:
        """Look for what took coins that are missing for the first time, before that is told.

        And for what an alarm from before this start says, once nothing is missing any more.
        """
        counted = self.missing.assets
        fresh = set(self._missing_of(balances, known, busy)).difference(counted)
        told = {outside.asset_of(alert) for alert in self._of.state.alerts}
        if self._is_compared and (fresh or told.difference({"", *counted})):
            await self._look(self._holders(sorted(fresh)))

    async def compare(
        self,
        balances: Mapping[str, Balance],
        known: Mapping[str, Position],
        busy: Collection[str],
    ) -> bool:
        """Add no risk while the account shows less than is managed; say so once, and its end."""
        state = self._of.state
        missing = self._missing_of(balances, known, busy)
        if self._is_compared and bool(missing) is not state.has_condition(BALANCES_DISAGREE):
            await self._of.record(outside.compared(missing, self._of.clock.now()))
        return not missing

    def _missing_of(
        self,
        balances: Mapping[str, Balance],
        known: Mapping[str, Position],
        busy: Collection[str],
    ) -> Sequence[str]:
        return outside.missing(self._quiet(known, busy), balances, self._of.state.instruments)

    def _quiet(
        self, known: Mapping[str, Position], busy: Collection[str]
    ) -> Mapping[str, Position]:
        # What changed while the answer was on its way is not in it.
        return {
            symbol: position
            for symbol, position in self._of.state.book.positions.items()
            if symbol not in busy and known.get(symbol) is position
        }
