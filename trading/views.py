"""From the agent's state to what front ends see: pure, one function per view."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice

from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ONE, ZERO
from trading.domain.order import Intent, IntentState, Side
from trading.domain.position import Portfolio, Position
from trading.domain.tracker import Tracker, TrackerState
from trading.overview import (
    STORAGE_LOST,
    AccountView,
    BalanceView,
    Crossing,
    PositionView,
    Signature,
    TrackerView,
)
from trading.portfolio import PortfolioBook
from trading.reachability import AUTH_LOST, BALANCES_DISAGREE, EXCHANGE_DOWN
from trading.trackers import protection, rules

# Conditions, by their names in the journal, that are never a mere remark; and what says it already.
_GRAVE = frozenset(
    {EXCHANGE_DOWN, AUTH_LOST, BALANCES_DISAGREE, "stale_data", "account_stream_down"}
)
_SAYS_PRICES = frozenset({EXCHANGE_DOWN, "stale_data"})
_NAMED_MAX = 5
# Further than any level that is known, as a share of the price.
_FAR = Decimal(10)
# A stream that has said nothing for longer proves nothing while the exchange is down.
_HEARD_S = 5.0
_SAYS_ACCOUNT = frozenset({EXCHANGE_DOWN, "account_stream_down"})


# What sells below the price, each at its own.
Guards = Sequence[tuple[Tracker, Decimal]]


@dataclass(frozen=True, slots=True)
class Prices:
    """What views ask about one moment: price, age in seconds, signature, and whether stops sell.

    `is_blind` says whether those of a symbol cannot act for now; `backstop` gives the price of a
    tracker's stop that rests on the exchange, `backstop_quantity` how many units that one sells,
    None for all of its tracker's, `leaving` price and quantity of those of a symbol
    that nobody counts on any more, `bound` how many managed units orders of others lock, `missing`
    how many the account does not show; `value` is what units of an asset are worth in the account's
    currency; `crossing` how far a tracker's confirmation has come.
    """

    at_ms: int
    price: Callable[[str], Decimal | None]
    age_s: Callable[[str], float | None]
    signature: Callable[[str], Signature | None]
    are_stops_held: bool = False
    backstop: Callable[[int], Decimal | None] = lambda _: None
    backstop_quantity: Callable[[int], Decimal | None] = lambda _: None
    is_blind: Callable[[str], bool] = lambda _: False
    leaving: Callable[[str], tuple[tuple[Decimal, Decimal], ...]] = lambda _: ()
    bound: Callable[[str], Decimal] = lambda _: ZERO
    missing: Callable[[str], Decimal] = lambda _: ZERO
    value: Callable[[str, Decimal], Decimal | None] = lambda _, amount: amount
    crossing: Callable[[int], Crossing | None] = lambda _: None

    def can_act(self, symbol: str) -> bool:
        """Whether a private stop that is reached sells now."""
        return not self.are_stops_held and not self.is_blind(symbol)


def positions(
    portfolio: Portfolio,
    trackers_of: Callable[[str], Sequence[Tracker]],
    instruments: Mapping[str, Instrument],
    prices: Prices,
    most: int | None = None,
) -> Iterator[PositionView]:
    """Give managed holdings with their protection, greatest value first, `most` at the most.

    Each is looked at closely when it is asked for: all of a great account take milliseconds.
    """
    managed_base: dict[str, Decimal] = {}
    for symbol, position in portfolio.positions.items():
        base = _base(symbol, instruments)
        managed_base[base] = managed_base.get(base, ZERO) + position.quantity
    held = _greatest_first(portfolio, prices)
    for position in islice(worth_an_order(held, instruments, prices.price), most):
        unmanaged = _unmanaged(portfolio, _base(position.symbol, instruments), managed_base)
        traits = (instruments.get(position.symbol), unmanaged)
        yield _position(position, trackers_of(position.symbol), prices, traits)


def _greatest_first(portfolio: Portfolio, prices: Prices) -> list[Position]:
    held = [position for position in portfolio.positions.values() if position.quantity]
    quotes = {position.symbol: base_and_quote(position.symbol)[1] for position in held}
    # Hundreds of markets have a handful of quotes, and finding what one is worth takes a while.
    rates = {quote: prices.value(quote, ONE) or ZERO for quote in set(quotes.values())}

    def worth(position: Position) -> Decimal:
        price = portfolio.prices.get(position.symbol) or ZERO
        return position.quantity * price * rates[quotes[position.symbol]]

    return sorted(held, key=worth, reverse=True)


def worth_an_order(
    positions: Iterable[Position],
    instruments: Mapping[str, Instrument],
    price_of: Callable[[str], Decimal | None],
) -> Iterator[Position]:
    """Leave out what no order can sell: it needs no protection, and /balance shows it."""
    for position in positions:
        price = price_of(position.symbol) or position.average_price
        instrument = instruments.get(position.symbol)
        if not protection.is_too_little(position.quantity, instrument, price):
            yield position


def too_little(
    instruments: Mapping[str, Instrument], price_of: Callable[[str], Decimal | None]
) -> Callable[[str, Decimal], bool]:
    """Return what says of base units of a symbol that no order could sell so little."""

    def is_too_little(symbol: str, quantity: Decimal) -> bool:
        return protection.is_too_little(quantity, instruments.get(symbol), price_of(symbol))

    return is_too_little


def _base(symbol: str, instruments: Mapping[str, Instrument]) -> str:
    instrument = instruments.get(symbol)
    return instrument.base if instrument else symbol.split("/", maxsplit=1)[0]


def _unmanaged(portfolio: Portfolio, base: str, managed: Mapping[str, Decimal]) -> Decimal:
    return max(portfolio.total(base) - managed.get(base, ZERO), ZERO)


def _position(
    position: Position,
    trackers: Sequence[Tracker],
    prices: Prices,
    traits: tuple[Instrument | None, Decimal],
) -> PositionView:
    instrument, unmanaged = traits
    price = prices.price(position.symbol)
    backstops = [
        (_in_backstop(tracker, prices), stop)
        for tracker in trackers
        if (stop := prices.backstop(tracker.tracker_id)) is not None
    ]
    can_act = prices.can_act(position.symbol)
    private, alone = _guards(trackers, price, prices, can_act=can_act)
    guards = [*private, *alone]
    idle: Guards = ()
    if not can_act and not prices.are_stops_held:
        # What would sell with eyes is shown as what cannot, where no backstop stands in for it.
        seeing, _ = _guards(trackers, price, prices, can_act=True)
        idle = [guard for guard in seeing if prices.backstop(guard[0].tracker_id) is None]
    bound, missing = prices.bound(position.symbol), prices.missing(position.symbol)
    covered = _covered(guards, position, instrument, price)
    return PositionView(
        symbol=position.symbol,
        position=position,
        price=price,
        price_age_s=prices.age_s(position.symbol),
        protected_quantity=max(min(covered, position.quantity - bound - missing), ZERO),
        stops=_stops(idle or private),
        worst_case=None if bound or missing else _worst(guards, position, instrument, price),
        tracker_ids=tuple(tracker.tracker_id for tracker, _ in guards),
        unmanaged=unmanaged,
        is_blind=bool(idle),
        worst_case_down=_worst(backstops, position, instrument, price),
        backstops=_stops(alone),
        is_held=prices.are_stops_held and any(each.side is Side.SELL for each in trackers),
        leaving=prices.leaving(position.symbol),
        bound=bound,
        missing=missing,
    )


def _guards(
    trackers: Sequence[Tracker], price: Decimal | None, prices: Prices, *, can_act: bool
) -> tuple[list[tuple[Tracker, Decimal]], list[tuple[Tracker, Decimal]]]:
    """What sells below the price: private rules, and backstops that stand alone."""
    private: list[tuple[Tracker, Decimal]] = []
    alone: list[tuple[Tracker, Decimal]] = []
    for tracker in trackers:
        backstop = prices.backstop(tracker.tracker_id)
        state = protection.of(tracker, price, prices.at_ms, backstop, can_act=can_act)
        if state.is_protected and state.worst_price is not None:
            if state.is_by_backstop:
                alone.append((_in_backstop(tracker, prices), state.worst_price))
            else:
                private.append((tracker, state.worst_price))
    return private, alone


def _in_backstop(tracker: Tracker, prices: Prices) -> Tracker:
    """Return a tracker with as much of its slice as its backstop sells."""
    most = prices.backstop_quantity(tracker.tracker_id)
    return tracker if most is None else replace(tracker, quantity=min(most, tracker.quantity))


def _covered(
    guards: Guards, position: Position, instrument: Instrument | None, price: Decimal | None
) -> Decimal:
    protected = min(sum((tracker.quantity for tracker, _ in guards), ZERO), position.quantity)
    left, price = position.quantity - protected, price or position.average_price
    is_rest = bool(guards) and protection.is_too_little(left, instrument, price)
    return position.quantity if is_rest else protected


def _worst(
    guards: Guards, position: Position, instrument: Instrument | None, price: Decimal | None
) -> Decimal | None:
    if price is None or not guards:
        return None
    if _covered(guards, position, instrument, price) < position.quantity:
        return None
    return sum((tracker.quantity * (stop - price) for tracker, stop in guards), ZERO)


def _stops(guards: Iterable[tuple[Tracker, Decimal]]) -> tuple[tuple[Decimal, Decimal], ...]:
    quantities: dict[Decimal, Decimal] = {}
    for guard, stop in guards:
        quantities[stop] = quantities.get(stop, ZERO) + guard.quantity
    return tuple(sorted(quantities.items(), reverse=True))


def tracker(
    tracked: Tracker,
    instrument: Instrument | None,
    prices: Prices,
    notes: tuple[str, ...] = (),
) -> TrackerView:
    """Return one tracker beside the present price."""
    price = prices.price(tracked.symbol)
    following, level = rules.next_level(tracked, prices.at_ms)
    backstop = prices.backstop(tracked.tracker_id)
    can_act = prices.can_act(tracked.symbol)
    state = protection.of(tracked, price, prices.at_ms, backstop, can_act=can_act)
    bound = prices.bound(tracked.symbol) if tracked.side is Side.SELL else ZERO
    missing = prices.missing(tracked.symbol) if tracked.side is Side.SELL else ZERO
    lacking = tracked.quantity - _in_backstop(tracked, prices).quantity
    is_whole = not lacking or protection.is_too_little(lacking, instrument, price)
    is_protecting = state.is_protected and not bound and not missing
    is_protecting &= is_whole or not state.is_by_backstop
    stop = state.worst_price if is_protecting else None
    hard_stop = rules.hard_stop_at(tracked, prices.at_ms)
    return TrackerView(
        tracker=tracked,
        instrument=instrument,
        price=price,
        price_age_s=prices.age_s(tracked.symbol),
        level=level,
        gap=_gap(price, level),
        is_protecting=is_protecting,
        worst_case=_case(tracked, stop, price),
        signature=prices.signature(tracked.symbol),
        notes=notes,
        next_level=following,
        hard_stop=hard_stop,
        hard_stop_gap=_gap(price, hard_stop),
        worst_case_down=_case(tracked, backstop if is_whole else None, price),
        only_backstop=stop if state.is_by_backstop else None,
        is_held=prices.are_stops_held,
        is_blind=not can_act and not prices.are_stops_held,
        bound=bound,
        missing=missing,
        crossing=None if tracked.is_paused else prices.crossing(tracked.tracker_id),
    )


def _case(tracked: Tracker, stop: Decimal | None, price: Decimal | None) -> Decimal | None:
    if stop is None or price is None:
        return None
    return (stop - price) * tracked.quantity


def _gap(price: Decimal | None, level: Decimal | None) -> Decimal | None:
    return level / price - ONE if price and level is not None else None


def nearest_first(views: Iterable[TrackerView]) -> list[TrackerView]:
    """Order trackers: those at work first, then by how little the price must move."""

    def distance(view: TrackerView) -> tuple[int, Decimal, int]:
        gaps = [abs(gap) for gap in (view.gap, view.hard_stop_gap) if gap is not None]
        nearest = min(gaps, default=_FAR)
        return (0 if view.tracker.state.is_acting else 1, nearest, view.tracker.tracker_id)

    return sorted(views, key=distance)


def account(
    book: PortfolioBook, instruments: Mapping[str, Instrument], now_s: float
) -> AccountView:
    """Return every balance with its worth, greatest first."""
    portfolio = book.snapshot()
    managed: dict[str, Decimal] = {}
    for symbol, position in portfolio.positions.items():
        instrument = instruments.get(symbol)
        price = portfolio.prices.get(symbol) or position.average_price
        if instrument and price and instrument.is_dust(position.quantity, price):
            # What no order can sell is no managed position on the other cards either.
            continue
        base = _base(symbol, instruments)
        managed[base] = managed.get(base, ZERO) + position.quantity
    views = [
        BalanceView(balance, book.value(asset, balance.total), managed.get(asset, ZERO))
        for asset, balance in portfolio.balances.items()
        if balance.total
    ]
    views.sort(key=lambda view: (view.value or ZERO, view.balance.asset), reverse=True)
    age_s = now_s - book.balances_at_s if book.balances_at_s is not None else None
    return AccountView(book.currency, book.equity(), tuple(views), age_s)


def troubles(
    conditions: Iterable[ConditionChanged],
    *,
    unresolved: int,
    stale_s: float | None,
    account_stream: str,
    unseen: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what keeps an agent from being healthy, and what it copes with; in sentences.

    `stale_s` is the age in seconds of the oldest price that is needed and cannot be relied on,
    `unseen` the symbols of which none has come yet.
    """
    active = [each for each in conditions if each.is_active]
    names = {each.condition for each in active}
    grave = [each for each in active if each.severity is Severity.CRIT or each.condition in _GRAVE]
    found = [each.text for each in grave]
    if stale_s is not None and not names & _SAYS_PRICES:
        found.append(f"prices are {stale_s:.0f} s old")
    if unseen and not names & _SAYS_PRICES:
        more = f" and {len(unseen) - _NAMED_MAX} more" if len(unseen) > _NAMED_MAX else ""
        found.append(f"no price has come yet of {', '.join(unseen[:_NAMED_MAX])}{more}")
    if unresolved:
        noun = "order is" if unresolved == 1 else "orders are"
        found.append(f"{unresolved} {noun} of unknown outcome")
    if account_stream != "live" and not names & _SAYS_ACCOUNT:
        found.append("orders and balances are not told live")
    return tuple(found), tuple(each.text for each in active if each not in grave)


