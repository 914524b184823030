"""Reports may come late, twice and in any order: the end is the same, and fills are a set."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.catalogue import fired
from trading.domain.order import (
    Attempt,
    AttemptState,
    Fill,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
)
from trading.execution.lifecycle import TRANSITIONS, Observed, advance, merge, next_state

REQUEST = OrderRequest(
    "uxaaaaaaaaaaaaaaaa-1", "BTC/USDT", Side.SELL, OrderType.MARKET, Decimal("0.5")
)


def attempt(state: AttemptState = AttemptState.SENT) -> Attempt:
    return Attempt("tracker:1:1", 1, REQUEST, state, builders.NOON)


def report(
    status: OrderStatus, filled: str = "0", second: int = 0, fills: tuple[Fill, ...] = ()
) -> OrderReport:
    return OrderReport(
        REQUEST.client_order_id,
        "77",
        "BTC/USDT",
        Side.SELL,
        status,
        Decimal("0.5"),
        Decimal(filled),
        None,
        fills,
        builders.NOON + timedelta(seconds=second),
    )


def test_every_state_knows_what_a_report_means() -> None:
    seen = [each for each in Observed if each.name.startswith("SEEN")]
    for state, observed in product(AttemptState, seen):
        assert (state, observed) in TRANSITIONS


@pytest.mark.parametrize(
    "state", [AttemptState.OPEN, AttemptState.PARTIAL, AttemptState.PENDING_CANCEL]
)
def test_a_refusal_of_what_was_seen_changes_nothing(state: AttemptState) -> None:
    assert next_state(state, Observed.REFUSED) is state


def test_only_unknown_becomes_absent() -> None:
    allowed = [state for state, seen in TRANSITIONS if seen is Observed.ABSENCE_PROVED]
    assert allowed == [AttemptState.UNKNOWN]


def test_no_end_ever_opens_again_but_an_absent_one() -> None:
    for (state, _), found in TRANSITIONS.items():
        if state.is_terminal and state is not AttemptState.ABSENT:
            assert found.is_terminal


def test_an_observation_that_cannot_be_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="state filled should not see sending"):
        next_state(AttemptState.FILLED, Observed.SENDING)


def test_an_observation_that_changes_nothing_returns_the_same_attempt() -> None:
    unknown = attempt(AttemptState.UNKNOWN)
    assert advance(unknown, Observed.LOST, "again") is unknown
    assert advance(attempt(), Observed.LOST, "gone").reason == "gone"


def test_an_open_order_with_fills_is_partial_and_keeps_its_id() -> None:
    merged = merge(attempt(), report(OrderStatus.NEW, "0.1"), {})
    assert merged.attempt.state is AttemptState.PARTIAL
    assert merged.attempt.exchange_order_id == "77"
    again = merge(merged.attempt, report(OrderStatus.NEW, "0"), {})
    assert not again.is_changed
    assert again.attempt.filled_quantity == Decimal("0.1")


def test_an_open_order_without_fills_is_open() -> None:
    merged = merge(attempt(), report(OrderStatus.NEW), {})
    assert merged.attempt.state is AttemptState.OPEN
    assert merged.is_changed
    assert not merged.is_late
    assert not merged.is_contradiction


def test_an_order_keeps_the_id_that_it_was_first_seen_under() -> None:
    seen = merge(attempt(), report(OrderStatus.NEW), {}).attempt
    other = replace(report(OrderStatus.NEW, second=1), exchange_order_id="78")
    assert merge(seen, other, {}).attempt.exchange_order_id == "77"
    nameless = replace(report(OrderStatus.NEW), exchange_order_id="")
    assert merge(attempt(), nameless, {}).attempt.exchange_order_id is None


def test_the_reason_is_that_of_the_report_which_changed_the_state() -> None:
    told = replace(report(OrderStatus.EXPIRED, second=1), reason="no bids")
    expired = merge(replace(attempt(), reason="lost"), told, {}).attempt
    assert expired.reason == "no bids"
    # A repetition, or an end that was overtaken, changes nothing and explains nothing.
    late = replace(report(OrderStatus.CANCELED), reason="by hand")
    assert merge(expired, late, {}).attempt.reason == "no bids"
    silent = merge(replace(attempt(), reason="lost"), report(OrderStatus.EXPIRED), {}).attempt
    assert silent.reason == "lost"


def test_fills_that_are_booked_count_even_when_a_report_says_less() -> None:
    one, two = FILLS[0], FILLS[1]
    merged = merge(attempt(), report(OrderStatus.NEW, "0.1", 0, (two,)), {one.trade_id: one})
    assert merged.attempt.filled_quantity == one.quantity + two.quantity == Decimal("0.2")
    assert merged.attempt.state is AttemptState.PARTIAL


ENDS = (OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.FILLED)


@pytest.mark.parametrize(("weak", "strong"), list(combinations(ENDS, 2)))
def test_of_two_ends_at_the_same_time_the_one_that_moved_coins_counts(
    weak: OrderStatus, strong: OrderStatus
) -> None:
    for first, second in ((weak, strong), (strong, weak)):
        ended = merge(attempt(), report(first), {}).attempt
        merged = merge(ended, report(second), {})
        assert merged.attempt.state.value == strong.value
        # Both say that the rest of the order is gone.
        is_one_end = {weak, strong} == {OrderStatus.EXPIRED, OrderStatus.CANCELED}
        assert merged.is_contradiction is not is_one_end


@pytest.mark.parametrize("status", ENDS)
def test_an_end_that_is_told_again_is_no_news(status: OrderStatus) -> None:
    ended = merge(attempt(), report(status, second=1), {}).attempt
    assert ended.reported_at == builders.NOON + timedelta(seconds=1)
    for second in (0, 1):
        again = merge(ended, report(status, second=second), {})
        assert again.attempt == ended
        assert not any((again.is_changed, again.is_late, again.is_contradiction))
    assert merge(ended, report(OrderStatus.NEW, second=2), {}).attempt == ended


def test_an_open_report_does_not_end_a_cancel() -> None:
    merged = merge(attempt(AttemptState.PENDING_CANCEL), report(OrderStatus.NEW), {})
    assert merged.attempt.state is AttemptState.PENDING_CANCEL


def test_a_report_of_an_absent_order_is_late() -> None:
    merged = merge(attempt(AttemptState.ABSENT), report(OrderStatus.FILLED, "0.5"), {})
    assert merged.is_late
    assert merged.attempt.state is AttemptState.FILLED


def test_of_two_ends_the_later_one_counts_and_the_contradiction_is_told() -> None:
    filled = merge(attempt(), report(OrderStatus.FILLED, "0.5", 1), {}).attempt
    earlier = merge(filled, report(OrderStatus.EXPIRED, "0.2", 0), {})
    assert (earlier.attempt.state, earlier.is_contradiction) == (AttemptState.FILLED, True)
    later = merge(filled, report(OrderStatus.EXPIRED, "0.2", 2), {})
    assert later.attempt.state is AttemptState.EXPIRED
    assert later.attempt.filled_quantity == Decimal("0.5")


@pytest.mark.fault("X36", "SAID")
def test_a_fill_counts_once_by_its_trade_id() -> None:
    one = builders.fill(quantity="0.2", trade_id="9")
    twice = report(OrderStatus.PARTIALLY_FILLED, "0.2", 0, (one, one))
    first = merge(attempt(), twice, {})
    assert first.fills == (one,)
    again = report(OrderStatus.PARTIALLY_FILLED, "0.2", 0, (one,))
    second = merge(first.attempt, again, {"9": one})
    assert second.fills == ()
    assert not second.is_changed
    fired(len(twice.fills + again.fills) - len(first.fills))


FILLS = tuple(replace(builders.fill(quantity="0.1"), trade_id=str(number)) for number in range(5))


@st.composite
def histories(draw: st.DrawFn) -> list[OrderReport]:
    """What a real order may report: growing fills, then one end, each with its own time."""
    steps = draw(st.integers(0, 5))
    found = [report(OrderStatus.NEW)] + [
        report(OrderStatus.PARTIALLY_FILLED, str(Decimal(number) / 10), number, FILLS[:number])
        for number in range(1, steps + 1)
    ]
    if draw(st.booleans()):
        ends = [OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.FILLED]
        end = draw(st.sampled_from(ends))
        found.append(report(end, str(Decimal(steps) / 10), steps + 1, FILLS[:steps]))
        if draw(st.booleans()):
            other = draw(st.sampled_from(ends))
            found.append(report(other, str(Decimal(steps) / 10), steps + 2))
    return found


def played(reports: list[OrderReport]) -> tuple[Attempt, set[str]]:
    now, known = attempt(AttemptState.UNKNOWN), {}
    for each in reports:
        merged = merge(now, each, known)
        assert merged.attempt.filled_quantity >= now.filled_quantity
        assert not now.state.is_terminal or merged.attempt.state.is_terminal
        for fill in merged.fills:
            assert fill.trade_id not in known
            known[fill.trade_id] = fill
        now = merged.attempt
    return now, set(known)


@pytest.mark.fault("W08", "SAID")
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_of_reports_ends_alike(reports, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = [*reports, *random.choices(reports, k=len(reports))]
    random.shuffle(shuffled)
    straight, fills = played(reports)
    mixed, mixed_fills = played(shuffled)
    assert (mixed.state, mixed.filled_quantity) == (straight.state, straight.filled_quantity)
    assert mixed_fills == fills
    fired(len(shuffled) - len(reports), words="reports came again")
