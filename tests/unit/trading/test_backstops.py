"""What should rest on the exchange follows from the trackers alone."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bitcoin
from trading.backstops import Place, Withdraw, growing, plan
from trading.domain.money import ZERO
from trading.domain.order import (
    Attempt,
    AttemptState,
    Intent,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = {"BTC/USDT": bitcoin()}
SPEC = TrackerSpec(
    TrackerKind.STOP,
    "BTC/USDT",
    Amount(AmountKind.ALL),
    level=Decimal(58000),
    backstop=Decimal("50000.009"),
)


def waiting(number: int = 1, quantity: str = "0.5", **changes: object) -> Tracker:
    tracker = Tracker(
        number, SPEC, 7, Side.SELL, TrackerState.WATCHING, AT, quantity=Decimal(quantity)
    )
    return replace(tracker, **changes)  # type: ignore[arg-type]


def rests(number: int = 1, quantity: str = "0.5", stop: str = "50000.00") -> Intent:
    return Intent(
        f"b{number}",
        "BTC/USDT",
        Side.SELL,
        Purpose.BACKSTOP,
        Decimal(stop),
        AT,
        quantity=Decimal(quantity),
        tracker_id=number,
        stop_price=Decimal(stop),
    )


def test_none_is_placed_beside_one_that_may_still_sell_coins_of_its_market() -> None:
    for number in (1, 2):
        assert plan([waiting(number)], [], RULES, (), {"BTC/USDT"}) == []
    # What rests stays.
    assert plan([waiting(), waiting(2)], [rests()], RULES, (), {"BTC/USDT"}) == []
    assert len(plan([waiting()], [], RULES, (), {"ETH/USDT"})) == 1


def test_a_tracker_that_wants_one_gets_it_on_the_exchanges_grid() -> None:
    [place] = plan([waiting()], [], RULES, ())
    assert isinstance(place, Place)
    assert (place.quantity, place.stop_price) == (Decimal("0.5"), Decimal("50000.00"))


def test_what_rests_as_wanted_is_left_alone() -> None:
    assert plan([waiting()], [rests()], RULES, ()) == []


def test_one_that_differs_is_withdrawn_first_and_placed_the_next_time() -> None:
    for other in (rests(quantity="0.6"), rests(stop="49000")):
        assert plan([waiting()], [other], RULES, ()) == [Withdraw("b1", "its tracker has changed")]


def test_none_is_wanted_without_a_wish_a_waiting_sale_or_an_amount_that_can_be_sold() -> None:
    silent = replace(waiting(), spec=replace(SPEC, backstop=None))
    buying = waiting(side=Side.BUY)
    dust = waiting(quantity="0.00001")
    unlisted = replace(waiting(), spec=replace(SPEC, symbol="OLD/USDT"))
    for tracker in (silent, buying, dust, unlisted):
        assert plan([tracker], [], RULES, ()) == []


def test_a_sale_by_a_person_keeps_the_coins_free_until_it_is_done() -> None:
    assert plan([waiting()], [], RULES, {"BTC/USDT"}) == []
    assert [type(act) for act in plan([waiting()], [rests()], RULES, {"BTC/USDT"})] == [Withdraw]


def test_what_has_fired_is_left_to_its_exit_and_what_has_ended_is_withdrawn() -> None:
    for state in (TrackerState.TRIGGERED, TrackerState.EXITING, TrackerState.BLOCKED):
        assert plan([waiting(state=state)], [rests()], RULES, ()) == []
        assert plan([waiting(state=state)], [], RULES, ()) == []
    assert [type(act) for act in plan([], [rests()], RULES, ())] == [Withdraw]


trackers = st.lists(
    st.builds(
        waiting,
        number=st.integers(1, 5),
        quantity=st.sampled_from(["0", "0.00001", "0.2", "0.5"]),
        state=st.sampled_from(list(TrackerState)),
        side=st.sampled_from(list(Side)),
    ),
    unique_by=lambda tracker: tracker.tracker_id,
)
resting = st.lists(
    st.builds(rests, number=st.integers(1, 7), quantity=st.sampled_from(["0.2", "0.5"])),
    unique_by=lambda intent: intent.tracker_id,
)


@given(trackers, resting, st.sampled_from([(), ("BTC/USDT",)]))
def test_two_rounds_bring_everything_in_line_and_never_two_per_tracker(
    live: list[Tracker], there: list[Intent], busy: tuple[str, ...]
) -> None:
    for _ in range(2):
        acts = plan(live, there, RULES, busy)
        gone = {act.intent_id for act in acts if isinstance(act, Withdraw)}
        there = [intent for intent in there if intent.intent_id not in gone]
        there += [
            rests(act.tracker.tracker_id, str(act.quantity), str(act.stop_price))
            for act in acts
            if isinstance(act, Place)
        ]
        numbers = [intent.tracker_id for intent in there]
        assert len(set(numbers)) == len(numbers)
    assert plan(live, there, RULES, busy) == []
    known = {tracker.tracker_id: tracker for tracker in live}
    for intent in there:
        tracker = known[intent.tracker_id or 0]
        assert tracker.state.is_acting or (tracker.state.is_waiting and tracker.quantity > ZERO)


def cut_to(held: str, intent: Intent, state: AttemptState = AttemptState.OPEN) -> Attempt:
    request = OrderRequest(
        "u-1", intent.symbol, Side.SELL, OrderType.STOP_LOSS, Decimal(held), None
    )
    return Attempt(intent.intent_id, 1, request, state, AT)


def test_those_that_were_cut_grow_as_far_as_what_is_free_goes_round() -> None:
    one, two = rests(1, "0.5"), rests(2, "0.4")
    orders = [
        (waiting(), one, cut_to("0.2", one)),
        (waiting(2, "0.4"), two, cut_to("0.3", two)),
    ]
    for free, grown in (("0.09", ""), ("0.1", "b2"), ("0.3", "b1"), ("0.4", "b1 b2")):
        found = growing(orders, {"BTC": Decimal(free)}, RULES)
        assert found == frozenset(grown.split())
    assert (
        growing([(waiting(), one, cut_to("0.5", one))], {"BTC": Decimal(9)}, RULES) == frozenset()
    )
    # One that has begun to sell, or whose cancel is asked for, is left as it is.
    for state in (AttemptState.PARTIAL, AttemptState.PENDING_CANCEL):
        assert (
            growing([(waiting(), one, cut_to("0.2", one, state))], {"BTC": Decimal(9)}, RULES)
            == frozenset()
        )


def test_one_that_may_grow_is_withdrawn_and_placed_the_next_time() -> None:
    withdrawn = [Withdraw("b1", "more of its coins are free")]
    assert plan([waiting()], [rests()], RULES, (), (), {"b1"}) == withdrawn


def test_one_whose_tracker_owns_more_stays_until_it_may_grow() -> None:
    old = rests(quantity="0.4")
    assert plan([waiting()], [old], RULES, ()) == []
    assert plan([waiting()], [old], RULES, (), (), {"b1"}) == [
        Withdraw("b1", "more of its coins are free")
    ]


def test_no_more_is_wanted_than_one_order_takes() -> None:
    rules = {"BTC/USDT": replace(bitcoin(), market_quantity_max=Decimal("0.2"))}
    [place] = plan([waiting()], [], rules, ())
    assert isinstance(place, Place)
    assert place.quantity == Decimal("0.2")
    assert plan([waiting()], [rests(quantity="0.2")], rules, ()) == []