def storage_lost(at: datetime, *, is_watching: bool) -> ConditionChanged:
    """Say that the journal cannot be written, and what that means for stops that are watched."""
    meaning = (
        "Only what protects goes on, through the reserve; everything else waits"
        if is_watching
        else "No stop is watched: Umbra starts when that is over"
    )
    text = f"STORAGE LOST: the journal cannot be written. {meaning}"
    return ConditionChanged(STORAGE_LOST, None, True, Severity.CRIT, text, at)


def stream(
    state: str,
    conditions: Iterable[ConditionChanged],
    *,
    is_all_stale: bool,
    age_s: float | None,
) -> str:
    """Return how prices come in: `lost` where neither the stream nor questions bring any.

    An exchange that takes no requests, as in a ban, may still stream: `age_s`, of the oldest price,
    tells.
    """
    is_down = any(each.is_active and each.condition == EXCHANGE_DOWN for each in conditions)
    is_heard = state == "live" and age_s is not None and age_s <= _HEARD_S
    return "lost" if is_all_stale or (is_down and not is_heard) else state


def blocked(trackers: Iterable[Tracker], intents: Iterable[Intent]) -> int:
    """Return how many sales cannot act; a tracker and the decision that it led to are one."""
    stuck = {
        each.tracker_id
        for each in trackers
        if (each.state, each.side) == (TrackerState.BLOCKED, Side.SELL)
    }
    return len(stuck) + sum(
        (each.state, each.side) == (IntentState.BLOCKED, Side.SELL) and each.tracker_id not in stuck
        for each in intents
    )


def count(trackers: Iterable[Tracker]) -> tuple[int, int, int]:
    """Return how many trackers wait, act and are paused."""
    waiting = acting = paused = 0
    for item in trackers:
        paused += item.is_paused
        waiting += item.state.is_waiting and not item.is_paused
        acting += item.state.is_acting
    return waiting, acting, paused
