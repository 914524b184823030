"""The card of a start: what was found, what was done meanwhile, what is held and watched again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.domain.events import AttemptChanged, Event, FillBooked, IntentClosed, ProcessStarted
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ZERO, grouped, plain
from trading.domain.order import Attempt, Intent, IntentState, Side
from trading.domain.position import Position, TradingMode
from trading.domain.time import to_ms
from trading.domain.tracker import Tracker, TrackerState
from trading.execution.ladder import is_resting
from trading.execution.reconcile import sentence, short_of
from trading.trackers import protection

_LISTED_MAX = 10
_ANY_PRICE = Decimal("Infinity")
_MODES = {
    TradingMode.REDUCING: "Reducing: nothing new is bought. /resume ends it",
    TradingMode.HALTED: "HALTED: only private stops sell. /resume ends it",
    TradingMode.HALTED_EVERYTHING: "⚠️ HALTED EVERYTHING: NO STOP SELLS. /resume ends it",
}


class StartLog:
    """What a start has already done when its card is written; exits never wait for the card."""

    def __init__(
        self,
        loaded: Iterable[Tracker],
        attempts: Sequence[Attempt] = (),
        intents: Iterable[Intent] = (),
    ) -> None:
        self._had_fired = {(each.tracker_id, each.arm_seq) for each in _acting(loaded)}
        self._closed: list[Intent] = []
        self._filled = {each.client_order_id: each.filled_quantity for each in attempts}
        # Base units by symbol that orders have sold and that no execution was booked of yet.
        self._unbooked: dict[str, Decimal] = {}
        open_sales = {each.intent_id: each for each in intents if each.side is Side.SELL}
        for attempt in attempts:
            if attempt.intent_id in open_sales:
                self._note(attempt.request.symbol, attempt.filled_quantity)
        for sale in open_sales.values():
            self._note(sale.symbol, -sale.filled_quantity)

    def apply(self, event: Event) -> None:
        """Take note of an order that is done, and of what orders turn out to have sold."""
        match event:
            case IntentClosed(intent) if intent.filled_quantity > 0:
                self._closed.append(intent)
            case AttemptChanged(attempt) if attempt.request.side is Side.SELL:
                before = self._filled.get(attempt.client_order_id, ZERO)
                self._filled[attempt.client_order_id] = attempt.filled_quantity
                self._note(attempt.request.symbol, attempt.filled_quantity - before)
            case FillBooked(fill=fill) if fill.side is Side.SELL:
                self._note(fill.symbol, -fill.quantity)
            case _:
                pass

    def _note(self, symbol: str, quantity: Decimal) -> None:
        self._unbooked[symbol] = self._unbooked.get(symbol, ZERO) + quantity

    def unexplained(self, findings: Sequence[str]) -> list[str]:
        """Leave out of the coins that are short what our own orders sold: that is booked next."""
        lines = []
        for line in findings:
            short = short_of(line)
            if short is None:
                lines.append(line)
                continue
            sold = max(self._unbooked.get(short.symbol, ZERO), ZERO)
            if short.quantity > sold:
                lines.append(sentence(replace(short, quantity=short.quantity - sold)))
        return lines

    def completed(
        self,
        findings: Sequence[str],
        trackers: Iterable[Tracker],
        instruments: Mapping[str, Instrument],
    ) -> list[str]:
        """Return the findings, and what is done or has fired since the load and is not done yet.

        Of a tracker that a finding begins with, the rest is said there: nothing is said twice.
        """
        fired = [
            each
            for each in _acting(trackers)
            if (each.tracker_id, each.arm_seq) not in self._had_fired
        ]
        told = list(findings)
        lines: list[str] = []
        done = (_done(each, instruments.get(each.symbol)) for each in self._closed)
        for name, when, words in (*done, *map(_at_work, fired)):
            place = next((at for at, line in enumerate(told) if line.startswith(f"{name}:")), None)
            if place is None:
                lines.append(f"{when}: {name} {words}")
            else:
                told[place] = f"{told[place]}; {words}"
        more = len(lines) - _LISTED_MAX
        if more > 0:
            lines = [*lines[:_LISTED_MAX], f"Done or fired while starting: {more} more"]
        return [*told, *lines]


class Exits(Protocol):
    """The decisions at work, and what the open exits of a symbol take in base units."""

    @property
    def intents(self) -> Sequence[Intent]:
        """Every decision that is not ended."""
        ...

    def exiting(self, symbol: str) -> Decimal:
        """Managed base units that open exits still want to sell, or have sold unbooked."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands when the card is written, `at` its moment in UTC; `working` open orders.

    `backstops` are the prices of those that rest on the exchange, by tracker; `selling` are the
    base units by symbol that an exit at work takes, which `positions` lack: see `left`;
    `is_too_little` says of base units of a symbol that no order could sell them. By symbol as well,
    `waiting` are in sales that wait for a price, `bound` in orders of others; by asset, `missing`
    are those that the account does not show. `guarded` are the base units that a backstop sells,
    by tracker, where that is not known to be all of its slice.
    """

    at: datetime
    positions: Sequence[Position]
    trackers: Sequence[Tracker]
    working: int
    mode: TradingMode = TradingMode.ACTIVE
    backstops: Mapping[int, Decimal] = field(default_factory=dict)
    selling: Mapping[str, Decimal] = field(default_factory=dict)
    is_too_little: Callable[[str, Decimal], bool] = lambda *_: False
    waiting: Mapping[str, Decimal] = field(default_factory=dict)
    bound: Mapping[str, Decimal] = field(default_factory=dict)
    missing: Mapping[str, Decimal] = field(default_factory=dict)
    guarded: Mapping[int, Decimal] = field(default_factory=dict)

    @property
    def states(self) -> list[tuple[Tracker, protection.Protection]]:
        """Each tracker with what would sell its coins."""
        can_act, at_ms = self.mode is not TradingMode.HALTED_EVERYTHING, to_ms(self.at)
        # A stop that the present price is beyond has fired before the card is written.
        found = [
            (each, protection.of(each, _ANY_PRICE, at_ms, stop, can_act=can_act))
            for each in self.trackers
            # What it sells stands with what is sold.
            if not (each.state is TrackerState.EXITING and each.symbol in self.selling)
            for stop in (self.backstops.get(each.tracker_id),)
        ]
        return [
            (self._as_guarded(each) if state.is_by_backstop else each, state)
            for each, state in found
        ]

    def _as_guarded(self, tracker: Tracker) -> Tracker:
        most = self.guarded.get(tracker.tracker_id, tracker.quantity)
        return replace(tracker, quantity=min(most, tracker.quantity))

    @property
    def unprotected(self) -> list[str]:
        """The managed coins that nothing would sell; what is bound or missing has its own line."""
        states = self.states
        covers = (
            protection.coverage(one.symbol, max(self._there(one), ZERO), states)
            for one in self.positions
        )
        return [
            f"{grouped(cover.unprotected)} {base_and_quote(cover.symbol)[0]}"
            for cover in covers
            if cover.unprotected and not self.is_too_little(cover.symbol, cover.unprotected)
        ]

    def _there(self, position: Position) -> Decimal:
        asset = base_and_quote(position.symbol)[0]
        lacking = self.bound.get(position.symbol, ZERO) + self.missing.get(asset, ZERO)
        return position.quantity - lacking

    @property
    def by_backstop(self) -> list[str]:
        """What only a stop on the exchange would sell, and at which price."""
        return [
            f"{grouped(one.quantity)} {base_and_quote(one.symbol)[0]} at {plain(state.worst_price)}"
            for one, state in self.states
            if state.is_by_backstop and state.worst_price is not None
        ]


def waiting(exits: Exits) -> dict[str, Decimal]:
    """Return, by symbol, the base units in sales that wait for the price that a person named."""
    quantities: dict[str, Decimal] = {}
    for intent in exits.intents:
        if intent.side is Side.SELL and is_resting(intent):
            quantities[intent.symbol] = quantities.get(intent.symbol, ZERO) + intent.residual
    return quantities


def selling(positions: Iterable[Position], exits: Exits) -> dict[str, Decimal]:
    """Return, by symbol, the managed base units that exits at work sell now or have just sold.

    What waits, for a price or for what blocks it, sells nothing.
    """
    at_work: dict[str, Decimal] = {}
    for position in positions:
        idle = (
            intent.residual
            for intent in exits.intents
            if (intent.state is IntentState.BLOCKED or is_resting(intent))
            and (intent.symbol, intent.side) == (position.symbol, Side.SELL)
        )
        quantity = min(exits.exiting(position.symbol) - sum(idle, ZERO), position.quantity)
        if quantity > 0:
            at_work[position.symbol] = quantity
    return at_work


def left(positions: Iterable[Position], sold: Mapping[str, Decimal]) -> list[Position]:
    """Return the positions without what is being sold of them."""
    return [replace(one, quantity=one.quantity - sold.get(one.symbol, ZERO)) for one in positions]


def program_changes(before: ProcessStarted | None, now: ProcessStarted) -> tuple[str, ...]:
    """Say in what this start differs from the one before: the program, the mode, the settings."""
    if before is None:
        return ()
    lines = []
    if (before.version, before.build) != (now.version, now.build):
        lines.append(f"Another program: {_program(now)}, before {_program(before)}")
    if before.mode != now.mode:
        lines.append(f"Another mode: {now.mode}, before {before.mode}")
    # An older program said nothing of its settings.
    different = set(before.configured) ^ set(now.configured) if before.build else ()
    names = sorted({each.partition("=")[0] for each in different})
    return (*lines, *_line("Settings changed", names))


def _program(started: ProcessStarted) -> str:
    return f"{started.version} ({started.build or 'unnamed'})"


def card(
    findings: Sequence[str], standing: Standing, changes: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the lines: findings first, then what is held, watched and at work at that moment.

    `changes` are those of the program since the start before.
    """
    held = [
        f"{grouped(position.quantity)} {base_and_quote(position.symbol)[0]}"
        for position in standing.positions
        if position.quantity
    ]
    watching = [each for each in standing.trackers if each.state.is_waiting]
    blocked = [
        f"#{each.tracker_id}"
        for each in standing.trackers
        if each.state is TrackerState.BLOCKED and not _is_told(each, findings)
    ]
    paused = [f"#{each.tracker_id}" for each in watching if each.is_paused]
    unprotected, by_backstop = standing.unprotected, standing.by_backstop
    todo = [
        *([_MODES[standing.mode]] if standing.mode in _MODES else []),
        *_line("⚠️ NOT PROTECTED", unprotected),
        *_line("⚠️ NO STOP CAN SELL, in orders not Umbra's", _coins(standing.bound)),
        *_line("⚠️ MISSING, being checked", _coins(standing.missing)),
        *_line("⚠️ ONLY A BACKSTOP SELLS", by_backstop),
        *_line("⚠️ BLOCKED, does nothing now", blocked),
        *_line("⚠️ PAUSED, watches nothing", paused),
    ]
    calm = "Nothing fired meanwhile" + ("." if todo else "; there is nothing to do.")
    watched = f"Watched again: {len(watching) - len(paused)}"
    return (
        *(findings or (calm,)),
        *todo,
        *changes,
        f"At {standing.at:%H:%M:%S} UTC:",
        *_line("Sold or being sold", _coins(standing.selling)),
        *(_line("Under care", held) or ["Under care: no coins"]),
        *_line("Of it in sales that wait for a price", _coins(standing.waiting)),
        watched + (f", orders at work: {standing.working}" if standing.working else ""),
    )


