"""What a terminal shows of the agent: plain lines, made of the same views as the chat's cards."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bot import modes
from bot.modes import MODES
from bot.telegram.render.closing import UNKNOWN, of_known
from bot.telegram.render.text import count, money
from bot.telegram.render.tracker_words import kind_name, state_name
from trading import last_words
from trading.desk import CloseProposal
from trading.domain.instrument import base_and_quote
from trading.domain.money import plain
from trading.domain.order import Intent, Side
from trading.domain.position import DOLLARS, Position, TradingMode
from trading.domain.tracker import Tracker
from trading.overview import PositionView, StatusView, is_in_doubt
from trading.ports.storage import LostRecords, StoredState

_WAY_BACK = "/resume in the chat or umbra resume ends it."
RESUMED = "Active again: new entries are allowed. Nothing is re-armed by itself."
NOTHING_TO_RESUME = "Umbra is active already: there is nothing to resume."
NOBODY_TO_RESUME = (
    "No agent runs here, so nothing was changed: a halt counts for the next start, too. "
    "Start it (umbra run), then umbra resume."
)
HALTED_UNWRITTEN = (
    "Halted as long as Umbra runs, but NOT WRITTEN DOWN: the next start would not know of it. What "
    "was asked for is carried out. Ask again, until it is written."
)
NOBODY_WATCHES = "No agent runs here, so NO STOP IS WATCHED. Start it: umbra run"
_LISTED_MAX = 200
# No exchange takes an order for less, and most none for less than five.
_CRUMB_COST = Decimal(1)
_CRUMBS_MAX = 8


@dataclass(frozen=True, slots=True)
class Words:
    """What depends on who does the rest once a terminal has its answer; `last` ends it.

    `halted_early` and `cannot_sell` are for what has not recovered.
    """

    halted: str
    halted_early: str
    cannot_sell: str
    goes_on: str
    last: str = ""


RUNNING = Words(
    halted=f"Halted: nothing new is bought, private stops still sell. {_WAY_BACK}",
    halted_early=(
        "Halted: nothing new is bought. Umbra is still starting, so NO STOP IS WATCHED yet, and "
        f"orders that still buy at the exchange are cancelled once it has. {_WAY_BACK}"
    ),
    cannot_sell=(
        "Nothing can be sold now: Umbra is still starting; umbra status says what it waits for. "
        "Try again, or sell at the exchange."
    ),
    goes_on="Umbra goes on trying as long as it runs; umbra status shows how it is.",
)
# Of a process that was started for one request, and ends with it.
ALONE = Words(
    halted=f"Halted: the next start comes up halted, too. {_WAY_BACK}",
    halted_early=(
        "Halted: the next start comes up halted, and cancels orders that still buy at the "
        f"exchange. {_WAY_BACK}"
    ),
    cannot_sell=(
        "Nothing can be sold now: what Umbra knows and the exchange could not be compared in time. "
        "Send umbra panic again, or sell at the exchange."
    ),
    goes_on="Nobody goes on trying before the next start (umbra run), or another umbra panic.",
    last=NOBODY_WATCHES,
)


def status(view: StatusView, trackers: Sequence[Tracker]) -> str:
    """The whole state of a running agent."""
    return _joined(
        _head(view),
        *_reason(view),
        f"Equity {money(view.equity)} {view.currency}",
        f"Trackers: {view.trackers_waiting} waiting, {view.trackers_acting} acting, "
        f"{view.trackers_paused} paused"
        + (f", {view.exits_blocked} BLOCKED" if view.exits_blocked else ""),
        *(_position(position) for position in view.positions[:_LISTED_MAX]),
        *(_tracker(tracker) for tracker in trackers[:_LISTED_MAX]),
        f"Prices: {'over REST' if view.stream == 'down' else view.stream}"
        + ("" if view.data_age_s is None else f", {view.data_age_s:.0f} s old"),
        troubles(view),
    )


def runs(view: StatusView, version: str, watched: int, halt_file: Path) -> str:
    """One line for whoever started an agent, once it watches; nothing of it is secret."""
    money_at_stake = "no real money" if view.is_simulated else "REAL MONEY"
    return (
        f"Umbra {version} runs ({money_at_stake}): {_head(view)}; {count(watched, 'tracker')} "
        f"watched. It logs to standard error; a file {halt_file} halts it."
    )


def starting(view: StatusView, stored: StoredState) -> str:
    """What the journal says of an agent that is still starting."""
    waits_for = "the exchange has not answered yet"
    if view.is_storage_lost:
        waits_for = "the journal cannot be written"
    trouble = f"Still starting: {waits_for}, so NO STOP IS WATCHED."
    # What the reserve holds of a halt, only the agent knows.
    return _journaled(_head(view), trouble, stored)


def place(mode: str, exchange: str, is_simulated: bool) -> str:
    """Whose account it is about."""
    return f"{'SIMULATED, ' if is_simulated else ''}{mode} on {exchange}"


def unwatched(where: str, stored: StoredState, halt: str) -> str:
    """What the journal says while no agent runs; `halt` is what a file says of the next start."""
    alive = stored.last_alive_at
    mode = stored.trading_mode.mode if stored.trading_mode else TradingMode.ACTIVE
    return _journaled(
        f"{where}, {MODES[mode].state}",
        NOBODY_WATCHES,
        stored,
        halt,
        "" if alive is None else f"Last sign of life: {alive:%Y-%m-%d %H:%M:%S} UTC",
    )


def _journaled(head: str, trouble: str, stored: StoredState, *more: str) -> str:
    return _joined(
        head,
        trouble,
        _lost(stored.lost),
        *(f"! {alert.text}" for alert in stored.alerts[:_LISTED_MAX]),
        *last_words.left(stored),
        *more,
        *_holdings(stored),
        *(_tracker(tracker) for tracker in list(stored.trackers)[:_LISTED_MAX]),
    )


def _holdings(stored: StoredState) -> list[str]:
    held, crumbs = _parted(stored)
    lines = [_held(one.symbol, plain(one.quantity)) for one in held]
    return [*lines, crumbs] if crumbs else lines


def _parted(stored: StoredState) -> tuple[list[Position], str]:
    """Return what a sale is worth while, and the crumbs beside it, in words.

    What the exchange takes nobody can ask here, and what it costs now neither: what was paid tells.
    A tracker makes no crumb of what it is to sell.
    """
    sold_by_trackers = {one.symbol for one in stored.trackers if one.side is Side.SELL}
    held = [one for one in stored.positions.values() if one.quantity]
    crumbs = [one for one in held if _is_crumb(one) and one.symbol not in sold_by_trackers]
    shown = [f"{plain(one.quantity)} {base_and_quote(one.symbol)[0]}" for one in crumbs]
    if len(shown) > _CRUMBS_MAX:
        shown[_CRUMBS_MAX:] = [f"{len(shown) - _CRUMBS_MAX} more"]
    words = f"Crumbs, bought for less than a dollar each: {', '.join(shown)}" if shown else ""
    return [one for one in held if one not in crumbs], words


def _is_crumb(position: Position) -> bool:
    # Of adopted coins without a price the cost is not known.
    is_in_dollars = base_and_quote(position.symbol)[1] in DOLLARS
    return is_in_dollars and 0 < position.cost < _CRUMB_COST


def _lost(lost: LostRecords | None) -> str:
    if lost is None:
        return ""
    if lost.last_at is None:
        return f"! The database of this place is gone, with {lost.count} records; this one is new."
    return (
        f"! This is an older copy of the database: it ends at {lost.last_at:%Y-%m-%d %H:%M} UTC. "
        "What was set, changed or sold after that is not in it."
    )


def _head(view: StatusView) -> str:
    where = place(view.mode, view.exchange, view.is_simulated)
    return f"{where}, {MODES[view.state].state}" + ", STORAGE LOST" * view.is_storage_lost


def elsewhere(directory: Path, conflict: str) -> str:
    """Say of a question that was asked in the wrong place, and by whom it is answered."""
    return (
        f"Nobody was asked and nothing was done: no agent runs in {directory}, and {conflict}. "
        "To reach that one, ask as its user, with its directory as UMBRA_DATA_DIR."
    )


def stored_panic(stored: StoredState) -> str:
    """What a panic would do without a running agent, by the journal."""
    is_unknown = stored.lost is not None or is_in_doubt(stored.alerts)
    held, crumbs = _parted(stored)
    sales = ", ".join(f"{plain(one.quantity)} {base_and_quote(one.symbol)[0]}" for one in held)
    what = _panic(sales, len(stored.trackers), is_unknown, but=" but crumbs" if crumbs else "")
    stay = f"{crumbs}. They stay where the exchange takes no order of so little."
    return _joined(what, stay if crumbs else "")


def panic(facts: CloseProposal) -> str:
    """What a panic would do."""
    sales = ", ".join(f"{plain(line.quantity)} {line.base}" for line in facts.lines)
    return _panic(sales, len(facts.trackers_cancelled), facts.is_in_doubt)


def _panic(sales: str, trackers_ended: int, is_unknown: bool, but: str = "") -> str:
    first = f"{UNKNOWN}\n" if is_unknown else ""
    if not sales:
        known = "known to be managed" if is_unknown else "managed"
        return f"{first}Nothing{but} is {known}, so nothing would be sold. Umbra would be halted."
    ended = count(trackers_ended, "tracker")
    return f"{first}This sells {sales} at the market, ends {ended} and halts Umbra."


def sold(
    outcome: str,
    left: Iterable[Intent],
    positions: Sequence[PositionView],
    is_unknown: bool,
    goes_on: str,
) -> str:
    """What became of a panic, and what did not; first that more may be managed than is known."""
    lines = ["\n".join(of_known(outcome)) if is_unknown else outcome]
    lines += [
        f"NOT SOLD YET: {intent.symbol}, {plain(intent.residual)} left. {intent.reason}".rstrip()
        for intent in left
    ]
    if len(lines) == 1:
        lines += [f"STILL HELD: {_position(view)}" for view in positions]
    if len(lines) == 1:
        lines += ["Everything managed is sold."] * (not is_unknown)
    else:
        lines.append(goes_on)
    return _joined(*lines)


def troubles(view: StatusView) -> str:
    """Degradations and alerts that nobody has acknowledged; empty when there are none."""
    return _joined(
        *(f"! {condition.text}" for condition in view.conditions if condition.is_active),
        *(f"! {alert.text}" for alert in view.alerts),
        f"! {count(view.unresolved, 'order')} whose fate the exchange has not told"
        if view.unresolved
        else "",
    )


def holdings(positions: Iterable[PositionView]) -> tuple[str, ...]:
    """What is held and how it is protected, a line each; for whoever must do without the agent."""
    return tuple(_position(position) for position in positions)


def _reason(view: StatusView) -> list[str]:
    changed = view.trading_mode
    if changed is None or changed.mode is TradingMode.ACTIVE or not changed.reason:
        return []
    return [f"  {modes.reason(changed.reason, changed.by)}"]


def _position(view: PositionView) -> str:
    leaving = "".join(
        f"; a backstop at {plain(stop)} rests until its cancel is proven"
        for stop, _ in view.leaving
    )
    doubt = f"; {plain(view.missing)} missing, being checked" if view.missing else ""
    return f"{_held(view.symbol, plain(view.position.quantity))}, {_stops(view)}{doubt}{leaving}"


def _stops(view: PositionView) -> str:
    if not view.is_held and not view.stops and not view.backstops:
        return "NOT PROTECTED"
    if view.is_held or view.is_blind or (view.is_protected and not view.stops):
        return _left(view)
    each = _each(sorted((*view.stops, *view.backstops), reverse=True))
    if view.is_protected and len(view.stops) == 1 and not view.backstops:
        return f"stop {plain(view.stops[0][0])}"
    if view.is_protected:
        return f"stops: {each}"
    return f"ONLY {plain(view.protected_quantity)} PROTECTED: {each}"


def _left(view: PositionView) -> str:
    """That private stops do not sell, where they would, and what does instead."""
    parts = ["UNPROTECTED: stops are held"] if view.is_held else []
    if view.is_blind:
        parts.append(f"CANNOT SELL NOW: {_each(view.stops)}")
    if view.backstops:
        parts.append(f"only backstops sell: {_each(view.backstops)}")
    return "; ".join(parts)


def _each(stops: Iterable[tuple[Decimal, Decimal]]) -> str:
    return ", ".join(f"{plain(amount)} at {plain(stop)}" for stop, amount in stops)


def _held(symbol: str, quantity: str) -> str:
    return f"Holds {quantity} {base_and_quote(symbol)[0]} ({symbol})"


def _tracker(tracker: Tracker) -> str:
    # The sign before the words is for a chat.
    state = state_name(tracker).partition(" ")[2]
    return f"#{tracker.tracker_id} {tracker.symbol} {kind_name(tracker)}, {state}"


def _joined(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
