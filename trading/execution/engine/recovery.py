"""The start of execution, which is always a recovery; and the regular look at everything open."""

import asyncio
import logging
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.errors import AuthLost, Retryable
from trading.domain.events import AlertRaised, FillBooked, IntentClosed, IntentOpened
from trading.domain.money import plain
from trading.domain.order import (
    Attempt,
    AttemptState,
    Fill,
    Intent,
    Purpose,
    Side,
)
from trading.domain.position import TradingMode
from trading.execution import absence, ladder, reconcile
from trading.execution.engine import adding, giving_up
from trading.execution.engine.case import Case, watch_only
from trading.execution.engine.proving import Proving
from trading.execution.engine.reporting import Reporting
from trading.execution.engine.searching import Searching
from trading.execution.engine.sending import Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.engine.twins import Twins
from trading.execution.excess import Excess, owed, too_much
from trading.execution.lifecycle import Observed, advance
from trading.execution.reconcile import Difference, Finding
from trading.ports.storage import StoredState

logger = logging.getLogger(__name__)
_FILLS_READ = 2000
_INTENTS_READ = 2000
_FACTS_READ = 2000
_OF_EXCESS = tuple(kind.__name__ for kind in (IntentOpened, IntentClosed, FillBooked, AlertRaised))
_SWEEP_BACK = timedelta(hours=24)
# Each costs much of the exchange's budget per minute.
_MARKETS_ASKED = 10


