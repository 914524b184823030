"""The sanity gate: bad ticks and true crashes under the same settings."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from tests.unit.trading.market.make import d, quote, trade
from trading.domain.market import MarketTrade, PriceSource, Quote
from trading.market.sanity import SanityGate
from trading.market.settings import SanitySettings

_REST = PriceSource.REST


@pytest.fixture
def gate() -> SanityGate:
    """A gate that has seen a print at 100 in a book of 99.9 and 100.1."""
    gate = SanityGate(SanitySettings())
    assert gate.take_quote(quote("99.9", "100.1"))
    assert gate.take_trade(trade(100))
    return gate


def _released(gate: SanityGate) -> list[object]:
    return [
        item.price if isinstance(item, MarketTrade) else (item.bid, item.ask)
        for item in gate.released
    ]


@pytest.mark.fault("W13", "SAID")
@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-5"])
def test_a_price_that_is_none_is_dropped_and_counted(gate: SanityGate, price: str) -> None:
    assert not gate.take_trade(trade(price, 1))
    assert (gate.quarantined, gate.is_holding()) == (1, False)
    fired(gate.quarantined, words=price)


@pytest.mark.fault("W13", "SAID")
@pytest.mark.parametrize(
    ("bid", "ask"), [("NaN", "1"), ("1", "Infinity"), ("0", "1"), ("101", "100"), ("100", "100")]
)
def test_a_book_that_is_none_or_crossed_is_dropped(gate: SanityGate, bid: str, ask: str) -> None:
    assert not gate.take_quote(quote(bid, ask, 1))
    assert (gate.quarantined, gate.is_holding()) == (1, False)
    fired(gate.quarantined, words=f"{bid} / {ask}")


@pytest.mark.fault("W13", "SAID")
@pytest.mark.parametrize("price", ["1", "1000000000", "94"])
def test_w13_a_single_bad_print_never_passes_while_the_book_stays(
    gate: SanityGate, price: str
) -> None:
    assert not gate.take_trade(trade(price, 1))
    gate.take_quote(quote("99.9", "100.1", 1.4))
    gate.poll(1003.0)
    assert _released(gate) == []
    assert [item.trade.price for item in gate.dropped] == [d(price)]
    fired(gate.dropped)


def test_a_print_that_is_not_too_far_away_passes(gate: SanityGate) -> None:
    assert gate.take_trade(trade("104.9", 1))


@pytest.mark.fault("W13", "SAID")
def test_w13_a_single_bad_print_never_passes_while_prints_go_on(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(1, 1))
    assert gate.take_trade(trade("100.05", 1.1))
    gate.poll(1003.0)
    assert _released(gate) == []
    assert gate.dropped[0].contradicted_by == "a newer print"
    fired(gate.dropped)


@pytest.mark.fault("W14", "SAID")
def test_w14_a_true_crash_is_believed_with_its_second_print(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert gate.take_trade(trade("49.5", 1.05))
    assert _released(gate) == [50]
    assert gate.take_trade(trade(48, 1.1))
    fired(_released(gate))


@pytest.mark.fault("W14", "SAID")
def test_w14_a_true_crash_is_believed_when_the_book_agrees(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert gate.take_quote(quote("49.9", "50.1", 1.02))
    assert _released(gate) == [50]
    fired(_released(gate))


def test_w14_a_crash_that_the_book_shows_first_is_believed_with_its_print(gate: SanityGate) -> None:
    assert not gate.take_quote(quote("49.9", "50.1", 1))
    assert gate.take_trade(trade(50, 1.02))
    assert _released(gate) == [(d("49.9"), d("50.1"))]


def test_w14_a_true_crash_is_believed_when_rest_agrees(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert gate.take_trade(trade(50, 1, source=_REST))
    assert _released(gate) == [50]


@pytest.mark.fault("W14", "SAID")
def test_w14_a_true_crash_that_nothing_contradicts_is_believed_within_its_time(
    gate: SanityGate,
) -> None:
    assert not gate.take_trade(trade(50, 1))
    due_s = gate.due_s()
    assert due_s == 1002.5
    gate.poll(1002.49)
    assert _released(gate) == []
    gate.poll(due_s)
    assert _released(gate) == [50]
    assert gate.due_s() is None
    fired(gate.released)


def test_a_book_that_was_on_its_way_when_the_print_was_made_proves_nothing(
    gate: SanityGate,
) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert gate.take_quote(quote("99.9", "100.1", 1.05))
    assert gate.is_holding()
    assert gate.take_quote(quote("49.9", "50.1", 1.2))
    assert _released(gate) == [50]


def test_a_print_that_is_older_than_the_held_one_does_not_contradict_it(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert gate.take_trade(trade(100, 1.1, event_s=0.9))
    assert gate.is_holding()


def test_the_same_print_delivered_twice_is_not_a_second_one(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(50, 1))
    assert not gate.take_trade(trade(50, 1, event_s=1))
    assert gate.is_holding()


def test_a_falling_knife_that_no_two_prints_agree_on_is_believed_after_its_time(
    gate: SanityGate,
) -> None:
    for number, price in enumerate((85, 70, 55)):
        assert not gate.take_trade(trade(price, 1 + number / 10))
    gate.poll(1002.5)
    assert _released(gate) == [85, 70, 55]


def test_garbage_on_the_other_side_is_dropped_when_a_crash_is_believed(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(900, 1))
    assert not gate.take_trade(trade(50, 1.1))
    assert gate.take_trade(trade(51, 1.2))
    assert _released(gate) == [50]
    assert [item.trade.price for item in gate.dropped] == [900]


@pytest.mark.fault("M03", "TELL")
def test_a_wick_within_the_bounds_passes_and_one_beyond_is_held_and_told(gate: SanityGate) -> None:
    assert gate.take_trade(trade(95, 1))
    assert gate.take_trade(trade(100, 1.1))
    assert not gate.take_trade(trade(10, 1.2))
    assert gate.take_trade(trade(100, 1.4))
    assert [item.trade.price for item in gate.dropped] == [10]
    fired(gate.dropped)


def test_a_jump_of_the_book_alone_is_held_until_its_time(gate: SanityGate) -> None:
    assert not gate.take_quote(quote(79, 81, 1))
    assert not gate.take_quote(quote(79, 81, 1.1)), "one source repeating itself is no second one"
    gate.poll(1002.5)
    assert _released(gate) == [(79, 81)]
    assert gate.reference == 80


def test_a_jump_of_the_book_is_believed_when_rest_agrees(gate: SanityGate) -> None:
    assert not gate.take_quote(quote(79, 81, 1))
    assert gate.take_quote(quote(79, 81, 1.1, source=_REST))


def test_a_flicker_of_the_book_is_dropped_by_the_next_book_or_print(gate: SanityGate) -> None:
    assert not gate.take_quote(quote("0.01", "100.1", 1))
    assert gate.take_quote(quote("99.9", "100.1", 1.1))
    assert not gate.is_holding()
    assert not gate.take_quote(quote("0.01", "100.1", 2))
    assert gate.take_trade(trade(100, 2.1))
    assert not gate.is_holding()


def test_a_book_that_the_prints_have_left_behind_is_no_measure_any_more(gate: SanityGate) -> None:
    assert not gate.take_trade(trade(94, 1))
    assert gate.take_trade(trade("93.9", 1.1))
    assert gate.take_trade(trade(90, 1.2))


def test_without_a_book_ten_percent_are_the_bound() -> None:
    gate = SanityGate(SanitySettings())
    assert gate.take_trade(trade(100))
    assert gate.take_trade(trade("90.1", 1))
    assert not gate.take_trade(trade(80, 2))


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-5"])
def test_a_book_in_the_calm_with_a_price_that_is_none_is_dropped_and_counted(
    gate: SanityGate, side: str, price: str
) -> None:
    assert gate.take_trade(trade(100, 0.5))
    assert gate.take_quote(quote("99.9", "100.1", 0.6))
    bid, ask = (price, "100.1") if side == "bid" else ("99.9", price)
    assert not gate.take_quote(quote(bid, ask, 1))
    assert (gate.quarantined, gate.is_holding()) == (1, False)


def test_a_decision_price_moves_the_reference(gate: SanityGate) -> None:
    gate.refer(d(120))
    assert not gate.take_quote(quote(99, 101, 1))
    assert gate.take_quote(quote(119, 121, 1))


def test_the_gate_remembers_only_so_many_held_prints() -> None:
    gate = SanityGate(SanitySettings(held_max=3))
    gate.take_trade(trade(100))
    for number in range(9):
        assert not gate.take_trade(trade(200 * 2**number, 1 + number / 10))
    assert len(gate.held) == 3


_messages = st.lists(
    st.tuples(st.sampled_from(["50", "99", "100", "101", "150", "1e9"]), st.booleans()), max_size=40
)


@given(_messages)
def test_the_gate_delays_and_never_swallows(messages: list[tuple[str, bool]]) -> None:
    gate = SanityGate(SanitySettings())
    gate.take_trade(trade(100))
    told = believed = 0
    for number, (price, is_print) in enumerate(messages, start=1):
        at_s = number / 5
        if is_print:
            believed += gate.take_trade(trade(price, at_s))
        else:
            value = Decimal(price)
            gate.take_quote(quote(value * d("0.999"), value * d("1.001"), at_s))
        gate.poll(1000 + at_s)
    gate.poll(2000.0)
    told = len(gate.dropped) + len([x for x in gate.released if not isinstance(x, Quote)])
    assert believed + told == sum(is_print for _, is_print in messages)
    assert not gate.is_holding()


_steps = st.tuples(
    st.sampled_from(["print", "book", "wide", "refer", "poll"]),
    # Mostly small moves with rare jumps, by which the gate leaves the calm and finds it again.
    st.one_of(st.integers(-60, 60), st.integers(-60, 60), st.integers(-1500, 1500)),
)


class _Restless(SanityGate):
    """A gate that never finds its calm: each price is judged by a new band."""

    def _settle(self, reference: Decimal) -> None:
        del reference


def _set_middle(gate: SanityGate, middle: Decimal) -> None:
    if isinstance(gate, _Restless):
        gate.refer(middle)
    else:
        gate.reference = middle


@given(st.lists(_steps, max_size=60))
def test_the_calm_of_the_gate_changes_no_verdict(steps: list[tuple[str, int]]) -> None:
    gates = [SanityGate(SanitySettings()), _Restless(SanitySettings())]
    price = Decimal(100)
    for number, (kind, move) in enumerate(steps):
        price = max(price * (1 + Decimal(move) / 10_000), Decimal("0.01"))
        at_s = number * 0.2
        said: list[object] = []
        for gate in gates:
            verdict: object = None
            if kind == "print":
                verdict = gate.take_trade(trade(price, at_s))
            elif kind in {"book", "wide"}:
                half = price * (Decimal("0.0005") if kind == "book" else Decimal("0.03"))
                book = quote(price - half, price + half, at_s)
                verdict = gate.take_quote(book)
                if verdict and move % 2:
                    # A middle that decides: what was set is the same as what was looked at.
                    _set_middle(gate, book.mid)
            elif kind == "refer" and gate.reference is not None:
                gate.refer(price)
            elif kind == "poll":
                gate.poll(1000.0 + at_s)
            said.append(
                (
                    verdict,
                    gate.reference,
                    gate.held,
                    gate.held_quote,
                    gate.quarantined,
                    gate.released,
                    gate.dropped,
                )
            )
        assert said[0] == said[1]
