"""Commands take effect: each effect is journaled with its cause, so that it happens once."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.commanding.firing import Firing
from trading.commanding.proposing import MODE_WORDS, is_ended_by
from trading.commanding.workings import Workings
from trading.decide import SizedOrder, on_order
from trading.desk import CloseLine, Outcome, Shown
from trading.domain.chat import Severity
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
from trading.domain.errors import AlreadyRecorded, Ending, Outgrown, Refused, Unreachable
from trading.domain.events import (
    AlertAcknowledged,
    AlertRaised,
    CommandExecuted,
    Event,
    PositionAdjusted,
    TrackerChanged,
    TradingModeChanged,
)
from trading.domain.money import ZERO, grouped
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import AdjustReason, TradingMode
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.proposals import closing, consent
from trading.risk import halts

logger = logging.getLogger(__name__)
_BY_HAND = "closed by hand"
_ENTRIES_ENDED = "entries were cancelled"
# What became of an older sale that a closing was to take the place of.
_STUCK = {
    "late": "could not be taken back in time, so its coins are not sold with the rest. Look at "
    "/positions, and close again what is left",
    "refused": "is taken back, and what was to sell its coins was refused: nothing sells them now. "
    "Look at /positions, and close them again",
}


class Executor:
    """Does what was proposed and confirmed."""

    def __init__(self, workings: Workings, firing: Firing) -> None:
        self._of = workings
        self._firing = firing

    async def execute(
        self,
        command: Command,
        by: int,
        cause: str,
        reference: Decimal | None,
        shown: Shown | None = None,
    ) -> Outcome:
        """Do a command once; raises AlreadyRecorded for a known cause, Refused if it cannot be."""
        if cause in self._of.state.executed:
            raise AlreadyRecorded(CommandExecuted.__name__, cause)
        done = CommandExecuted(cause, by, type(command).__name__, self._of.clock.now())
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
        return await effect

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
            adoption = _adoption(spec.symbol, armed.adopted, facts.price, done.at)
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
            adoption = _adoption(before.symbol, edit.adopted, basis.present.price, done.at)
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
            room = self._make_room(order, now.adopted, sized.reference, done.at)
            await self._open([intent], (done, *room))
        ids = (intent.intent_id,)
        return Outcome(f"Selling {command.symbol}.", intent_ids=ids, size=order.quantity)

    def _make_room(
        self, order: SizedOrder, adopted: Decimal, price: Decimal, at: datetime
    ) -> Sequence[Event]:
        return (
            *_adoption(order.symbol, adopted, price, at),
            *self._shrunk(order.symbol, order.quantity),
        )

    def _shrunk(self, symbol: str, sold: Decimal) -> Sequence[Event]:
        """Fit the slices that wait to what a sale leaves them; those at work keep theirs."""
        left = closing.left_of(self._of.holding(symbol), sold)
        return self._of.trackers.resized(symbol, left + self._of.at_work(symbol), _BY_HAND)

    async def _close(
        self, command: ClosePosition, done: CommandExecuted, shown: Shown | None
    ) -> Outcome:
        symbol, share = command.symbol, command.share
        wanted = self._of.close_line(self._of.freed(symbol), share, shown)
        consent.check_growth(Shown(wanted.quantity), shown, "sell")
        back = self._of.in_its_way(wanted)
        async with self._in_place_of(back, done) as told, self._of.trackers.undisturbed():
            line = self._of.close_line(self._of.holding(symbol), share, shown)
            consent.check_growth(Shown(line.quantity), shown, "sell")
            intent = self._exit(line, done, Purpose.CLOSE)
            # What was not taken back in time is missed only where less is sold for it.
            late = told if line.quantity < wanted.quantity else ()
            cause = (done, *late, *self._shrunk(symbol, line.quantity))
            await self._open([intent], cause, is_begun=bool(back))
        ids = (intent.intent_id,)
        return Outcome(_selling((line,)), intent_ids=ids, size=line.quantity)

    async def _close_all(self, command: CloseAll | Panic, done: CommandExecuted) -> Outcome:
        is_panic = isinstance(command, Panic)
        everything = isinstance(command, Panic) and command.everything
        purpose = Purpose.PANIC if is_panic else Purpose.CLOSE
        reason = "panic" if is_panic else _BY_HAND
        cause: list[Event] = [done]
        if everything:
            await self._cancel_foreign()
        back = self._of.execution.stuck_sales
        async with self._in_place_of(back, done) as late, self._of.trackers.undisturbed():
            cause += late
            # Counted here: what a stop has taken meanwhile would have the whole refused.
            lines = self._of.managed_lines()
            # What has fired already and was held sells by its own decision, as the halt ends.
            held = self._of.held_lines() if is_panic else ()
            if everything:
                lines, adopted = _joined(lines, self._of.unmanaged_lines(), done.at)
                cause += adopted
            intents = [self._exit(line, done, purpose) for line in lines]
            cause += [
                _closed(tracker, reason, done.at)
                for tracker in self._of.trackers.all()
                if is_ended_by(command, tracker)
            ]
            if is_panic and not self._is_halted_by_panic():
                cause.append(TradingModeChanged(TradingMode.HALTED, "panic", str(done.by), done.at))
            is_more_at_work = bool(self._of.sales())
            await self._open(intents, cause, is_begun=bool(back))
        if is_panic:
            await self._of.execution.cancel_entries("panic")
        told = _selling((*lines, *held), is_more_at_work=is_more_at_work)
        return Outcome(told, intent_ids=tuple(item.intent_id for item in intents))

    def _is_halted_by_panic(self) -> bool:
        """Whether a panic has nothing to change in the mode, and so nothing to tell of it."""
        changed = self._of.state.trading_mode
        return changed is not None and (changed.mode, changed.reason) == (
            TradingMode.HALTED,
            "panic",
        )

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

    async def _open(
        self, intents: Sequence[Intent], cause: Sequence[Event], *, is_begun: bool = False
    ) -> None:
        # Coins that the same transaction puts under care count for the gate already.
        portfolio = self._of.state.book.preview(*cause)
        approved = [await self._of.decide(intent, portfolio) for intent in intents]
        if approved:
            await self._of.execution.open_all(approved, tuple(cause), is_begun=is_begun)
        else:
            await self._of.record(*cause)

    @contextlib.asynccontextmanager
    async def _in_place_of(
        self, stuck: Sequence[Intent], done: CommandExecuted
    ) -> AsyncIterator[Sequence[Event]]:
        """End sales that wait for a price or are blocked: what they hold is sold inside.

        Yields what there is to tell of those that could not be taken back in time. Raises Ending
        where the process ends meanwhile: a word that was answered with no would leave coins that
        nothing sells any more. Where the closing is refused after all, that is told.
        """
        ordered = {attempt.intent_id for attempt in self._of.execution.attempts}
        # Orders take seconds to be cancelled. What has none goes last, a moment before it is sold
        # anew: it may be a stop that has fired, and a death in between would leave it to nobody.
        for has_order in (True, False):
            ids = [each.intent_id for each in stuck if (each.intent_id in ordered) is has_order]
            if ids:
                await self._of.execution.make_way(ids)
                if self._of.execution.is_stopping:
                    raise Ending
        left = {intent.intent_id for intent in self._of.execution.intents}
        late = [intent for intent in stuck if intent.intent_id in left]
        try:
            yield [_stuck(intent, "late", done) for intent in late]
        except AlreadyRecorded:
            raise
        except Refused:
            # Asked for once more with the same tap it is told already.
            with contextlib.suppress(AlreadyRecorded):
                await self._of.record(*(_stuck(intent, "refused", done) for intent in stuck))
            raise

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


def _adoption(symbol: str, quantity: Decimal, price: Decimal, at: datetime) -> tuple[Event, ...]:
    if quantity <= 0:
        return ()
    note = "put under care by a confirmed command"
    return (PositionAdjusted(symbol, quantity, price, AdjustReason.ADOPTED, note, at),)


def _closed(tracker: Tracker, reason: str, at: datetime) -> TrackerChanged:
    ended = replace(tracker, state=TrackerState.CLOSED, reason=reason, changed_at=at)
    return TrackerChanged(ended, TrackerChange.CLOSED, at, reason=reason)


def _joined(
    managed: Sequence[CloseLine], unmanaged: Sequence[CloseLine], at: datetime
) -> tuple[tuple[CloseLine, ...], list[Event]]:
    by_symbol = {line.symbol: line for line in managed}
    adopted: list[Event] = []
    for line in unmanaged:
        adopted += _adoption(line.symbol, line.quantity, (line.value or ZERO) / line.quantity, at)
        known = by_symbol.get(line.symbol)
        by_symbol[line.symbol] = line if known is None else _sum(known, line)
    return tuple(by_symbol.values()), adopted


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


def _stuck(intent: Intent, why: str, done: CommandExecuted) -> AlertRaised:
    return AlertRaised(
        f"stuck:{done.cause}:{intent.intent_id}:{why}",
        Severity.CRIT,
        f"{intent.symbol}: an older sale of {grouped(intent.residual)} {_STUCK[why]}",
        done.at,
    )
