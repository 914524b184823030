"""Whose coins, whose money: slices never overlap, and refusals name who owns the rest."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOON
from tests.unit.trading.trackers.make import BTC, armed, d, with_spec
from trading import decide
from trading.decide import DecisionSettings
from trading.domain.errors import Refused
from trading.domain.order import Side
from trading.domain.tracker import Amount, AmountKind, Tracker, TrackerKind, TrackerState
from trading.trackers import slices
from trading.trackers.slices import Holdings, Slice

_ALL = Amount(AmountKind.ALL)
_PRICE = d(60000)


def _stop(number: int, quantity: object, amount: Amount = _ALL) -> Tracker:
    stop = replace(armed(TrackerKind.STOP, 60000, number, level=58000), quantity=d(quantity))
    return with_spec(stop, amount=amount)


def _sell(amount: Amount, holdings: Holdings, *others: Tracker) -> Slice:
    return slices.allocate(amount, Side.SELL, holdings, others, BTC, _PRICE)


def _buy(amount: Amount, free: object, *others: Tracker) -> Slice:
    return slices.allocate(amount, Side.BUY, Holdings(quote_free=d(free)), others, BTC, _PRICE)


@pytest.mark.parametrize(
    ("amount", "quantity"),
    [
        (_ALL, "0.7"),
        (Amount(AmountKind.SHARE, d("0.5")), "0.35"),
        (Amount(AmountKind.BASE, d("0.123456789")), "0.12345"),
        (Amount(AmountKind.QUOTE, d(6000)), "0.1"),
    ],
)
def test_an_amount_becomes_a_quantity_on_the_step(amount: Amount, quantity: str) -> None:
    assert _sell(amount, Holdings(d("0.5"), d("0.2"))).quantity == d(quantity)


def test_coins_that_were_not_under_care_come_under_it() -> None:
    assert _sell(_ALL, Holdings(d("0.5"), d("0.2"))).adopted == d("0.2")
    assert _sell(Amount(AmountKind.BASE, d("0.3")), Holdings(d("0.5"), d("0.2"))).adopted == 0
    half = _sell(Amount(AmountKind.BASE, d("0.2")), Holdings(d("0.5"), d("0.2")), _stop(1, "0.4"))
    assert half.adopted == d("0.1")


def test_a_second_all_gets_what_is_left() -> None:
    assert _sell(_ALL, Holdings(d("0.5"), d(0)), _stop(3, "0.3")).quantity == d("0.2")


def test_a_second_all_with_nothing_left_is_refused_and_names_the_first() -> None:
    with pytest.raises(Refused, match=r"all 0.5 BTC already belong to #3"):
        _sell(_ALL, Holdings(d("0.5"), d(0)), _stop(3, "0.5"))


def test_more_than_is_left_is_refused_with_what_is_left_and_who_owns_the_rest() -> None:
    with pytest.raises(Refused, match=r"at most 0.2 BTC, was 0.4 BTC, #3 #4 own the rest"):
        _sell(
            Amount(AmountKind.BASE, d("0.4")),
            Holdings(d("0.5"), d(0)),
            _stop(3, "0.1"),
            _stop(4, "0.2"),
        )
    with pytest.raises(Refused, match=r"at most 0.5 BTC, was 0.6 BTC$"):
        _sell(Amount(AmountKind.BASE, d("0.6")), Holdings(d("0.5"), d(0)))


def test_what_was_typed_in_the_other_unit_is_told_as_typed_and_what_it_comes_to() -> None:
    # 40000 / 60000 has no end.
    with pytest.raises(Refused, match=r"at most 0\.5 BTC, was 40000 USDT \(0\.66666667 BTC\)$"):
        _sell(Amount(AmountKind.QUOTE, d(40_000)), Holdings(d("0.5")))
    with pytest.raises(Refused, match=r"at most 1000 USDT, was 0\.5 BTC \(30000 USDT\)$"):
        _buy(Amount(AmountKind.BASE, d("0.5")), 1000)
    with pytest.raises(Refused, match=r"^0\.0001 USDT is too small to buy with"):
        _buy(Amount(AmountKind.BASE, d("0.000000001666666666666")), 1000)


def test_a_number_that_was_read_as_coins_and_may_have_meant_money_is_offered_as_money() -> None:
    with pytest.raises(Refused, match=r"was 500 BTC$") as refused:
        _sell(Amount(AmountKind.BASE, d(500)), Holdings(d("0.5")))
    assert refused.value.example == "500 USDT"
    with pytest.raises(Refused, match=r"was 500 BTC \(30000000 USDT\)$") as refused:
        _buy(Amount(AmountKind.BASE, d(500)), 1000)
    assert refused.value.example == "500 USDT"
    # That is more than there is in either unit.
    with pytest.raises(Refused, match=r"was 50000 BTC$") as refused:
        _sell(Amount(AmountKind.BASE, d(50_000)), Holdings(d("0.5")))
    assert refused.value.example == "0.5"


def test_ended_trackers_own_nothing() -> None:
    ended = replace(_stop(3, "0.5"), state=TrackerState.CLOSED)
    assert _sell(_ALL, Holdings(d("0.5"), d(0)), ended).quantity == d("0.5")


@pytest.mark.parametrize(
    ("amount", "rule"),
    [
        (
            Amount(AmountKind.BASE, d("0.00008")),
            "0.00008 BTC, worth 4.8 USDT, is too small to sell: .* from 5 USDT on",
        ),
        (Amount(AmountKind.QUOTE, d(1)), "^0.00001667 BTC, worth 1 USDT, is too small"),
        (
            Amount(AmountKind.BASE, d("0.000000001")),
            "^0.000000001 BTC, worth 0.00006 USDT, is too small",
        ),
        (Amount(AmountKind.BASE, d(0)), "above 0, was 0"),
        (Amount(AmountKind.SHARE, d("1.5")), "at most 100%, was 150%"),
    ],
)
def test_an_amount_that_cannot_be_sold_is_refused(amount: Amount, rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        _sell(amount, Holdings(d(1), d(0)))


def test_an_empty_account_is_told_that_it_holds_none() -> None:
    with pytest.raises(Refused, match="the account holds none"):
        _sell(_ALL, Holdings())


@pytest.mark.parametrize(
    ("amount", "quote"),
    [
        (_ALL, 1000),
        (Amount(AmountKind.QUOTE, d(500)), 500),
        (Amount(AmountKind.SHARE, d("0.25")), 250),
        (Amount(AmountKind.BASE, d("0.01")), 600),
    ],
)
def test_a_buy_reserves_money(amount: Amount, quote: int) -> None:
    assert _buy(amount, 1000) == Slice(quote=d(quote))


def test_the_money_that_is_left_is_offered_rounded_down_to_two_places() -> None:
    with pytest.raises(Refused, match=r"at most 1000.98 USDT, was 2000") as caught:
        _buy(Amount(AmountKind.QUOTE, d(2000)), d("1000.9876543"))
    assert caught.value.example == "1000.98 USDT"


def test_money_is_reserved_once() -> None:
    first = armed(TrackerKind.DIP, 60000, 5, level=55000, trail="0.01")
    assert _buy(_ALL, 1000, first).quote == 500
    with pytest.raises(Refused, match=r"at most 500 USDT, was 600 USDT, #5 own the rest"):
        _buy(Amount(AmountKind.QUOTE, d(600)), 1000, first)
    with pytest.raises(Refused, match="too small to buy with"):
        _buy(Amount(AmountKind.QUOTE, d(4)), 1000)


def _proposed(sell: Callable[[], Slice]) -> str | None:
    with pytest.raises(Refused) as refused:
        sell()
    return refused.value.example


def test_a_refused_amount_comes_with_what_to_send_instead() -> None:
    tiny, half = Amount(AmountKind.BASE, d("0.00008")), Holdings(d("0.5"), d(0))
    assert _proposed(lambda: _sell(tiny, half)) == "0.00016"
    assert _sell(Amount(AmountKind.BASE, d("0.00016")), half).quantity == d("0.00016")
    little = Holdings(d("0.00012"), d(0))
    assert _proposed(lambda: _sell(tiny, little)) == "all"
    assert _sell(_ALL, little).quantity == d("0.00012")
    assert _proposed(lambda: _buy(Amount(AmountKind.QUOTE, d(4)), 1000)) == "10 USDT"
    assert _buy(Amount(AmountKind.QUOTE, d(10)), 1000).quote == 10


@pytest.mark.parametrize("left", ["0", "0.00000001", "0.00008"])
def test_where_what_is_left_is_no_order_who_owns_the_rest_is_to_give_up_half(left: str) -> None:
    holdings = Holdings(d("0.5") + d(left), d(0))
    owners = (_stop(3, "0.1"), _stop(4, "0.4"))
    for amount in (_ALL, Amount(AmountKind.BASE, d("0.1")), Amount(AmountKind.SHARE, d("0.5"))):
        with pytest.raises(Refused, match=r"^all .*already belong to #3 #4") as refused:
            _sell(amount, holdings, *owners)
        assert refused.value.example == "/tracker 4 amount 0.2"
    assert _sell(Amount(AmountKind.BASE, d("0.2")), holdings, owners[0]).quantity == d("0.2")


def test_an_owner_of_too_little_to_be_halved_is_shown() -> None:
    little = Holdings(d("0.00012"), d(0))
    assert _proposed(lambda: _sell(_ALL, little, _stop(3, "0.00012"))) == "/tracker 3"


def test_of_money_the_owner_of_the_rest_is_to_give_up_half_in_its_unit() -> None:
    first = replace(armed(TrackerKind.DIP, 60000, 5, level=55000, trail="0.01"), quote=d("999.99"))
    hundred = Amount(AmountKind.QUOTE, d(100))
    assert _proposed(lambda: _buy(hundred, 1000, first)) == "/tracker 5 amount 499.99 quote"


def test_more_than_an_account_with_too_little_holds_is_told_that_no_amount_would_do() -> None:
    dust = Holdings(d("0.00008"), d(0))
    for amount in (_ALL, Amount(AmountKind.BASE, d("0.5"))):
        with pytest.raises(Refused) as refused:
            _sell(amount, dust)
        assert str(refused.value) == (
            "no amount can be offered: 0.00008 BTC are all there is, too small for an order: the "
            "exchange takes at least 0.00001 BTC, and from 5 USDT on"
        )


def test_where_no_amount_would_do_the_balance_is_what_to_look_at() -> None:
    assert _proposed(lambda: _sell(_ALL, Holdings())) == "/balance"
    assert _proposed(lambda: _sell(_ALL, Holdings(d("0.00008"), d(0)))) == "/balance"
    assert _proposed(lambda: _buy(_ALL, 4)) == "/balance"


@given(
    st.lists(
        st.sampled_from(
            [_ALL, Amount(AmountKind.SHARE, d("0.3")), Amount(AmountKind.BASE, d("0.2"))]
        ),
        max_size=8,
    ),
    st.decimals("0", "2", places=5),
    st.decimals("0", "2", places=5),
)
def test_slices_never_sum_to_more_than_there_is(
    amounts: list[Amount], managed: Decimal, unmanaged: Decimal
) -> None:
    trackers: list[Tracker] = []
    care = managed
    for number, amount in enumerate(amounts, start=1):
        holdings = Holdings(care, managed + unmanaged - care)
        try:
            owned = _sell(amount, holdings, *trackers)
        except Refused:
            continue
        care += owned.adopted
        trackers.append(_stop(number, owned.quantity, amount))
    total = slices.to_sell(trackers, BTC.symbol)
    assert total <= care <= managed + unmanaged


@pytest.mark.parametrize(
    ("wanted", "owned"), [(None, "0.7"), ("0.4", "0.7"), ("0.1", "0.4"), ("0", "0.3")]
)
def test_a_stop_that_fired_owns_no_more_than_its_exit_wants(wanted: str | None, owned: str) -> None:
    fired = replace(_stop(1, "0.4"), state=TrackerState.BLOCKED)
    exit_ = decide.on_trigger(fired, _PRICE, NOON, DecisionSettings())
    exits = [] if wanted is None else [replace(exit_, quantity=d(wanted))]
    assert slices.owned([fired, _stop(2, "0.3")], BTC.symbol, exits) == d(owned)


def test_shrinkage_takes_from_the_youngest_first() -> None:
    first, second = _stop(1, "0.3"), _stop(2, "0.2")
    changed = slices.resize([second, first], d("0.35"), BTC)
    assert [(t.tracker_id, t.quantity) for t in changed] == [(2, d("0.05"))]
    changed = slices.resize([first, second], d("0.1"), BTC)
    assert [(t.tracker_id, t.quantity) for t in changed] == [(1, d("0.1")), (2, d(0))]


def test_growth_goes_to_the_oldest_that_owns_all() -> None:
    half = _stop(1, "0.25", Amount(AmountKind.SHARE, d("0.5")))
    rest, late = _stop(2, "0.25"), _stop(3, "0")
    changed = slices.resize([half, rest, late], d(1), BTC)
    assert [(t.tracker_id, t.quantity) for t in changed] == [(2, d("0.75"))]


def test_nothing_grows_by_what_a_purchase_of_a_tracker_has_bought_and_shrinkage_minds_it_not() -> (
    None
):
    rest = _stop(1, "0.5")
    assert slices.resize([rest], d("0.52"), BTC, d("0.02")) == []
    changed = slices.resize([rest], d("0.53"), BTC, d("0.02"))
    assert [one.quantity for one in changed] == [d("0.51")]
    assert slices.resize([rest], d("0.51"), BTC, d("0.02")) == []


@given(
    sizes=st.lists(st.decimals("0.0001", 1, places=4), min_size=1, max_size=5),
    kinds=st.lists(st.sampled_from([AmountKind.SHARE, AmountKind.BASE]), min_size=5, max_size=5),
    fired=st.integers(0, 4),
    more=st.decimals(0, 1, places=4),
)
def test_a_slice_stays_what_was_confirmed_while_its_coins_are_there(
    sizes: list[Decimal], kinds: list[AmountKind], fired: int, more: Decimal
) -> None:
    trackers = [
        _stop(number, str(size), Amount(kind, size))
        for number, (size, kind) in enumerate(zip(sizes, kinds, strict=False), start=1)
    ]
    # Whatever sells its own slice, or is bought besides, leaves the others theirs.
    left = [one for one in trackers if one.tracker_id != fired]
    managed = sum((one.quantity for one in left), more)
    assert slices.resize(left, managed, BTC) == []


def test_what_has_fired_keeps_its_slice() -> None:
    fired = replace(_stop(1, "0.3"), state=TrackerState.EXITING)
    waiting = _stop(2, "0.2")
    changed = slices.resize([fired, waiting], d("0.4"), BTC)
    assert [(t.tracker_id, t.quantity) for t in changed] == [(2, d("0.1"))]


def test_buys_have_no_coins_to_resize() -> None:
    dip = armed(TrackerKind.DIP, 60000, level=55000, trail="0.01")
    assert slices.resize([dip], d(1), BTC) == []