def _is_told(tracker: Tracker, findings: Sequence[str]) -> bool:
    return any(f"#{tracker.tracker_id} " in line and "BLOCKED" in line for line in findings)


def _coins(quantities: Mapping[str, Decimal]) -> list[str]:
    """Name units by symbol or by asset."""
    return [
        f"{grouped(quantity)} {name.partition('/')[0]}"
        for name, quantity in sorted(quantities.items())
    ]


def _line(head: str, named: Sequence[str]) -> list[str]:
    return [f"{head}: {_listed(named)}"] if named else []


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _LISTED_MAX
    return ", ".join(words[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _acting(trackers: Iterable[Tracker]) -> list[Tracker]:
    return [tracker for tracker in trackers if tracker.state.is_acting]


def _done(intent: Intent, rules: Instrument | None) -> tuple[str, str, str]:
    verb = "sold" if intent.side is Side.SELL else "bought"
    number = "" if intent.tracker_id is None else f"#{intent.tracker_id} "
    base = base_and_quote(intent.symbol)[0]
    at = "" if intent.average_price is None else f" at {plain(round(intent.average_price, 8))}"
    only = " only in part:" if intent.left_over(rules) > 0 else ""
    words = f"{verb}{only} {grouped(intent.filled_quantity)} {base}{at}"
    return f"{number}{intent.symbol}", "Done while starting", words


def _at_work(tracker: Tracker) -> tuple[str, str, str]:
    base, quote = base_and_quote(tracker.symbol)
    what = (
        f"selling {grouped(tracker.quantity)} {base}"
        if tracker.side is Side.SELL
        else f"buying for {grouped(tracker.quote)} {quote}"
    )
    is_blocked = tracker.state is TrackerState.BLOCKED
    told = f"BLOCKED: {tracker.reason}" if is_blocked else what
    return f"#{tracker.tracker_id} {tracker.symbol}", "Fired while starting", told
