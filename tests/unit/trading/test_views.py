"""What front ends see of trackers and positions: which level comes next, and what it does."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.builders import NOON, coin
from tests.unit.trading.trackers.make import BTC, d, line, spec
from trading import views
from trading.domain.chat import Severity
from trading.domain.events import ConditionChanged
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import Balance, Portfolio, Position
from trading.domain.time import to_ms
from trading.domain.tracker import NextLevel, Then, ThenKind, Tracker, TrackerKind, TrackerState
from trading.overview import PositionView, TrackerView
from trading.portfolio import PortfolioBook
from trading.reachability import EXCHANGE_DOWN

AT_MS = to_ms(NOON)
PRICES = views.Prices(
    at_ms=AT_MS,
    price=lambda _: d(60000),
    age_s=lambda _: 0.1,
    signature=lambda _: None,
)


def _tracker(kind: TrackerKind, state: TrackerState, **fields: object) -> Tracker:
    in_spec = {name: fields.pop(name) for name in ("level", "then", "trail") if name in fields}
    what = spec(kind, **in_spec)
    level = what.level if isinstance(what.level, Decimal) else None
    tracker = Tracker(
        1, what, 7, what.first_side, state, NOON, quantity=d("0.5"), level_price=level
    )
    return replace(tracker, **fields)  # type: ignore[arg-type]


def _view(tracker: Tracker) -> TrackerView:
    return views.tracker(tracker, BTC, PRICES)


def test_a_blocked_exit_counts_once_with_or_without_a_tracker_and_a_purchase_not_at_all() -> None:
    def intent(tracker_id: int | None, side: Side = Side.SELL) -> Intent:
        what = ("BTC/USDT", side, Purpose.PROTECT, d(58000), NOON, d("0.5"))
        stuck = Intent(f"i{tracker_id}", *what, tracker_id=tracker_id)
        return replace(stuck, state=IntentState.BLOCKED)

    stop = _tracker(TrackerKind.STOP, TrackerState.BLOCKED, level=58000)
    fine = replace(stop, tracker_id=2, state=TrackerState.EXITING)
    dip = replace(_tracker(TrackerKind.DIP, TrackerState.BLOCKED, level=55000), tracker_id=3)
    assert views.blocked([stop, fine, dip], [intent(1)]) == 1
    assert views.blocked([stop, fine, dip], [intent(1), intent(2), intent(None)]) == 3
    assert views.blocked([fine, dip], [intent(3, Side.BUY)]) == 0


@pytest.mark.parametrize(
    ("kind", "level"), [(TrackerKind.TAKE_PROFIT, 65000), (TrackerKind.DIP, 55000)]
)
def test_an_untouched_level_is_a_touch_and_nothing_that_fires(
    kind: TrackerKind, level: int
) -> None:
    view = _view(_tracker(kind, TrackerState.WATCHING, level=level, trail="0.02"))
    assert (view.next_level, view.level) == (NextLevel.TOUCH, d(level))


def test_after_the_touch_the_moving_stop_is_what_fires() -> None:
    tracker = _tracker(
        TrackerKind.TAKE_PROFIT,
        TrackerState.TRAILING,
        level=58000,
        trail="0.02",
        distance=d("0.02"),
        stop_price=d(59000),
    )
    view = _view(tracker)
    assert (view.next_level, view.level) == (NextLevel.FIRES, d(59000))


def test_a_stop_on_a_line_fires_where_the_line_is_now() -> None:
    view = _view(_tracker(TrackerKind.STOP, TrackerState.TRAILING, level=line(50000, 50000)))
    assert (view.next_level, view.level) == (NextLevel.FIRES, d(50000))


def test_a_resting_tracker_names_the_band_that_it_waits_for() -> None:
    tracker = _tracker(
        TrackerKind.STOP,
        TrackerState.RESTING,
        level=61000,
        then=Then(ThenKind.COOLDOWN),
        stop_price=d(61000),
    )
    view = _view(tracker)
    assert (view.next_level, view.level) == (NextLevel.BAND, d(61000))


def test_each_live_stop_of_a_position_keeps_its_own_price_and_quantity() -> None:
    trackers = [
        _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=level, quantity=d(quantity))
        for level, quantity in ((50000, "0.2"), (58412, "0.1"), (50000, "0.1"))
    ]
    portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d("0.4"), d(20000))})
    (view,) = views.positions(portfolio, lambda _: trackers, {"BTC/USDT": BTC}, PRICES)
    assert view.stops == ((d(58412), d("0.1")), (d(50000), d("0.3")))
    assert view.is_protected


def test_a_rest_that_no_order_could_sell_leaves_a_position_protected() -> None:
    stop = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.4"))

    def seen(managed: str) -> PositionView:
        portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d(managed), d(20000))})
        (view,) = views.positions(portfolio, lambda _: [stop], {"BTC/USDT": BTC}, PRICES)
        return view

    # 0.00005 BTC are 3 USDT, less than any order may be worth.
    assert seen("0.40005").is_protected
    assert seen("0.40005").worst_case is not None
    assert not seen("0.401").is_protected


def test_positions_of_two_quotes_are_ordered_by_their_worth_in_one_currency() -> None:
    held = {
        "BTC/USDT": Position("BTC/USDT", d("0.1"), d(6000)),
        "ETH/BTC": Position("ETH/BTC", d(4), d("0.2")),
    }
    book = PortfolioBook("USDT")
    book.load(held)
    book.set_price("BTC/USDT", d(60000))
    book.set_price("ETH/BTC", d("0.05"))
    prices = replace(PRICES, value=book.value)
    pairs = {"BTC/USDT": BTC, "ETH/BTC": replace(coin("ETH", "BTC"), notional_min=d("0.0001"))}
    # 0.2 BTC are 12,000 USDT, and not less than 6,000 of them.
    seen = views.positions(book.snapshot(), lambda _: [], pairs, prices, most=1)
    assert [view.symbol for view in seen] == ["ETH/BTC"]


def test_a_position_whose_stops_cannot_act_is_not_protected_but_for_a_backstop() -> None:
    def seen(*, is_blind: bool, backstop: Decimal | None = None) -> PositionView:
        stop = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.4"))
        portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d("0.4"), d(20000))})
        prices = replace(PRICES, is_blind=lambda _: is_blind, backstop=lambda _: backstop)
        (view,) = views.positions(portfolio, lambda _: [stop], {"BTC/USDT": BTC}, prices)
        return view

    sighted = seen(is_blind=False)
    assert (sighted.is_protected, sighted.is_blind) == (True, False)
    blind = seen(is_blind=True)
    assert (blind.is_protected, blind.is_blind) == (False, True)
    assert blind.stops == sighted.stops
    resting = seen(is_blind=True, backstop=d(50_000))
    assert (resting.is_protected, resting.is_blind) == (True, False)


def test_what_backstops_bound_while_umbra_is_away_stands_beside_the_worst_case() -> None:
    def seen(*resting: str | None) -> PositionView:
        held = [
            replace(stop, tracker_id=number, quantity=d("0.2"))
            for number in range(len(resting))
            for stop in (_tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000),)
        ]
        portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d("0.4"), d(20000))})
        at = {number: d(price) if price else None for number, price in enumerate(resting)}
        prices = replace(PRICES, backstop=lambda number: at[number])
        (view,) = views.positions(portfolio, lambda _: held, {"BTC/USDT": BTC}, prices)
        return view

    price = PRICES.price("BTC/USDT")
    assert price is not None
    both = seen("50000", "55000")
    assert both.worst_case == d("0.4") * (58000 - price)
    assert both.worst_case_down == d("0.2") * (50000 - price) + d("0.2") * (55000 - price)
    # Coins without a backstop have no bound while nobody watches.
    assert seen("50000", None).worst_case_down is None
    assert seen(None, None).worst_case_down is None


def test_a_tracker_tells_what_its_resting_backstop_bounds() -> None:
    tracker = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.4"))
    price = PRICES.price("BTC/USDT")
    assert price is not None
    view = views.tracker(tracker, BTC, replace(PRICES, backstop=lambda _: d(50_000)))
    assert view.worst_case == d("0.4") * (58000 - price)
    assert view.worst_case_down == d("0.4") * (50000 - price)
    assert views.tracker(tracker, BTC, PRICES).worst_case_down is None


@pytest.mark.parametrize("why", ["are_stops_held", "is_blind"])
def test_where_private_stops_cannot_act_the_backstop_is_all_that_counts(why: str) -> None:
    stop = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.4"))
    cannot = {"are_stops_held": True} if why == "are_stops_held" else {"is_blind": lambda _: True}
    prices = replace(PRICES, backstop=lambda _: d(50_000), **cannot)  # type: ignore[arg-type]
    worst = d("0.4") * (50_000 - 60_000)
    seen = views.tracker(stop, BTC, prices)
    assert (seen.is_protecting, seen.only_backstop, seen.worst_case) == (True, d(50_000), worst)
    portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d("0.4"), d(20000))})
    (held,) = views.positions(portfolio, lambda _: [stop], {"BTC/USDT": BTC}, prices)
    assert (held.stops, held.backstops) == ((), ((d(50_000), d("0.4")),))
    assert (held.is_protected, held.worst_case) == (True, worst)
    without = views.tracker(stop, BTC, replace(prices, backstop=lambda _: None))
    assert (without.is_protecting, without.worst_case) == (False, None)


def test_what_no_step_divides_of_a_slice_is_none_that_a_backstop_lacks() -> None:
    stop = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.4876544"))
    blind = replace(PRICES, is_blind=lambda _: True, backstop=lambda _: d(50_000))
    prices = replace(blind, backstop_quantity=lambda _: d("0.48765"))
    seen = views.tracker(stop, BTC, prices)
    assert (seen.is_protecting, seen.only_backstop) == (True, d(50_000))
    assert seen.worst_case_down == d(-10_000) * d("0.4876544")
    # What an order could sell lacks one.
    cut = views.tracker(stop, BTC, replace(prices, backstop_quantity=lambda _: d("0.4866")))
    assert (cut.is_protecting, cut.only_backstop, cut.worst_case_down) == (False, None, None)


def test_of_two_trackers_without_eyes_each_says_what_is_left_of_it() -> None:
    first = _tracker(TrackerKind.STOP, TrackerState.TRAILING, level=58000, quantity=d("0.2"))
    second = replace(first, tracker_id=2)
    at = {1: None, 2: d(50_000)}
    prices = replace(PRICES, is_blind=lambda _: True, backstop=lambda number: at[number])
    portfolio = Portfolio({}, {"BTC/USDT": Position("BTC/USDT", d("0.4"), d(20000))})
    (view,) = views.positions(portfolio, lambda _: [first, second], {"BTC/USDT": BTC}, prices)
    assert view.stops == ((d(58_000), d("0.2")),)
    assert view.backstops == ((d(50_000), d("0.2")),)
    assert (view.is_blind, view.is_protected, view.protected_quantity) == (True, False, d("0.2"))
    assert view.worst_case is None


def test_a_swing_that_buys_back_is_touched_below_its_sale() -> None:
    tracker = _tracker(
        TrackerKind.TAKE_PROFIT,
        TrackerState.WATCHING,
        level=60500,
        trail="0.01",
        then=Then(ThenKind.SWING, d("0.04")),
        side=Side.BUY,
        level_price=d("57600"),
        last_fill_price=d(60000),
    )
    view = _view(tracker)
    assert (view.next_level, view.level) == (NextLevel.TOUCH, d(57600))


def test_the_hard_stop_counts_for_who_fires_first() -> None:
    near = _tracker(
        TrackerKind.TAKE_PROFIT,
        TrackerState.WATCHING,
        level=90000,
        trail="0.02",
        hard_stop_price=d(59400),
    )
    far = replace(_tracker(TrackerKind.STOP, TrackerState.TRAILING, level=57000), tracker_id=2)
    ordered = views.nearest_first([_view(far), _view(near)])
    assert [view.tracker.tracker_id for view in ordered] == [1, 2]
    assert (ordered[0].hard_stop, ordered[0].hard_stop_gap) == (d(59400), d("-0.01"))
    assert (ordered[1].hard_stop, ordered[1].hard_stop_gap) == (None, None)


@pytest.mark.parametrize(("held", "managed"), [("0.9", "0"), ("90", "90")])
def test_what_no_order_can_sell_is_not_called_managed_among_the_balances(
    held: str, managed: str
) -> None:
    book = PortfolioBook("USDT")
    book.load({"ADA/USDT": Position("ADA/USDT", d(held), d(1))})
    book.set_balances({"ADA": Balance("ADA", d(held), d(0))}, 0.0)
    book.set_price("ADA/USDT", d("0.9"))
    [view] = views.account(book, {"ADA/USDT": coin("ADA")}, 1.0).balances
    assert (view.balance.total, view.managed) == (d(held), d(managed))


@pytest.mark.parametrize(
    ("state", "age_s", "is_down", "said"),
    [
        ("live", 0.8, True, "live"),
        ("live", 20.0, True, "lost"),
        ("live", None, True, "lost"),
        ("down", 0.8, True, "lost"),
        ("down", 0.8, False, "down"),
    ],
)
def test_an_exchange_that_takes_no_requests_may_still_stream(
    state: str, age_s: float | None, *, is_down: bool, said: str
) -> None:
    away = ConditionChanged(EXCHANGE_DOWN, None, is_down, Severity.CRIT, "away", NOON)
    assert views.stream(state, [away], is_all_stale=False, age_s=age_s) == said
    assert views.stream(state, [away], is_all_stale=True, age_s=age_s) == "lost"
