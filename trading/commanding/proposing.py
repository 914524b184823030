"""What a command would do: facts for the card, before anybody is asked."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from trading.commanding.workings import Workings
from trading.decide import on_order
from trading.desk import CloseProposal, EditProposal, Hurried, PlainProposal, Proposal, Shown
from trading.domain.commands import (
    AbortIntent,
    AbortOrders,
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
from trading.domain.errors import Refused
from trading.domain.instrument import base_and_quote
from trading.domain.market import Quote
from trading.domain.money import grouped
from trading.domain.order import Intent, Side
from trading.domain.position import TradingMode
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker, TrackerState
from trading.overview import is_in_doubt
from trading.proposals import closing, consent
from trading.risk import halts
from trading.trackers import protection

MODE_WORDS = {
    TradingMode.ACTIVE: "New entries are allowed again.",
    TradingMode.REDUCING: "New entries are refused; private stops fire and sell.",
    TradingMode.HALTED: "Nothing new at all; triggered private stops still sell.",
    TradingMode.HALTED_EVERYTHING: (
        "Everything is held, stops too: holdings are UNPROTECTED until /resume."
    ),
}


class Proposer:
    """Checks commands against the present; changes nothing."""

    def __init__(self, workings: Workings) -> None:
        self._of = workings

    async def quote(self, symbol: str) -> Quote | None:
        """Return the best prices for who is about to choose; None where none come in time."""
        return await self._of.quote(symbol)

    async def propose(self, command: Command, by: int) -> Proposal:
        """Say what a command would do; raises Refused."""
        match command:
            case ArmTracker():
                return await self._tracker(command, by)
            case EditTracker():
                return await self._edit(command)
            case PlaceOrder():
                return await self._order(command)
            case ClosePosition():
                return self._close(command)
            case CloseAll() | Panic():
                return await self._close_all(command)
            case _:
                return self._plain(command)

    async def _tracker(self, command: ArmTracker, by: int) -> Proposal:
        spec = replace(command.spec, symbol=self._of.instrument(command.spec.symbol).symbol)
        adds_risk = spec.first_side is Side.BUY
        if adds_risk:
            self._of.check_entries()
        basis = await self._of.basis(spec.symbol, spec.trail)
        armed, facts = self._of.arm(spec, (self._of.state.next_tracker_id, by), basis)
        if adds_risk:
            self._of.check_size(armed.tracker, facts.price)
        reference = facts.price if adds_risk else None
        shown = consent.shown_of_tracker(armed.tracker, armed.adopted)
        new = armed.tracker
        amount = new.quote or new.quantity * facts.price
        value = self._of.state.book.value(facts.instrument.quote, amount)
        return Proposal(ArmTracker(spec), facts, True, reference, shown, value)

    async def _edit(self, command: EditTracker) -> Proposal:
        before = self._of.tracker(command.tracker_id)
        takes_coins = command.amount is not None
        basis = await self._of.basis(before.symbol, command.trail, takes_coins=takes_coins)
        edit, present = self._of.edit(before, command, basis), basis.present
        if takes_coins and edit.tracker.side is Side.BUY:
            self._of.check_size(edit.tracker, present.price)
        facts = EditProposal(
            before=before,
            after=edit.tracker,
            instrument=self._of.instrument(before.symbol),
            is_loosening=edit.is_loosening,
            worst_case_before=self._of.worst_case(before, edit.old_worst, present.price),
            worst_case_after=self._of.worst_case(edit.tracker, edit.new_worst, present.price),
            price=present.price,
        )
        shown = consent.shown_of_edit(before, edit.tracker, edit.adopted, command)
        # A first backstop is seen by others and locks coins: as at its arming, that is asked.
        is_shown = edit.tracker.spec.wants_backstop and not before.spec.wants_backstop
        return Proposal(command, facts, edit.is_loosening or is_shown, shown=shown)

    async def _order(self, command: PlaceOrder) -> Proposal:
        command = replace(command, symbol=self._of.instrument(command.symbol).symbol)
        is_buy = command.side is Side.BUY
        if is_buy:
            self._of.check_entries()
        sized = await self._of.size(command)
        if is_buy:
            now = self._of.clock.now()
            intent = on_order(sized.order, "proposal", sized.reference, now, self._of.decisions)
            self._of.approve(intent)
        reference = sized.reference if is_buy else None
        value = self._of.state.book.value(sized.card.instrument.quote, sized.card.notional)
        return Proposal(command, sized.card, True, reference, sized.shown, value)

    def _close(self, command: ClosePosition) -> Proposal:
        command = replace(command, symbol=self._of.instrument(command.symbol).symbol)
        symbol, share = command.symbol, command.share
        waiting, holding = self._of.stuck(symbol, share), self._of.holding(symbol)
        if not (holding.managed or waiting):
            held = self._of.held_exits()
            self._refuse_held([one for one in held if one.symbol == symbol])
        found = self._of.closing(symbol, share, waiting)
        age_s = self._of.prices_age_s([symbol])
        shrunk = closing.shrunk(holding, found.fresh.quantity)
        facts = CloseProposal(
            (found.line,), (), (), (), age_s, shrunk=shrunk, hurried=found.hurried
        )
        return Proposal(command, facts, needs_confirmation=True, shown=Shown(found.line.quantity))

    async def _close_all(self, command: CloseAll | Panic) -> Proposal:
        stuck = self._of.execution.stuck_sales
        lines = self._of.managed_lines(stuck)
        at_work = tuple(one for one in self._of.sales() if one not in stuck)
        if not lines and isinstance(command, CloseAll):
            self._refuse_held(self._of.held_exits())
            if at_work:
                said = "all that is managed is in sales at work; /orders shows them, and gives up"
                raise Refused(said, "/orders")
            raise Refused("nothing is managed, so there is nothing to close", "/positions")
        ended = [item for item in self._of.trackers.all() if is_ended_by(command, item)]
        orders = await self._of.foreign_orders()
        foreign = None if orders is None else tuple(orders)
        unmanaged = self._of.unmanaged_lines()
        is_everything = isinstance(command, Panic) and command.everything
        if isinstance(command, Panic):
            lines = (*lines, *self._of.held_lines())
        sold = (*lines, *unmanaged) if is_everything else lines
        age_s = self._of.prices_age_s(line.symbol for line in sold)
        kept = self._unsellable() if is_everything else ()
        currency = self._of.state.book.currency
        facts = CloseProposal(
            *(lines, tuple(ended), foreign, unmanaged, age_s, kept, currency),
            is_in_doubt=is_in_doubt(self._of.state.alerts),
            at_work=at_work,
            hurried=tuple(map(Hurried, stuck)),
        )
        return Proposal(command, facts, needs_confirmation=True)

    @staticmethod
    def _refuse_held(held: Sequence[Tracker]) -> None:
        """Say of coins that an exit has taken why there are none to close; nothing without one."""
        if held:
            named = ", ".join(f"#{one.tracker_id}" for one in held)
            raise Refused(
                f"{named} has fired and waits for the end of the halt: the button on its card, "
                "/resume or /panic sells it",
                f"/tracker {held[0].tracker_id}",
            )

    def _unsellable(self) -> tuple[tuple[str, Decimal], ...]:
        """Return what not even a panic sells: no market or no price for it in our currency."""
        book, instruments = self._of.state.book, self._of.state.instruments
        portfolio = book.snapshot()
        markets = {asset: f"{asset}/{book.currency}" for asset in sorted(portfolio.balances)}
        return tuple(
            (asset, left)
            for asset, symbol in markets.items()
            if asset != book.currency
            if symbol not in instruments or symbol not in portfolio.prices
            if (left := portfolio.total(asset) - book.managed_of(asset)) > 0
        )

    def _plain(self, command: Command) -> Proposal:
        match command:
            case SetTradingMode(mode=mode):
                # Step by step a halt is ended, too: each step is asked for.
                is_loosened = halts.is_loosened(self._of.state.mode, mode)
                asks = mode is TradingMode.HALTED_EVERYTHING or is_loosened
                ended = " This ends the halt." if is_loosened and not mode.is_halted else ""
                text = f"{MODE_WORDS[mode]}{ended}{self._released(mode)}"
                return Proposal(command, PlainProposal(text), needs_confirmation=asks)
            case CancelTracker(tracker_id=number) | PauseTracker(tracker_id=number):
                return self._loosening(command, self._of.tracker(number))
            case ResumeTracker(tracker_id=number):
                text = f"#{self._of.tracker(number).tracker_id} watches again."
                return Proposal(command, PlainProposal(text), needs_confirmation=False)
            case AbortIntent(tracker_id=number) | ExitNow(tracker_id=number):
                return self._blocked(command, self._of.tracker(number))
            case AbortOrders(symbol=symbol):
                return self._given_up(symbol)
            case _:
                text = "Repeating alerts end."
                return Proposal(command, PlainProposal(text), needs_confirmation=False)

    def _released(self, mode: TradingMode) -> str:
        """Say what a change of mode lets go that `/halt everything` held: it is sold at once."""
        is_held = self._of.state.mode is TradingMode.HALTED_EVERYTHING
        if not is_held or mode is TradingMode.HALTED_EVERYTHING:
            return ""
        held = [
            f"{grouped(one.quantity)} {base_and_quote(one.symbol)[0]} (#{one.tracker_id})"
            for one in self._of.held_exits()
        ]
        return f" SOLD AT ONCE, for it has fired: {', '.join(held)}." if held else ""

    def _loosening(self, command: Command, tracker: Tracker) -> Proposal:
        name = f"#{tracker.tracker_id} {tracker.symbol}"
        if tracker.state.is_acting:
            raise Refused(f"{name} has fired and is {tracker.state.value}", "/orders")
        verb = "ends" if isinstance(command, CancelTracker) else "pauses"
        price = self._of.prices.price(tracker.symbol)
        state = protection.of(tracker, price, to_ms(self._of.clock.now()))
        text = f"{name} {verb}."
        if state.is_protected:
            base = self._of.instrument(tracker.symbol).base
            text += f" {grouped(tracker.quantity)} {base} will NOT be protected."
            if price and (worst := self._of.worst_case(tracker, state.worst_price, price)):
                quote = self._of.instrument(tracker.symbol).quote
                text += f" Worst case now {grouped(round(worst, 8))} {quote}, then without a limit."
        return Proposal(command, PlainProposal(text), needs_confirmation=state.is_protected)

    def _blocked(self, command: Command, tracker: Tracker) -> Proposal:
        if tracker.state is not TrackerState.BLOCKED:
            # Of a stop that stands still nobody says that it trails.
            word = "waiting" if tracker.state.is_waiting else tracker.state.value
            raise Refused(f"#{tracker.tracker_id} is {word}, not blocked", "/orders")
        if isinstance(command, ExitNow):
            text = f"#{tracker.tracker_id} is sold now."
            return Proposal(command, PlainProposal(text), needs_confirmation=False)
        base, _ = base_and_quote(tracker.symbol)
        text = f"The purchase of #{tracker.tracker_id} is given up: no more {base} is bought."
        if tracker.side is Side.SELL:
            text = (
                f"The exit of #{tracker.tracker_id} is given up: what is left of its {base} stays "
                "unsold and will NOT be protected."
            )
        return Proposal(command, PlainProposal(text), needs_confirmation=True)

    def _given_up(self, symbol: str) -> Proposal:
        symbol = self._of.instrument(symbol).symbol
        base = self._of.instrument(symbol).base
        said, ordered = [], self._of.ordered(symbol)
        for intent in ordered:
            of = f" {grouped(intent.quantity)}" if intent.quantity else ""
            done = grouped(intent.filled_quantity)
            is_sale = intent.side is Side.SELL
            rest = f"{done} {base} {'sold' if is_sale else 'bought'}, the rest is not"
            rest += self._stays(intent) if is_sale else ""
            said.append(f"The order to {intent.side.value}{of} {base} is given up: {rest}.")
        facts = PlainProposal(" ".join(said))
        shown = Shown(orders=tuple(intent.intent_id for intent in ordered))
        return Proposal(AbortOrders(symbol), facts, needs_confirmation=True, shown=shown)

    def _stays(self, sale: Intent) -> str:
        """Say what becomes of coins that a sale does not sell: some are not managed any more."""
        gone, base = sale.to_let_go, base_and_quote(sale.symbol)[0]
        if gone and gone >= sale.residual:
            return " and is not managed any more"
        rest = "" if self._is_guarded(sale.symbol) else " and stays, NOT protected"
        return f"{rest}; {grouped(gone)} {base} of it are not managed any more" if gone else rest

    def _is_guarded(self, symbol: str) -> bool:
        """Whether a tracker of a symbol waits that may take up what no sale takes any more."""
        return any(
            tracker.symbol == symbol and tracker.side is Side.SELL and tracker.state.is_waiting
            for tracker in self._of.trackers.all()
        )


def is_ended_by(command: CloseAll | Panic, tracker: Tracker) -> bool:
    """Whether closing ends a tracker: one that sells; on panic also one that buys."""
    if tracker.state.is_acting:
        return False
    return tracker.side is Side.SELL or isinstance(command, Panic)