class Recovery:
    """Finds out what became of everything that was open, and what the exchange has besides."""

    def __init__(
        self,
        surroundings: Surroundings,
        sending: Sending,
        searching: Searching,
        reporting: Reporting,
        proving: Proving,
    ) -> None:
        self._s = surroundings
        self._sending = sending
        self._searching = searching
        self._reporting = reporting
        self._proving = proving
        self._twins = Twins(surroundings, searching, reporting)
        # Monotonic seconds: when each watched order was asked for last.
        self._looked_s: dict[str, float] = {}

    async def cases(self, state: StoredState) -> Sequence[Case]:
        """Rebuild every open decision, the greatest value at risk first, exits before entries."""
        fills = await self._booked({intent.intent_id for intent in state.intents})
        mode = state.trading_mode.mode if state.trading_mode else TradingMode.ACTIVE
        cases = []
        for intent in state.intents:
            if intent.state.is_terminal:
                continue
            known = {
                one.number: one
                for one in (*state.watched_attempts, *state.attempts)
                if one.intent_id == intent.intent_id
            }
            attempts = [_maybe_sent(known[number]) for number in sorted(known)]
            case = Case(intent, attempts, fills[intent.intent_id])
            # Whenever the old process sent, it was before now: its requests expire from here on.
            case.sent_s = self._s.monotonic()
            is_halted = mode is TradingMode.HALTED_EVERYTHING
            case.is_held = is_halted and intent.purpose is Purpose.PROTECT
            case.beyond = too_much(intent, case.fills)
            giving_up.taken_up(case)
            cases.append(case)
        cases.sort(key=lambda case: (not case.is_exit, -self._s.at_risk(case)))
        return cases

    async def watched(self, attempts: Iterable[Attempt]) -> Sequence[Case]:
        """Rebuild what is needed to recognise orders that were proven absent and may yet appear."""
        grouped: dict[str, list[Attempt]] = {}
        for attempt in attempts:
            grouped.setdefault(attempt.intent_id, []).append(attempt)
        fills = await self._booked(set(grouped))
        decided = await self._told(IntentOpened, grouped)
        ended = await self._told(IntentClosed, grouped)
        return [
            watch_only(each, fills[one], decided.get(one), ended.get(one))
            for one, each in grouped.items()
        ]

    async def _told(
        self, kind: type[IntentOpened | IntentClosed], intent_ids: Collection[str]
    ) -> dict[str, Intent]:
        """Return these decisions as the journal tells of their openings or ends, if it does."""
        if not intent_ids:
            return {}
        read = await self._s.writer.latest(_INTENTS_READ, (kind.__name__,))
        return {
            one.event.intent.intent_id: one.event.intent
            for one in read
            if isinstance(one.event, kind) and one.event.intent.intent_id in intent_ids
        }

    async def _booked(self, intent_ids: set[str]) -> dict[str, list[Fill]]:
        found: dict[str, list[Fill]] = {intent_id: [] for intent_id in intent_ids}
        if not intent_ids:
            return found
        for each in await self._s.writer.latest(_FILLS_READ, (FillBooked.__name__,)):
            if isinstance(each.event, FillBooked) and each.event.intent_id in found:
                found[each.event.intent_id].append(each.event.fill)
        return found

    async def excess(self, at_work: Iterable[Intent]) -> Sequence[Excess]:
        """Return what was bought too much, and booked right before the process died."""
        read = await self._s.writer.latest(_FACTS_READ, _OF_EXCESS)
        found = owed((each.event for each in reversed(read)), at_work)
        return [each for each in found if each.bought.symbol in self._s.rules]

    async def look(self, cases: Sequence[Case]) -> None:
        """Ask once for every live attempt, all at the same time, by the exchange's clock."""
        await self._sending.measure_clock()
        asks = [self._searching.query(case, case.live) for case in cases if case.live is not None]
        await asyncio.gather(*asks)

    async def read_fills(self, case: Case) -> None:
        """Read executions that a report did not list, once."""
        await self._searching.read_fills(case)

    def report(self, cases: Sequence[Case]) -> Sequence[str]:
        """Say for each decision what a restart found, for the recovery card."""
        return [_sentence(case) for case in cases]

    async def check_open(self) -> None:
        """Ask for every order that should be open, and for those that may yet appear."""
        await self._s.writer.flush()
        await self._reporting.adopt_orphans()
        self._reporting.forget_old()
        now, watched = self._s.now(), set()
        for case in self._reporting.known():
            for attempt in list(case.attempts):
                if absence.is_watched(attempt, now, self._s.settings.absence):
                    watched.add(attempt.client_order_id)
                    await self._look_late(attempt, now)
            live = case.live
            if live is not None and live.state in reconcile.RESTING:
                await self._searching.query(case, live)
            for unwanted in case.unwanted:
                self._searching.cancel_unwanted(case, unwanted)
            case.wake()
        self._looked_s = {one: at_s for one, at_s in self._looked_s.items() if one in watched}
        # What has traded is booked, whatever its decision waits for, and after that has ended.
        for case in self._reporting.known():
            await self._searching.look_for_fills(case)

    async def _look_late(self, attempt: Attempt, now: datetime) -> None:
        if not self._s.is_listed(attempt.request.symbol):
            return
        order_id, now_s = attempt.client_order_id, self._s.monotonic()
        age_s = (now - attempt.prepared_at).total_seconds()
        every_s = absence.look_every_s(age_s, self._s.settings.absence)
        if now_s - self._looked_s.get(order_id, float("-inf")) < every_s:
            return
        self._looked_s[order_id] = now_s
        try:
            report = await self._s.read(self._s.gateway.order(attempt.request.symbol, order_id))
        except (Retryable, AuthLost) as error:
            logger.info("query_unanswered", extra={"error": str(error)})
            return
        if report is not None:
            await self._reporting.apply(report, "found after it was proven absent")

    async def sweep(
        self, symbols: Iterable[str], whole_at: Mapping[str, datetime] | None = None
    ) -> Sequence[Finding]:
        """Compare orders and balances of `symbols` with ours, a day back or more.

        Executions are asked for where managed coins are missing: nothing else is made of a sale
        that somebody else made, nor of one from before the account showed all that is managed of an
        asset (`whole_at`, by our clock). Raises Unreachable or AuthLost when the exchange does not
        answer: no answer, no finding.
        """
        # Of a market that the exchange no longer has it says nothing, and the others are compared.
        swept, findings = sorted(set(symbols) & self._s.rules.keys()), list[Finding]()
        for symbol in swept:
            findings += await self._sweep_symbol(symbol)
            self._proving.compared(symbol)
        return [*findings, *await self._missing(swept, whole_at or {})]

    async def _missing(
        self, symbols: Collection[str], whole_at: Mapping[str, datetime]
    ) -> Sequence[Finding]:
        """Return where managed coins are missing, and who traded them away as far as that is told.

        Of what is short under other than these `symbols`, no executions are asked for.
        """
        short = await self._short()
        asked = [each for each in short if each.symbol in symbols]
        if not asked:
            return short
        traded, looked = list[Finding](), dict[str, tuple[str, ...]]()
        # Coins come under care by our clock, and are traded by theirs.
        ahead = timedelta(milliseconds=await self._s.read(self._s.gateway.clock_offset_ms()))
        for each in asked:
            looked[each.asset] = tuple(self._markets(each.asset))
            for symbol in looked[each.asset]:
                traded += await self._taken(each.asset, symbol, ahead, whole_at.get(each.asset))
        # What was sold while executions were read is in no list yet; the next look has both.
        known = {each.symbol for each in short}
        still = [each for each in await self._short() if each.symbol in known]
        # One that rests may have sold since it was compared: what that took is booked first.
        await self.look_at_resting(Side.SELL, {each.asset for each in still})
        return [*traded, *(replace(each, looked=looked.get(each.asset, ())) for each in still)]

    async def look_at_resting(self, side: Side, assets: Container[str]) -> None:
        """Ask for the sales or purchases of these assets that rest; no answer is none."""
        for case, live in adding.lying(self._s.cases.values(), side, assets):
            await self._searching.query(case, live)

    async def _short(self) -> Sequence[Finding]:
        portfolio = self._s.portfolio_of()
        balances = await self._s.read(self._s.gateway.balances())
        return reconcile.shortfalls(portfolio.positions, balances, self._s.rules)

    def _since(self) -> datetime:
        since = self._s.now() - _SWEEP_BACK
        # What an older journal has forgotten is younger than its last record.
        return min(self._proving.since or since, since)

    async def _sweep_symbol(self, symbol: str) -> Sequence[Finding]:
        reports = [
            *await self._s.read(self._s.gateway.open_orders(symbol)),
            *await self._s.read(self._s.gateway.orders_since(symbol, self._since())),
        ]
        findings = list(reconcile.orders(self._attempts(symbol), reports, self._s.prefix))
        twice = [each for each in findings if each.kind is Difference.TWICE]
        findings = [each for each in findings if each.kind is not Difference.TWICE]
        for finding in findings:
            if finding.report is not None:
                await self._reporting.apply(finding.report, f"reconciled: {finding.kind.value}")
        findings += [each for each in twice if await self._twins.found(each)]
        # Orders of ours from before this process are known to the journal, not to memory.
        return [each for each in findings if each.kind is not Difference.ORPHAN] + [
            each
            for each in findings
            if each.report is not None and each.report.client_order_id in self._reporting.orphans
        ]

    def _markets(self, asset: str) -> Sequence[str]:
        portfolio = self._s.portfolio_of()
        return reconcile.markets_of(
            asset, portfolio.positions, portfolio.balances, self._s.rules, _MARKETS_ASKED
        )

    async def _taken(
        self, asset: str, symbol: str, ahead: timedelta, whole_at: datetime | None
    ) -> Sequence[Finding]:
        fills = await self._s.read(self._s.gateway.fills_since(symbol, self._since()))
        # An exchange may number the executions of each symbol for themselves.
        ours = frozenset(
            fill.trade_id
            for case in self._reporting.known()
            for fill in case.fills
            if fill.symbol == symbol
        )
        portfolio = self._s.portfolio_of()
        changed = [portfolio.positions[each].changed_at for each in portfolio.holders(asset)]
        since = [at for at in changed if at is not None]
        if whole_at is not None:
            # What traded in the very millisecond in which a read began is not in it.
            since.append(whole_at - timedelta(milliseconds=1))
        after = max((at + ahead for at in since), default=None)
        foreign = reconcile.taken(asset, symbol, fills, ours, self._s.prefix, after)
        return [foreign] if foreign is not None else []

    def _attempts(self, symbol: str) -> dict[str, Attempt]:
        return {
            attempt.client_order_id: attempt
            for case in self._reporting.known()
            for attempt in case.attempts
            if attempt.request.symbol == symbol
        }


def _maybe_sent(attempt: Attempt) -> Attempt:
    if attempt.state in {AttemptState.JOURNALED, AttemptState.SENT}:
        return advance(attempt, Observed.LOST, "the process ended before the answer was written")
    return attempt


def _sentence(case: Case) -> str:
    intent = case.intent
    verb = "selling" if intent.side.sign < 0 else "buying"
    if case.is_backstop:
        verb = f"backstop at {plain(intent.stop_price or intent.reference_price)}, selling"
    amount: Decimal = intent.quantity if intent.quote_budget is None else intent.quote_budget
    done = ladder.filled(case.attempts)
    live = case.live
    found = (
        "no order was open"
        if live is None
        else f"order {live.client_order_id} is {live.state.words}"
    )
    return f"{intent.symbol}: {verb} {plain(amount)}, {plain(done)} filled; {found}"
