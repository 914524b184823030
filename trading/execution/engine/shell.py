"""The engine's one face: open a decision, take reports, recover, reconcile, hold, and stop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Container, Iterable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from datetime import datetime
from decimal import Decimal

from trading.domain.errors import Ending, Refused
from trading.domain.events import Event
from trading.domain.instrument import Instrument
from trading.domain.market import Quote
from trading.domain.money import ONE, ZERO
from trading.domain.order import Attempt, Fill, Intent, OrderReport, Purpose, Side
from trading.domain.position import Portfolio
from trading.domain.tracker import Tracker
from trading.execution import identity, ladder
from trading.execution.classify import Cause
from trading.execution.engine import adding
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.giving_up import BY_PERSON, GivingUp
from trading.execution.engine.hurrying import Hurrying
from trading.execution.engine.opening import Opening
from trading.execution.engine.pacing import Pacer, Sleep
from trading.execution.engine.proving import Proving
from trading.execution.engine.recovery import Recovery
from trading.execution.engine.reporting import Reporting
from trading.execution.engine.running import Running
from trading.execution.engine.searching import Searching
from trading.execution.engine.sending import Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.engine.taking_up import TakingUp
from trading.execution.engine.writing import Writer
from trading.execution.excess import Excess
from trading.execution.ladder import BlockReason
from trading.execution.reconcile import Finding
from trading.execution.settings import ExecutionSettings
from trading.ports.clock import Clock
from trading.ports.exchange import ExchangeGateway
from trading.ports.on_the_way import OnTheWay, UnmarkedWay
from trading.ports.storage import Journal, StoredState
from trading.risk.gate import Approved

logger = logging.getLogger(__name__)
# So often an exit is tried again at once after a key was refused and taken.
_KEY_REFUSALS = 3


class ExecutionEngine:
    """Carries decisions out, each at most once; the exchange's word is the only one on fills.

    `instruments` are the rules as a start has loaded them; what waits for other ones reloads them.
    `closing` returns what else ends with a decision (its tracker, dust), given its executions and
    the managed base units that nobody owns by now; it is written in the same transaction, within
    `undisturbed`. `publish` is handed every fact once it is written;
    `on_excess` what was bought beyond a decision, once it is booked and at the next start;
    `owned_of` says how many base units of a symbol trackers own whose open exits are these.
    `on_stranger` is told of each order of ours that comes to light and that no record tells of, and
    returns whether it tells people of it; what a start finds is left to whoever asks `unrecorded`;
    `on_overflow` is called when storage has refused more facts than memory should hold, and
    `on_key_refused` for each request that was refused for its key; `on_missing` is told the asset
    when an exit reads that the account holds less of it than is managed. `worth` says what units of
    an asset are worth in the account's currency, None where no market tells. `takes_entries` says
    whether risk may be added now.
    """

    def __init__(  # noqa: PLR0913 (the composition root names each collaborator once)
        self,
        gateway: ExchangeGateway,
        journal: Journal,
        clock: Clock,
        *,
        instruments: dict[str, Instrument],
        settings: ExecutionSettings,
        quote_of: Callable[[str], Quote | None],
        portfolio_of: Callable[[], Portfolio],
        closing: Callable[[Intent, Sequence[Fill], Decimal], Sequence[Event]],
        publish: Callable[..., None],
        order_prefix: str,
        on_excess: Callable[[Excess], None] = lambda _: None,
        on_stranger: Callable[[OrderReport], bool] = lambda _: False,
        owned_of: Callable[[str, Sequence[Intent]], Decimal] = lambda _, __: ZERO,
        undisturbed: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        on_key_refused: Callable[[], None] = lambda: None,
        on_overflow: Callable[[], None] = lambda: None,
        worth: Callable[[str, Decimal], Decimal | None] = lambda _, amount: amount,
        on_missing: Callable[[str], None] = lambda _: None,
        takes_entries: Callable[[], bool] = lambda: True,
        unrecorded: OnTheWay | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._s = Surroundings(
            gateway=gateway,
            writer=Writer(journal, publish, on_overflow),
            pacer=Pacer(settings, clock, sleep),
            clock=clock,
            sleep=sleep,
            settings=settings,
            rules=instruments,
            quote_of=quote_of,
            portfolio_of=portfolio_of,
            closing=closing,
            prefix=order_prefix,
            on_excess=on_excess,
            on_stranger=on_stranger,
            owned_of=owned_of,
            undisturbed=undisturbed,
            on_key_refused=on_key_refused,
            worth=worth,
            on_missing=on_missing,
            takes_entries=takes_entries,
            unrecorded=unrecorded or UnmarkedWay(),
        )
        booking = Booking(self._s)
        self._sending = Sending(self._s, booking)
        self._searching = Searching(self._s, booking, self._sending)
        self._reporting = Reporting(self._s, self._searching)
        self._proving = Proving(self._s, booking, self._reporting.apply)
        self._running = Running(self._s, booking, self._sending, self._searching, self._proving)
        self._recovery = Recovery(
            self._s, self._sending, self._searching, self._reporting, self._proving
        )
        self._cutting = booking.cutting
        self._giving_up = GivingUp(self._s)
        self._hurrying = Hurrying(self._s)
        self._sending.on_late_report = self._reporting.take
        self._reporting.sweep = self._recovery.sweep
        self._tasks: set[asyncio.Task[None]] = set()
        self._taking_up = TakingUp(
            self._s, booking, self._recovery, self._reporting, self._proving, self._go
        )
        self._opening = Opening(
            self._s, booking, self._running, self._sending, self._reporting, self._go
        )

    # -------------------------------------------------------- what is going on

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The rules as last loaded."""
        return self._s.rules

    @property
    def intents(self) -> Sequence[Intent]:
        """Every decision that is not ended, backstops aside."""
        intents = (case.intent for case in self._s.cases.values() if not case.is_backstop)
        # One that has ended stays until its task is taken away.
        return [intent for intent in intents if not intent.state.is_terminal]

    @property
    def backstops(self) -> Sequence[tuple[Intent, Attempt | None]]:
        """Every stop that rests on the exchange or is about to, with its order."""
        return [
            (case.intent, case.live)
            for case in self._s.cases.values()
            if case.is_backstop and case.giving_up is None
        ]

    @property
    def backstops_leaving(self) -> frozenset[str]:
        """Symbols of stops that are taken off the exchange, and may sell until that is proven."""
        return adding.leaving(self._s.cases.values())

    @property
    def claimed(self) -> frozenset[str]:
        """Symbols whose coins a person's sale needs now, so that no backstop may lock them."""
        return adding.claimed(self._s.cases.values())

    @property
    def stuck_sales(self) -> Sequence[Intent]:
        """Sales that wait for a price, for what blocks them or their end, held ones aside."""
        return adding.stuck(self._s.cases.values())

    @property
    def bounded_sales(self) -> Sequence[Intent]:
        """Sales that may end, or wait, with coins unsold, those that a halt holds among them."""
        return adding.bounded(self._s.cases.values())

    @property
    def unsaved_ends(self) -> Sequence[Intent]:
        """Decisions that are done and that storage did not take."""
        return self._s.writer.unsaved_ends

    @property
    def attempts(self) -> Sequence[Attempt]:
        """Every attempt whose end is not known."""
        return [live for case in self._s.cases.values() if (live := case.live) is not None]

    @property
    def is_clock_known(self) -> bool:
        """Whether the exchange's clock was measured since it last refused a request for ours."""
        return self._s.is_clock_known

    def clock_was_measured(self) -> None:
        """Note that the exchange's clock is known: requests are signed by it."""
        self._s.is_clock_known = True

    def key_was_taken(self) -> None:
        """Let what waits for the key go on: a request that was signed with it was answered.

        What was refused again and again does so in its own time: a key may read and not trade.
        """
        for case in self._s.cases.values():
            is_first = case.refusals[Cause.AUTH] <= _KEY_REFUSALS
            if is_first and case.obstacle is not None and case.obstacle.reason is BlockReason.KEY:
                case.obstacle = None
                case.wake()

    def exiting(self, symbol: str) -> Decimal:
        """Managed base units that belong to open exits: the gate subtracts them."""
        return self._s.exiting(symbol)

    @asynccontextmanager
    async def no_backstop_books(self, tracker_id: int) -> AsyncIterator[None]:
        """Let no backstop of a tracker book a sale while the block opens the tracker's exit.

        What it has sold before is off the slice inside, what it sells later is cut off the exit.
        """
        async with AsyncExitStack() as stack:
            for case in list(self._s.cases.values()):
                if case.is_backstop and case.intent.tracker_id == tracker_id:
                    await stack.enter_async_context(case.lock)
            yield

    def sold_of_slices(self, symbol: str) -> Decimal:
        """Base units that open decisions of trackers have sold: a slice counts them until the end.

        One that has ended is listed a moment longer; its tracker has let its slice go.
        """
        return adding.sold_of_slices(self._s.cases.values(), symbol)

    def sold_by_order(self, symbol: str) -> Decimal:
        """Managed base units that open sales of no tracker sell: no slice counts them."""
        return adding.sold_by_order(self._s.cases.values(), symbol)

    def bought_of_slices(self, symbol: str, tracker_ids: Container[int] | None = None) -> Decimal:
        """Base units that open purchases of these trackers have bought: no slice counts them yet.

        Without `tracker_ids` of all.
        """
        return adding.bought_of_slices(self._s.cases.values(), symbol, tracker_ids)

    def arriving(self, asset: str) -> Decimal:
        """Units of `asset` that open purchases may have brought and no position counts yet."""
        return adding.arriving(self._s.cases.values(), asset)

    async def look_at_purchases(self, assets: Container[str]) -> None:
        """Ask for purchases of these assets that rest, and book what they have bought.

        Whoever has no patience with this breaks no booking off.
        """
        look = asyncio.create_task(self._recovery.look_at_resting(Side.BUY, assets))
        self._tasks.add(look)
        look.add_done_callback(self._tasks.discard)
        await asyncio.shield(look)

    def moving(self) -> frozenset[str]:
        """Symbols of which orders of ours trade now, or have traded what is not booked yet.

        A decision that waits moves nothing, nor does an order that rests.
        """
        return adding.moving(self._s.cases.values())

    def changing(self) -> frozenset[str]:
        """Symbols of which an order of ours comes or goes just now, backstops among them."""
        return adding.changing(self._s.cases.values())

    def is_without_coins(self, symbol: str) -> bool:
        """Whether a sale of a symbol waits, for the account has too few of its coins free."""
        return adding.is_without_coins(self._s.cases.values(), symbol)

    def selling(self, tracker_id: int) -> Decimal:
        """Base units that an open backstop of a tracker has sold: its slice still counts them."""
        return self._s.selling(tracker_id)

    async def booked(self, symbol: str) -> None:
        """Wait for the booking of what was sold of a symbol, where it is just being written."""
        for case in list(self._s.cases.values()):
            if case.intent.symbol == symbol and case.unbooked:
                async with case.lock:
                    pass

    async def backstop_sold(self, tracker: Tracker) -> Decimal:
        """Return the base units that backstops sold in a tracker's present arming."""
        return await self._cutting.backstop_sold(tracker, self._s.now())

    def entry_limit(self, instrument: Instrument, ask: Decimal) -> Decimal:
        """Return the limit that a purchase at this ask would begin with, in quote units."""
        settings = self._s.settings.ladder
        return ladder.entry_limit(instrument, ask, ask * (ONE + settings.entry_drift_max), settings)

    def reserved(self, asset: str) -> Decimal:
        """Quote units of `asset` that open entries may still spend."""
        return adding.reserved(self._s.cases.values(), asset)

    def offered(self, asset: str) -> Decimal:
        """Managed units of `asset` that sell orders of ours lock on the exchange."""
        return adding.offered(self._s.cases.values(), asset)

    def in_doubt(self, asset: str) -> Decimal:
        """Units of `asset` of sell orders of ours that may lock them, for all that is known."""
        return adding.in_doubt(self._s.cases.values(), asset)

    # -------------------------------------------------------- opening

    async def open(self, approved: Approved, cause: Sequence[Event] = ()) -> Intent:
        """Write cause, decision and first attempt in one transaction, then send at once.

        Returns when that is durable and the request is on its way. Raises StorageLost for an entry
        that cannot be written, AlreadyRecorded for a decision that was made before; then nothing
        is sent. An exit goes out through the journal's reserve, or once without it.
        """
        (intent,) = await self.open_all((approved,), cause)
        return intent

    async def open_all(
        self, approvals: Sequence[Approved], cause: Sequence[Event] = ()
    ) -> Sequence[Intent]:
        """Open many decisions in the one transaction of their cause: all of them or none.

        The greatest value at risk goes out first: it gets the venue's budget.
        """
        return await self._opening.open_all(approvals, cause)

    def unmoved(self, intent_ids: Iterable[str]) -> AbstractAsyncContextManager[frozenset[str]]:
        """Let none of these sales change or end inside; yields which of them stand still."""
        return self._hurrying.unmoved(intent_ids)

    async def close(
        self,
        approvals: Sequence[Approved],
        word: Sequence[Event],
        hurried: Mapping[str, Decimal],
        at_once: Sequence[Event] = (),
    ) -> None:
        """Open a closing's sales, and have older ones go to the market with them: one fact.

        Those are `unmoved`; each lets so many base units go unsold. Raises Ending where the process
        ends, and StorageLost where there is nothing to open and nobody can tell whether the word
        was written: it is carried out, with those of its facts that hold `at_once`.
        """
        if self._s.is_stopping:
            raise Ending
        lost = None
        with self._hurrying.at_market(hurried) as changes:
            if approvals:
                await self._opening.open_all(approvals, (*word, *changes))
            else:
                events, lost = await self._s.writer.insist(word, changes, at_once)
                self._s.writer.publish(events)
        if lost is not None:
            raise lost

    async def insist(self, word: Sequence[Event], changes: Sequence[Event]) -> None:
        """Write a person's word with what it changes; raises StorageLost, and that holds even so.

        It is kept in memory then, and written as soon as storage takes it.
        """
        events, lost = await self._s.writer.insist(word, changes)
        self._s.writer.publish(events)
        if lost is not None:
            raise lost

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is sent any more, for the process ends."""
        return self._s.is_stopping

    def is_ours(self, client_order_id: str) -> bool:
        """Whether an order of the exchange carries the form that only this installation sends."""
        return identity.is_ours(client_order_id, self._s.prefix)

    def _go(self, case: Case, attempt: Attempt | None) -> None:
        if attempt is not None:
            self._sending.start(case, attempt)
        task = asyncio.create_task(self._running.run(case))
        case.task = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(case, done))

    def _ended(self, case: Case, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not case.intent.state.is_terminal:
            # Cancelled: a decision is carried out until it is done, unless we are stopping.
            return
        self._s.cases.pop(case.intent.intent_id, None)
        # A task keeps its context, and that the last answer of the exchange.
        self._sending.let_go(case)
        case.task = None
        if case.is_backstop:
            for other in self._s.cases.values():
                if other.intent.symbol == case.intent.symbol:
                    # What it has locked is free now.
                    other.fresh_free = None
                    other.wake()

    # -------------------------------------------------------- facts of the exchange

    def on_report(self, report: OrderReport) -> None:
        """Take a report of the user stream; returns at once."""
        self._reporting.take(report)

    async def recover(
        self, state: StoredState, whole_at: Mapping[str, datetime] | None = None
    ) -> Sequence[str]:
        """Take up everything that was open, and ask the exchange once; `go_on` carries it out.

        Whatever was journaled is treated as maybe sent. Returns a sentence per decision; none ends
        before `go_on`, so that the caller can load what ends with it. `whole_at` is when the
        account last showed all that is managed of an asset.
        """
        return await self._taking_up.recover(state, whole_at)

    def doubt(self, decisions: Mapping[str, str], since: datetime) -> None:
        """Take decisions that a process before this one may have carried out, before `recover`.

        Each id comes with its symbol; `since` is when the journal was surely the newest. The next
        order of one is looked for before it is sent, unless `trust` or a sweep comes first.
        """
        self._proving.doubt(decisions, since)

    def trust(self, symbols: Iterable[str]) -> None:
        """Take it as known that nothing of these symbols was sent in the missing time."""
        self._proving.trust(symbols)

    def go_on(self) -> None:
        """Carry out what was taken up, once everything is loaded that ends with it."""
        self._taking_up.go_on()

    async def conclude(self) -> None:
        """Book what orders have done that ended before this start, and end their decisions.

        After `go_on`, and before anything is judged by what is held. What the exchange does not
        list yet is booked later: who sells the same coins waits for that.
        """
        await self._taking_up.conclude()

    def unrecorded(self) -> Sequence[OrderReport]:
        """Return what the exchange says of orders of ours without a record."""
        return [report for _, report in sorted(self._reporting.orphans.items())]

    async def take_in_unrecorded(self) -> None:
        """Book at once what orders of ours did that no record tells of."""
        for report in list(self._reporting.orphans.values()):
            await self._reporting.take_in(report)
        await self._reporting.complete_adopted()

    def taken_in(self, intent_id: str) -> Decimal | None:
        """Return what orders of an intent filled that no record told of; None without any."""
        case = self._reporting.adopted.get(identity.stem(self._s.prefix, intent_id))
        return None if case is None else ladder.filled(case.attempts)

    async def check_open_attempts(self) -> None:
        """Ask for every order that should be open; the recurring job of 10 s."""
        for case in list(self._s.cases.values()):
            if case.task is not None and case.task.done() and not self._s.is_stopping:
                logger.error("case_taken_up_again", extra={"intent": case.intent.intent_id})
                self._go(case, None)
        await self._recovery.check_open()

    async def reconcile(
        self, symbols: Sequence[str], whole_at: Mapping[str, datetime] | None = None
    ) -> Sequence[Finding]:
        """Compare orders, executions and balances with ours; raises Unreachable or AuthLost.

        `whole_at` is when the account last showed all that is managed of an asset.
        """
        return await self._recovery.sweep(symbols, whole_at)

    async def fit(self, symbol: str) -> None:
        """Cut exits down to what is managed now; one that has nothing left to sell ends.

        Coins were sold elsewhere, and that is booked: the youngest decision gives way first.
        """
        exits = [case for case in self._s.cases.values() if case.intent.symbol == symbol]
        for case in sorted(exits, key=lambda case: case.intent.created_at, reverse=True):
            if case.is_exit:
                async with case.lock:
                    await self._cutting.cut(case)

    # -------------------------------------------------------- a person's word

    def hold(self, intent_id: str | None = None) -> None:
        """Let protective exits, or one of them, wait for a release: `/halt everything`."""
        for case in self._chosen(intent_id):
            case.is_held = case.is_held or case.intent.purpose is Purpose.PROTECT
            case.wake()

    def release(self, intent_id: str | None = None) -> None:
        """Let held exits, or one of them, go on."""
        for case in self._chosen(intent_id):
            case.is_held = False
            if case.obstacle is not None and case.obstacle.reason is BlockReason.HALTED:
                case.obstacle = None
            case.wake()

    def exit_now(self, intent_id: str) -> None:
        """Send one held exit on, although everything is halted; raises Refused if there is none."""
        self._case(intent_id)
        self.release(intent_id)

    def withdraw(self, intent_id: str, reason: str) -> None:
        """Take a backstop off the exchange; it ends once that is proven."""
        self._giving_up.withdraw(intent_id, reason)

    async def give_up(
        self,
        intent_ids: Iterable[str],
        cause: Sequence[Event],
        reason: str = BY_PERSON,
        *,
        reserve: bool = True,
        at_once: Sequence[Event] = (),
    ) -> None:
        """Write a command and what it gives up as one fact.

        Their orders are cancelled, and each decision ends once that is proven; `settle` waits.
        Raises StorageLost; nobody can tell then whether it was written, so they are given up all
        the same, and those facts of the cause hold that do so `at_once`: a halt does.
        """
        await self._giving_up.ordered(intent_ids, reason, cause, reserve=reserve, at_once=at_once)

    async def settle(self, intent_ids: Iterable[str]) -> None:
        """Wait a moment for the ends of decisions; what takes longer ends by itself."""
        await self._giving_up.settle(intent_ids)

    @property
    def entries(self) -> Sequence[str]:
        """The ids of all open entries."""
        return self._giving_up.entries

    async def cancel_entries(self, reason: str) -> None:
        """Give every open entry up."""
        await self._giving_up.follows(self.entries, reason)

    def panicking(self) -> AbstractContextManager[Sequence[Event]]:
        """Give up all entries, as everything is sold; what they still buy goes, too.

        The block writes these events in the transaction of the panic; where that cannot be, nothing
        is given up.
        """
        return self._giving_up.panicking()

    def unwinding(self, symbol: str) -> AbstractContextManager[Sequence[Event]]:
        """Give up what has bought a part of what a stop sells now; what it still buys goes, too.

        The block writes these events in the transaction of what has fired; where that cannot be,
        nothing is given up.
        """
        return self._giving_up.unwinding(symbol)

    async def unwind(self, symbol: str, cause: Sequence[Event]) -> None:
        """Write what has fired and cannot sell yet, and give up the same entries with it."""
        await self._giving_up.unwound(symbol, cause)

    def _chosen(self, intent_id: str | None) -> Sequence[Case]:
        if intent_id is None:
            return list(self._s.cases.values())
        case = self._s.cases.get(intent_id)
        return [case] if case is not None else []

    def _case(self, intent_id: str) -> Case:
        case = self._s.cases.get(intent_id)
        if case is None:
            raise Refused(f"nothing is being executed under {intent_id}")
        return case

    # -------------------------------------------------------- the end

    def send_nothing_new(self) -> None:
        """From now on only what has lost its backstop sells; the rest is for the next start."""
        self._s.is_stopping = True

    async def stop(self) -> None:
        """Send nothing new, wait a few seconds for answers, and end; what is open is recovered.

        An exit whose backstop was taken off the exchange for it still sells: nothing else would.
        """
        self.send_nothing_new()
        ends_s = self._s.monotonic() + self._s.settings.stop_deadline_s
        try:
            while self._is_waiting() and self._s.monotonic() < ends_s:
                await self._s.sleep(0.02)
            await self._reporting.close()
        finally:
            # Whoever has no patience with this may close the gateway next.
            tasks = [*self._opening.tasks, *self._tasks, *self._sending.late]
            tasks += self._searching.asking
            tasks += [case.sending for case in self._s.cases.values() if case.sending is not None]
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._running.close_unsent(list(self._s.cases.values()))
        await self._s.pacer.close()
        await self._s.writer.flush()

    def _is_waiting(self) -> bool:
        is_leaving = any(case.sending or case.is_leaving for case in self._s.cases.values())
        return bool(self._opening.tasks) or is_leaving
