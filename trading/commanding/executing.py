"""Commands take effect: each effect is journaled with its cause, so that it happens once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.commanding.doubts import Doubts
from trading.commanding.firing import Firing
from trading.commanding.proposing import MODE_WORDS, is_ended_by
from trading.commanding.workings import Workings
from trading.decide import SizedOrder, on_order
from trading.desk import CloseLine, Hurried, Outcome, Shown
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
    AcknowledgeAlerts,
    ArmTracker,
    CancelTracker,
    CloseAll,
    ClosePosition,
    Command,
    EditTracker,
    ExitNow,
    Panic,
    PauseTracker,
    PlaceOrder,
    ResumeTracker,
    SetTradingMode,
)
from trading.domain.errors import (
    AlreadyRecorded,
    NotCarriedOn,
    Outgrown,
    Refused,
    StorageLost,
    Unreachable,
)
from trading.domain.events import (
    AlertAcknowledged,
    CommandExecuted,
    Event,
    PositionAdjusted,
    TrackerChanged,
    TradingModeChanged,
)
from trading.domain.instrument import base_and_quote
from trading.domain.money import ONE, ZERO, grouped
from trading.domain.order import PANICKED, Intent, Purpose, Side
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.ports.storage import Journal
from trading.proposals import closing, consent
from trading.proposals.closing import Closing
from trading.risk import halts
from trading.risk.gate import Approved

logger = logging.getLogger(__name__)
_BY_HAND = "closed by hand"
_ENTRIES_ENDED = "entries were cancelled"


class Executor:
    """Does what was proposed and confirmed."""

    def __init__(
        self,
        workings: Workings,
        firing: Firing,
        journal: Journal,
        end: Callable[[NotCarriedOn], None],
    ) -> None:
        self._of = workings
        self._firing = firing
        self._doubts = Doubts(journal)
        self._end = end
        # A halt that holds in memory alone: it is written as its panic is given again.
        self._unwritten: Sequence[Event] = ()

    async def execute(
        self,
        command: Command,
        by: int,
        cause: str,
        reference: Decimal | None,
        shown: Shown | None = None,
    ) -> Outcome:
        """Do a command once; raises AlreadyRecorded for a known cause, Refused if it cannot be.

        Raises NotCarriedOn where the journal has one that failed and that memory does not know; the
        process ends by that, also where whoever gave the command only reads why it failed.
        """
        if cause in self._of.state.executed:
            raise AlreadyRecorded(CommandExecuted.__name__, cause)
        done = CommandExecuted(cause, by, type(command).__name__, self._of.clock.now())
        try:
            await self._doubts.settle()
            return await self._effect(command, done, reference, shown)
        except NotCarriedOn as error:
            self._end(error)
            raise
        except StorageLost:
            self._doubts.note(command, cause, self._of.state.mode)
            raise

    def _effect(
        self,
        command: Command,
        done: CommandExecuted,
        reference: Decimal | None,
        shown: Shown | None,
    ) -> Awaitable[Outcome]:
        effect: Awaitable[Outcome]
        match command:
            case ArmTracker():
                effect = self._arm(command, done, reference, shown)
            case EditTracker():
                effect = self._edit(command, done, shown)
            case PlaceOrder(side=Side.BUY):
                effect = self._buy(command, done, reference, shown)
            case PlaceOrder():
                effect = self._sell(command, done, shown)
            case ClosePosition():
                effect = self._close(command, done, shown)
            case CloseAll() | Panic():
                effect = self._close_all(command, done)
            case SetTradingMode():
                effect = self._set_mode(command, done)
            case AcknowledgeAlerts():
                effect = self._acknowledge(command, done)
            case _:
                effect = self._change_tracker(command, done, shown)
        return effect

    async def _arm(
        self,
        command: ArmTracker,
        done: CommandExecuted,
        reference: Decimal | None,
        shown: Shown | None,
    ) -> Outcome:
        spec = command.spec
        if spec.first_side is Side.BUY:
            self._of.check_entries()
        owner = (self._of.state.take_tracker_id(), done.by)
        basis = await self._of.basis(spec.symbol, spec.trail)
        consent.check_drift(reference, basis.present.price, self._of.limits.price_collar)
        # Worked out inside: another word may just take what is left.
        async with self._of.trackers.undisturbed():
            armed, facts = self._of.arm(spec, owner, basis)
            now = consent.shown_of_tracker(armed.tracker, armed.adopted)
            consent.check_growth(now, shown, "own")
            adoption = _adoption(spec.symbol, armed.adopted, facts.price, done)
            await self._of.trackers.arm(armed.tracker, (done, *adoption))
        number = armed.tracker.tracker_id
        return Outcome(f"#{number} {spec.symbol} is watched.", number)

    async def _edit(
        self, command: EditTracker, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        before = self._of.tracker(command.tracker_id)
        takes_coins = command.amount is not None
        basis = await self._of.basis(before.symbol, command.trail, takes_coins=takes_coins)
        async with self._of.trackers.undisturbed():
            # As it is by now: a sale may have left it less, and its stop may have followed.
            present = self._of.tracker(before.tracker_id)
            edit = self._of.edit(present, command, basis)
            now = consent.shown_of_edit(present, edit.tracker, edit.adopted, command)
            if shown is not None and shown.rules not in {"", now.rules}:
                raise Outgrown(f"#{before.tracker_id} was changed since the question")
            consent.check_growth(now, shown, "own")
            adoption = _adoption(before.symbol, edit.adopted, basis.present.price, done)
            await self._of.trackers.edit(before, edit.tracker, (done, *adoption))
        return Outcome(f"#{before.tracker_id} was changed.", before.tracker_id)

    async def _buy(
        self,
        command: PlaceOrder,
        done: CommandExecuted,
        reference: Decimal | None,
        shown: Shown | None,
    ) -> Outcome:
        sized = await self._of.size(command)
        consent.check_drift(reference, sized.reference, self._of.decisions.order_slippage_max)
        consent.check_growth(sized.shown, shown, "spend")
        intent = on_order(sized.order, done.cause, sized.reference, done.at, self._of.decisions)
        await self._open([intent], (done,))
        return Outcome(f"Buying {command.symbol}.", intent_ids=(intent.intent_id,))

    async def _sell(
        self, command: PlaceOrder, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        sized = await self._of.size(command, shown)
        consent.check_growth(sized.shown, shown, "sell")
        order = sized.order
        intent = on_order(order, done.cause, sized.reference, done.at, self._of.decisions)
        async with self._of.trackers.undisturbed():
            # A stop may have taken these coins since they were counted: no others are sold instead.
            now = consent.shown_of_order(command, order, self._of.holding(order.symbol))
            consent.check_growth(now, sized.shown, "sell")
            room = self._make_room(order, now.adopted, sized.reference, done)
            await self._open([replace(intent, adopted=now.adopted)], (done, *room))
        ids = (intent.intent_id,)
        return Outcome(f"Selling {command.symbol}.", intent_ids=ids, size=order.quantity)

    def _make_room(
        self, order: SizedOrder, adopted: Decimal, price: Decimal, done: CommandExecuted
    ) -> Sequence[Event]:
        return (
            *_adoption(order.symbol, adopted, price, done),
            *self._shrunk(order.symbol, order.quantity),
        )

    def _shrunk(self, symbol: str, sold: Decimal) -> Sequence[Event]:
        """Fit the slices that wait to what a sale leaves them; those at work keep theirs."""
        left = closing.left_of(self._of.holding(symbol), sold)
        managed = left + self._of.at_work(symbol)
        bought = self._of.execution.bought_of_slices(symbol)
        return self._of.trackers.resized(symbol, managed, _BY_HAND, bought)

    async def _close(
        self, command: ClosePosition, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        symbol, share = command.symbol, command.share
        stuck = self._of.stuck(symbol, share)
        async with self._unmoved(stuck) as unmoved, self._of.trackers.undisturbed():
            stuck = self._of.stuck(symbol, share)
            waiting = [one for one in stuck if one.intent_id in unmoved]
            found = self._of.closing(symbol, share, waiting, shown)
            consent.check_growth(Shown(found.line.quantity), shown, "sell")
            fresh = [found.fresh] if found.fresh.quantity else []
            intents = [self._exit(line, done, Purpose.CLOSE) for line in fresh]
            cause = (done, *self._shrunk(symbol, found.fresh.quantity))
            await self._sell_off(intents, cause, found.hurried)
        # A part takes no more of them than it lacks.
        kept = [one for one in stuck if share == ONE and one not in waiting]
        told = f"{_selling((found.line,))}{_released(found)}{_kept(kept)}"
        return Outcome(told, intent_ids=_ids(intents, found.hurried), size=found.line.quantity)

    async def _close_all(self, command: CloseAll | Panic, done: CommandExecuted) -> Outcome:
        is_panic = isinstance(command, Panic)
        if isinstance(command, Panic) and command.everything:
            await asyncio.gather(self._cancel_foreign(), self._of.look_at_account())
        execution = self._of.execution
        # What is at work already must not stop at a price, nor for want of patience, either.
        sales = (*execution.stuck_sales, *execution.bounded_sales)
        try:
            async with self._unmoved(sales) as unmoved, self._of.trackers.undisturbed():
                return await self._sell_all(command, done, unmoved)
        finally:
            if is_panic and self._of.state.mode.is_halted:
                await self._of.execution.cancel_entries(PANICKED)

    async def _sell_all(
        self, command: CloseAll | Panic, done: CommandExecuted, unmoved: Container[str]
    ) -> Outcome:
        is_panic = isinstance(command, Panic)
        stuck = [Hurried(one) for one in self._of.execution.stuck_sales if one.intent_id in unmoved]
        bounded = self._of.execution.bounded_sales if is_panic else self._of.bounded_sales()
        at_work = [one for one in bounded if one.intent_id in unmoved]
        hurried = {one.intent.intent_id: one for one in (*map(Hurried, at_work), *stuck)}
        kept = [one for one in bounded if one.intent_id not in unmoved]
        cause: list[Event] = [done]
        # Counted here: what a stop has taken meanwhile would have the whole refused.
        lines = self._of.managed_lines()
        # What has fired already and was held sells by its own decision, as the halt ends.
        held = self._of.held_lines() if is_panic else ()
        adopted: dict[str, Decimal] = {}
        if isinstance(command, Panic) and command.everything:
            unmanaged = self._of.unmanaged_lines()
            lines = _by_symbol((*lines, *unmanaged))
            cause += [fact for line in unmanaged for fact in _taken_over(line, done)]
            adopted = {line.symbol: line.quantity for line in unmanaged}
        purpose = Purpose.PANIC if is_panic else Purpose.CLOSE
        intents = [
            replace(self._exit(line, done, purpose), adopted=adopted.get(line.symbol, ZERO))
            for line in lines
        ]
        cause += [
            _closed(tracker, "panic" if is_panic else _BY_HAND, done.at)
            for tracker in self._of.trackers.all()
            if is_ended_by(command, tracker)
        ]
        halt = self._halt_of_panic(done) if is_panic else ()
        is_more_at_work = bool(self._of.sales())
        ending = self._of.execution.panicking() if is_panic else nullcontext(())
        try:
            with ending as ended:
                word = (*cause, *halt, *ended)
                await self._sell_off(intents, word, list(hurried.values()), halt)
        except StorageLost:
            self._unwritten = halt
            raise
        sold = _by_symbol((*lines, *map(_line, stuck), *held))
        told = f"{_selling(sold, is_more_at_work=is_more_at_work and not kept)}{_kept(kept)}"
        return Outcome(told, intent_ids=_ids(intents, list(hurried.values())))

    def _halt_of_panic(self, done: CommandExecuted) -> Sequence[Event]:
        """Return what a panic changes in the mode: nothing, and so nothing to tell, once it has."""
        halt = TradingModeChanged(TradingMode.HALTED, "panic", str(done.by), done.at)
        known = self._of.state.trading_mode
        if known is None or known in self._unwritten:
            return (halt,)
        return () if (known.mode, known.reason) == (halt.mode, halt.reason) else (halt,)

    async def _set_mode(self, command: SetTradingMode, done: CommandExecuted) -> Outcome:
        reason = command.reason or "asked for in the chat"
        changed = TradingModeChanged(command.mode, reason, str(done.by), done.at)
        seen = self._looked_into(done) if command.mode is TradingMode.ACTIVE else ()
        if command.mode is self._of.state.mode is TradingMode.ACTIVE:
            await self._of.record(done, *seen)
            return Outcome("Trading is active already. New entries are allowed.")
        # A full disk delays every way out of a halt, and no halt.
        is_stricter = halts.stricter(self._of.state.mode, halts.Halt(command.mode, reason))
        try:
            # One fact: no death leaves the mode without the end of what it ends.
            await self._of.execution.give_up(
                self._of.execution.entries if changed.ends_entries else (),
                (done, changed, *seen),
                _ENTRIES_ENDED,
                reserve=is_stricter is not None or command.mode is self._of.state.mode,
                at_once=(changed,) if is_stricter else (),
            )
        finally:
            in_force = self._of.state.trading_mode is changed
            entries = () if command.mode.takes_entries else self._of.execution.entries
            if in_force and changed.ends_entries:
                # What has opened while that was written has seen the mode before.
                await self._of.execution.cancel_entries(_ENTRIES_ENDED)
        said = ""
        if entries:
            cancelled = f" Open purchases are cancelled: {len(entries)}."
            kept = f" Purchases that rest stay, and may fill: {len(entries)}. /reduce cancels them."
            said = cancelled if changed.ends_entries else kept
        return Outcome(f"{MODE_WORDS[command.mode]}{said}")

    def _looked_into(self, done: CommandExecuted) -> Sequence[Event]:
        return [
            AlertAcknowledged(alert.alert_id, done.by, done.at)
            for alert in self._of.state.alerts
            if alert.topic in halts.ASKING_FOR_A_LOOK
        ]

    async def _acknowledge(self, command: AcknowledgeAlerts, done: CommandExecuted) -> Outcome:
        wanted = [
            alert.alert_id
            for alert in self._of.state.alerts
            if command.alert_id in {None, alert.alert_id}
        ]
        if not wanted:
            return Outcome("There is no alert to acknowledge.")
        await self._of.record(done, *(AlertAcknowledged(item, done.by, done.at) for item in wanted))
        return Outcome(f"{len(wanted)} alert{'s' * (len(wanted) != 1)} acknowledged.")

    async def _change_tracker(
        self, command: Command, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        match command:
            case AbortOrders(symbol=symbol):
                return await self._abort_orders(symbol, done, shown)
            case CancelTracker(tracker_id=number):
                await self._of.trackers.cancel(number, (done,))
                text = f"#{number} was cancelled."
            case PauseTracker(tracker_id=number):
                await self._of.trackers.pause(number, (done,))
                text = f"#{number} is paused."
            case ResumeTracker(tracker_id=number):
                await self._of.trackers.resume(number, (done,))
                text = f"#{number} watches again."
            case AbortIntent(tracker_id=number):
                await self._abort(self._of.tracker(number), done)
                text = f"The exit of #{number} was given up."
            case ExitNow(tracker_id=number):
                await self._exit_now(self._of.tracker(number), done)
                text = f"#{number} is being sold."
            case _:
                raise Refused(f"{type(command).__name__} is not a command of this desk")
        return Outcome(text, number)

    async def _abort_orders(
        self, symbol: str, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        ordered = [intent.intent_id for intent in self._of.ordered(symbol)]
        ids = [one for one in ordered if shown is None or one in shown.orders]
        if not ids:
            raise Refused(f"nothing of what the question named is at work on {symbol}", "/orders")
        await self._of.execution.give_up(ids, (done,))
        await self._of.execution.settle(ids)
        newer = len(ordered) - len(ids)
        stays = f" {newer} that the question did not name stay{'s' * (newer == 1)}: /orders."
        return Outcome(f"What was ordered of {symbol} is being given up.{stays if newer else ''}")

    async def _abort(self, tracker: Tracker, done: CommandExecuted) -> None:
        intent_id = self._firing.intent_of(tracker)
        if intent_id is not None:
            await self._of.execution.give_up([intent_id], (done,))
            await self._of.execution.settle([intent_id])
        elif tracker.state is TrackerState.BLOCKED:
            await self._firing.give_up(tracker, done)
        else:
            raise Refused(f"#{tracker.tracker_id} has no exit at work", "/orders")

    async def _exit_now(self, tracker: Tracker, done: CommandExecuted) -> None:
        intent_id = self._firing.intent_of(tracker)
        if intent_id is not None:
            await self._of.record(done)
        else:
            await self._firing.exit_now(tracker, done)
            intent_id = self._firing.intent_of(tracker)
        if intent_id is not None:
            self._of.execution.exit_now(intent_id)

    def _exit(self, line: CloseLine, done: CommandExecuted, purpose: Purpose) -> Intent:
        price = (line.value or ZERO) / line.quantity
        order = SizedOrder(line.symbol, Side.SELL, purpose, line.quantity, is_closing=True)
        return on_order(order, done.cause, price, done.at, self._of.decisions)

    async def _open(self, intents: Sequence[Intent], cause: Sequence[Event]) -> None:
        await self._of.execution.open_all(await self._approved(intents, cause), tuple(cause))

    async def _sell_off(
        self,
        intents: Sequence[Intent],
        cause: Sequence[Event],
        hurried: Sequence[Hurried],
        at_once: Sequence[Event] = (),
    ) -> None:
        approved = await self._approved(intents, cause)
        released = {each.intent.intent_id: each.released for each in hurried}
        await self._of.execution.close(approved, cause, released, at_once)

    async def _approved(
        self, intents: Sequence[Intent], cause: Sequence[Event]
    ) -> Sequence[Approved]:
        # Coins that the same transaction puts under care count for the gate already.
        portfolio = self._of.state.book.preview(*cause)
        return [await self._of.decide(intent, portfolio) for intent in intents]

    def _unmoved(self, sales: Iterable[Intent]) -> AbstractAsyncContextManager[frozenset[str]]:
        return self._of.execution.unmoved({intent.intent_id for intent in sales})

    async def _cancel_foreign(self) -> None:
        """Free what other orders lock, for as long as a person may wait; the sale goes on then."""
        cancels = [
            self._of.gateway.cancel(report.symbol, report.client_order_id)
            for report in await self._of.foreign_orders() or ()
        ]
        try:
            await self._of.ask(asyncio.gather(*cancels))
        except Unreachable:
            logger.warning("foreign_orders_not_cancelled")


def _adoption(
    symbol: str, quantity: Decimal, price: Decimal, done: CommandExecuted
) -> tuple[Event, ...]:
    if quantity <= 0:
        return ()
    why = (AdjustReason.ADOPTED, "put under care by a confirmed command")
    return (PositionAdjusted(symbol, quantity, price, *why, done.at, done.cause),)


def _closed(tracker: Tracker, reason: str, at: datetime) -> TrackerChanged:
    ended = replace(tracker, state=TrackerState.CLOSED, reason=reason, changed_at=at)
    return TrackerChanged(ended, TrackerChange.CLOSED, at, reason=reason)


def _taken_over(line: CloseLine, done: CommandExecuted) -> tuple[Event, ...]:
    return _adoption(line.symbol, line.quantity, (line.value or ZERO) / line.quantity, done)


def _by_symbol(lines: Sequence[CloseLine]) -> tuple[CloseLine, ...]:
    by_symbol: dict[str, CloseLine] = {}
    for line in lines:
        known = by_symbol.get(line.symbol)
        by_symbol[line.symbol] = line if known is None else _sum(known, line)
    return tuple(by_symbol.values())


def _line(hurried: Hurried) -> CloseLine:
    symbol = hurried.intent.symbol
    return CloseLine(symbol, base_and_quote(symbol)[0], hurried.quantity, None)


def _ids(intents: Sequence[Intent], hurried: Sequence[Hurried]) -> tuple[str, ...]:
    return tuple(one.intent_id for one in (*intents, *(each.intent for each in hurried)))


def _sum(first: CloseLine, second: CloseLine) -> CloseLine:
    return replace(
        first,
        quantity=first.quantity + second.quantity,
        value=(first.value or ZERO) + (second.value or ZERO),
    )


def _selling(lines: Sequence[CloseLine], *, is_more_at_work: bool = False) -> str:
    if not lines and is_more_at_work:
        return "All of it is being sold already: see /orders."
    if not lines:
        return "Nothing is left to sell."
    return "Selling " + ", ".join(f"{grouped(line.quantity)} {line.base}" for line in lines) + "."


def _released(found: Closing) -> str:
    def of_older(quantity: Decimal) -> str:
        return f" {grouped(quantity)} {found.line.base} of an older sale, which ends,"

    stays, told = found.released - found.let_go, ""
    if stays:
        told += f"{of_older(stays)} stay unsold and NOT protected: /positions."
    if found.let_go:
        told += f"{of_older(found.let_go)} are unsold and not managed any more."
    return told


def _kept(sales: Sequence[Intent]) -> str:
    """Name older sales that were being opened or booked for longer than a closing waits."""
    unsold = [one for one in sales if one.residual > 0]
    if not unsold:
        return ""
    left = ", ".join(f"{grouped(one.residual)} {base_and_quote(one.symbol)[0]}" for one in unsold)
    return f" NOT taken along, just being changed: older sales of {left}. Ask again."
