"""Cards that answer *am I protected now?*: status, positions, balance, orders, history."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

from bot.modes import MODES, reason
from bot.telegram.keyboards import Rows, does, pager, shows
from bot.telegram.render.earnings import exit_lines, trip_lines, uncounted
from bot.telegram.render.text import (
    BLIND,
    HELD,
    Card,
    Line,
    age,
    being_checked,
    card_text,
    count,
    down,
    gain,
    in_other_orders,
    moment,
    money,
    only_backstop,
    percent,
    price,
    quantity,
    signed,
    since,
    worth,
)
from trading.domain.chat import Severity
from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Attempt, Intent, Side
from trading.domain.position import RoundTrip, TradingMode
from trading.overview import AccountView, BalanceView, PositionView, StatusView

PAGE = 8
_STOPS_MAX = 4
# Of what is managed.
_CRUMB = Decimal("0.00001")
_UNCOUNTED_MAX = 3
STREAMS = {"down": "over REST", "lost": "not coming in", "back": "live again"}
# How the market names live prices that are interrupted; it is over once they have held.
_STREAM_DOWN = "stream_down"
_BACK_WORDS = "live prices were interrupted: the alarm ends once they have held"
Row = TypeVar("Row")


def dot(status: StatusView) -> str:
    """One colour for the whole state, shown in headers."""
    severities = {condition.severity for condition in status.conditions if condition.is_active}
    is_blind = status.stream == "lost" or not status.is_ready
    # An exit that cannot act is trouble until it can, whoever has seen its alarm.
    is_wrong = status.alerts or status.exits_blocked or unprotected(status)
    if Severity.CRIT in severities or is_blind or is_wrong:
        return "🔴"
    mode = MODES[status.state].sign
    is_doubtful = Severity.WARN in severities or status.unresolved > 0
    return "🟠" if mode == "🟢" and is_doubtful else mode


def status_card(status: StatusView, *, may_act: bool = True) -> Card:
    """The whole state on one card; who `may_act` is offered a tracker."""
    if not status.is_ready:
        return _starting_card(status)
    lines: list[Line] = [
        f"{status.mode} on {status.exchange} · {MODES[status.state].state}"
        + ", STORAGE LOST" * status.is_storage_lost,
        *_why(status),
        f"Equity {money(status.equity)} {status.currency}",
        *_uncounted(status),
    ]
    if status.profit_today is not None:
        lines.append(f"Today {signed(status.profit_today)} {status.currency}")
    lines.append(tracker_counts(status))
    is_needed = status.data_age_s is not None
    fresh = f"Prices {age(status.data_age_s)} old" if is_needed else "No tracker needs prices"
    way = "back" if _is_back(status) else status.stream
    lines.append(f"{fresh} · {STREAMS.get(way, way)}")
    for view in status.positions[:PAGE]:
        lines.extend(position_lines(view))
    if len(status.positions) > PAGE:
        lines.append(f"+{len(status.positions) - PAGE} more: /positions")
    lines.extend(_troubles(status))
    lines.append(
        f"Up {since(status.started_at, status.now)} · {moment(status.now, status.now)} UTC"
    )
    rows = _STATUS_BUTTONS if may_act else (_STATUS_BUTTONS[0], _STATUS_BUTTONS[1][:1])
    return Card(card_text(_headline(status), *lines), rows)


def _starting_card(status: StatusView) -> Card:
    lines: list[Line] = [
        f"{status.mode} on {status.exchange} · starting",
        *_why(status),
        "⚠️ The exchange has not answered yet; it is asked again and again.",
        "What is held and tracked shows once it has. No stop sells before that.",
        *_troubles(status),
        f"Up {since(status.started_at, status.now)} · {moment(status.now, status.now)} UTC",
    ]
    return Card(card_text(f"{dot(status)} NOTHING is watched yet", *lines), _STATUS_BUTTONS)


_STATUS_BUTTONS: Rows = (
    (shows("🔄 Refresh", "/status"), does("📍 Trackers", "/trackers")),
    (does("💼 Positions", "/positions"), does("🎯 Track", "/track")),
)


def unprotected(status: StatusView) -> str:
    """What of the positions nothing protects now, in a few words; empty where all are."""
    positions = _held(status)
    open_ones = [view for view in positions if not view.is_protected]
    if positions and status.state is TradingMode.HALTED_EVERYTHING:
        return "UNPROTECTED: everything halted"
    if not open_ones:
        return ""
    if all(map(_is_partly, open_ones)):
        return f"{len(open_ones)} of {len(positions)} only PARTLY PROTECTED"
    return f"NOT PROTECTED: {len(open_ones)} of {count(len(positions), 'position')}"


def _headline(status: StatusView) -> str:
    positions = _held(status)
    by_backstop = sum(_is_by_backstop(view) for view in positions)
    words = unprotected(status)
    if not positions:
        words = "No open position"
    elif not words and by_backstop:
        words = f"Backstop only: {by_backstop} of {count(len(positions), 'position')}"
    elif not words:
        words = f"Protected: {len(positions)} of {count(len(positions), 'position')}"
    return f"{dot(status)} {words}"


def _held(status: StatusView) -> list[PositionView]:
    return [view for view in status.positions if view.position.quantity > 0]


def _is_partly(view: PositionView) -> bool:
    # Without eyes a whole holding is open whatever its trackers own.
    return ZERO < view.protected_quantity < view.position.quantity


def _is_by_backstop(view: PositionView) -> bool:
    return bool(view.backstops) and not view.stops


def _uncounted(status: StatusView) -> list[Line]:
    if not status.uncounted:
        return []
    held = [f"{quantity(each.total)} {each.asset}" for each in status.uncounted[:_UNCOUNTED_MAX]]
    if len(status.uncounted) > _UNCOUNTED_MAX:
        held.append(f"{len(status.uncounted) - _UNCOUNTED_MAX} more")
    return [f"Not counted: {', '.join(held)}, no price"]


def _why(status: StatusView) -> list[Line]:
    changed = status.trading_mode
    if changed is None or changed.mode is TradingMode.ACTIVE:
        return []
    words = reason(changed.reason, changed.by)
    return [words] if words else []


def tracker_counts(status: StatusView) -> str:
    """How many trackers wait, act and are paused."""
    parts = [f"{status.trackers_waiting} watching"]
    if status.trackers_acting:
        parts.append(f"{status.trackers_acting} acting")
    if status.trackers_paused:
        parts.append(f"{status.trackers_paused} PAUSED")
    return f"Trackers {', '.join(parts)}"


def blocked_line(status: StatusView) -> list[Line]:
    """Say how many exits cannot act, where any is."""
    number = status.exits_blocked
    if not number:
        return []
    return [f"🚨 {count(number, 'exit')} BLOCKED, {'sells' if number == 1 else 'sell'} nothing"]


def _troubles(status: StatusView) -> list[Line]:
    lines: list[Line] = [*blocked_line(status)]
    if status.unresolved:
        lines.append(f"❓ {count(status.unresolved, 'order')} of unknown outcome")
    lines.extend(
        f"⚠️ {_BACK_WORDS if one.condition == _STREAM_DOWN and _is_back(status) else one.text}"
        for one in status.conditions
        if one.is_active
    )
    lines.extend(f"🚨 {alert.text}" for alert in status.alerts)
    if status.alerts:
        lines.append("/ack ends the repeating")
    return lines


def _is_back(status: StatusView) -> bool:
    """Whether live prices come in again, and the word that they do not is not taken back yet."""
    names = {one.condition for one in status.conditions if one.is_active}
    return status.stream == "live" and _STREAM_DOWN in names


def position_lines(view: PositionView) -> list[Line]:
    """A holding with its protection and its worst case."""
    position = view.position
    head = f"{view.symbol} {quantity(position.quantity)}"
    if view.value is not None:
        head += f" = {worth(view.value, _quote(view.symbol))}"
    lines: list[Line] = [head, *_protection_lines(view)]
    lines += [
        f"⚠️ a backstop at {price(stop)} rests, and may sell {quantity(amount)}, until its cancel "
        "is proven"
        for stop, amount in view.leaving
    ]
    if view.worst_case is not None:
        lines.append(f"worst case {gain(view.worst_case, _quote(view.symbol))} before fees")
    if not _is_by_backstop(view):
        # Of backstops alone it is the same as above.
        lines.extend(down(view.worst_case_down, _quote(view.symbol)))
    return lines


def _protection_lines(view: PositionView) -> list[Line]:
    doubt = being_checked(view.missing, view.symbol)
    if view.is_held or view.is_blind or (view.is_protected and not view.stops):
        return [*_left_lines(view), *doubt]
    stops = sorted((*view.stops, *view.backstops), reverse=True)
    if view.is_protected and len(stops) == 1:
        return [f"🛡 protected at {price(stops[0][0])}"]
    if view.is_protected:
        lowest = f"🛡 protected, lowest at {price(stops[-1][0])}"
        return [lowest, *_stop_lines(stops, view.backstops)]
    locked = [*in_other_orders(view.bound, view.symbol), *doubt]
    if view.protected_quantity > 0:
        part = f"⚠️ only {quantity(view.protected_quantity)} protected"
        return [part, *locked, *_stop_lines(stops, view.backstops)]
    if view.missing >= view.position.quantity:
        # A stop of its own would find nothing to sell, either.
        return doubt
    return ["⚠️ NOT PROTECTED if it falls", *locked]


def _left_lines(view: PositionView) -> list[Line]:
    """That private stops do not sell, where they would, and what does instead."""
    lines: list[Line] = [HELD] if view.is_held else []
    if view.is_blind and len(view.stops) == 1:
        lines.append(f"{BLIND}: stop {price(view.stops[0][0])}")
    elif view.is_blind:
        lines += [f"{BLIND}:", *_stop_lines(view.stops)]
    if len(view.backstops) == 1 and view.is_protected:
        lines.append(f"⚠️ {only_backstop(view.backstops[0][0])}")
    elif view.backstops:
        lines += ["⚠️ only backstops sell:", *_stop_lines(view.backstops)]
    return lines


def _stop_lines(
    stops: Sequence[tuple[Decimal, Decimal]], backstops: Sequence[tuple[Decimal, Decimal]] = ()
) -> list[Line]:
    """One line per stop, nearest first; the lowest is there however many there are.

    Which of them are `backstops` is said.
    """
    lines: list[Line] = [
        f"  {quantity(amount)} at {price(stop)}" + ", backstop" * ((stop, amount) in backstops)
        for stop, amount in stops
    ]
    if len(lines) > _STOPS_MAX:
        return [*lines[: _STOPS_MAX - 1], f"  {len(lines) - _STOPS_MAX} more between", lines[-1]]
    return lines


def _quote(symbol: str) -> str:
    return base_and_quote(symbol)[1]


def positions_card(views: Sequence[PositionView], page: int = 1, *, may_act: bool = True) -> Card:
    """Managed holdings, greatest value first; who `may_act` is told how coins come to be there."""
    if not views:
        hint = ("Confirming a sell tracker puts coins under Umbra's care: /track",) * may_act
        row = ((does("🎯 Track", "/track"),),) * may_act
        return Card(card_text("💼 No managed position", *hint), row)
    pages, shown = paged(views, page)
    lines: list[Line] = []
    for view in shown:
        lines.extend(position_lines(view))
        lines.append(_profit_line(view))
        lines.extend(uncounted(view.position.fees.unpriced))
        if _is_worth_a_word(view):
            lines.append(f"{quantity(view.unmanaged)} more is not managed: never sold")
    open_ones = [view for view in views if not view.is_protected]
    title = f"💼 {count(len(views), 'position')}"
    covered = ", only backstops sell" if any(map(_is_by_backstop, views)) else ", protected"
    word = "PARTLY" if all(map(_is_partly, open_ones)) else "NOT"
    title += f", {len(open_ones)} {word} PROTECTED" if open_ones else covered
    refresh = shows("🔄 Refresh", f"/positions {page}")
    return Card(card_text(title, *lines), ((refresh,), *pager("/positions", page, pages)))


def _is_worth_a_word(view: PositionView) -> bool:
    """Whether coins lie beside the managed ones: fees leave crumbs that nobody asks about."""
    return view.unmanaged > view.position.quantity * _CRUMB


def _profit_line(view: PositionView) -> str:
    line = f"now {price(view.price)}"
    if view.profit is not None and view.position.cost > 0:
        share = percent(view.profit / view.position.cost)
        line = f"{line} P&L {gain(view.profit, _quote(view.symbol))} {share}"
    return line


def balance_card(account: AccountView, page: int = 1) -> Card:
    """Every balance, valued."""
    pages, shown = paged(account.balances, page)
    lines: list[Line] = []
    for view in shown:
        lines.append(_balance_line(view, account.currency))
        if view.balance.locked > 0:
            lines.append(f"  {quantity(view.balance.locked)} locked in orders")
        if view.managed > 0:
            lines.append(f"  {quantity(view.managed)} managed")
    lines.append(f"Read {age(account.balances_age_s)} ago")
    title = f"💰 {money(account.equity)} {account.currency}"
    refresh = shows("🔄 Refresh", f"/balance {page}")
    return Card(card_text(title, *lines), ((refresh,), *pager("/balance", page, pages)))


def _balance_line(view: BalanceView, currency: str) -> str:
    balance = view.balance
    if balance.asset == currency:
        return f"{currency} {money(balance.total)}"
    value = "no price" if view.value is None else f"{money(view.value)} {currency}"
    return f"{balance.asset} {quantity(balance.total)} = {value}"


def orders_card(orders: Sequence[tuple[Intent, Attempt | None]], page: int = 1) -> Card:
    """Our decisions at work."""
    if not orders:
        return Card(card_text("📋 Nothing is at work", "No open order of ours."))
    pages, shown = paged(orders, page)
    lines: list[Line] = []
    for intent, attempt in shown:
        lines.extend(_order_lines(intent, attempt))
    ordered = dict.fromkeys(intent.symbol for intent, _ in shown if intent.tracker_id is None)
    aborts = tuple((does(f"✖️ Abort {symbol}", f"/abort {symbol}"),) for symbol in ordered)
    refresh = shows("🔄 Refresh", f"/orders {page}")
    title = f"📋 {len(orders)} at work"
    return Card(card_text(title, *lines), (*aborts, (refresh,), *pager("/orders", page, pages)))


def _order_lines(intent: Intent, attempt: Attempt | None) -> list[Line]:
    lines = _waiting_lines(intent) if attempt is None else _attempt_lines(intent, attempt)
    if intent.tracker_id is not None:
        lines.append(f"  tracker {intent.tracker_id} · {intent.state.value}")
    if intent.reason:
        lines.append(f"  {intent.reason}")
    return lines


def _waiting_lines(intent: Intent) -> list[Line]:
    base, quote = base_and_quote(intent.symbol)
    wanted = f"{quantity(intent.quantity)} {base}"
    if not intent.quantity and intent.quote_budget is not None:
        wanted = f"{base} for {money(intent.quote_budget)} {quote}"
    done = [f"  {quantity(intent.filled_quantity)} filled"] if intent.filled_quantity else []
    waits = "  waits: no order of it is on the exchange"
    return [f"{intent.side.value} {wanted}", *done, waits]


def _attempt_lines(intent: Intent, attempt: Attempt) -> list[Line]:
    request = attempt.request
    at = "at market" if request.price is None else f"at {price(request.price)}"
    if request.stop_price is not None:
        at = f"from {price(request.stop_price)} on: backstop"
    return [
        f"{intent.side.value} {quantity(request.quantity)} {request.symbol} {at}",
        f"  try {attempt.number}: {attempt.state.words}, {quantity(intent.filled_quantity)} filled",
    ]


def history_card(
    trips: Sequence[RoundTrip], page: int, asked: int, at_work: Sequence[Intent] = ()
) -> Card:
    """Finished exits, newest first, with fees; before them what those at work have sold by now."""
    begun = [_begun_line(each) for each in at_work if each.side is Side.SELL]
    parts = [line for line in begun if line] if page == 1 else []
    if not trips:
        return Card(card_text("📜 No finished exit yet", *parts))
    pages, shown = paged(trips, page)
    title, *lines = exit_lines(trips)
    lines += parts
    for trip in shown:
        lines += trip_lines(trip)
    return Card(card_text(f"📜 {title}", *lines), pager(f"/history {asked}", page, pages))


def _begun_line(intent: Intent) -> str:
    if not intent.filled_quantity:
        return ""
    base, quote = base_and_quote(intent.symbol)
    sold = f"{quantity(intent.filled_quantity)} {base} for {worth(intent.filled_notional, quote)}"
    return f"⏳ Sold {sold} by now; the rest: /orders"


def paged(rows: Sequence[Row], page: int) -> tuple[int, Sequence[Row]]:
    """Return how many pages there are, and the rows of this one."""
    pages = max((len(rows) + PAGE - 1) // PAGE, 1)
    first = (min(page, pages) - 1) * PAGE
    return pages, rows[first : first + PAGE]
