"""The next step: down in bounded limits, then the market; never past what a person said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.catalogue import fired
from tests.fakes.exchange import broken_filter
from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.market import Quote
from trading.domain.order import (
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
)
from trading.execution import ladder
from trading.execution.ladder import Block, BlockReason, Finish, Send, Sight
from trading.execution.settings import LadderSettings

SETTINGS = LadderSettings()
BTC = "BTC/USDT"


def quote(bid: str = "60000", ask: str = "60000.01") -> Quote:
    return Quote(BTC, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1), 0, 0.0)


NOW = quote()


def sale(**changes: object) -> Intent:
    intent = Intent(
        "tracker:1:1",
        BTC,
        Side.SELL,
        Purpose.PROTECT,
        Decimal(60_000),
        builders.NOON,
        quantity=Decimal("0.5"),
    )
    return replace(intent, **changes)  # type: ignore[arg-type]


def purchase(**changes: object) -> Intent:
    intent = Intent(
        "command:1:BTC/USDT",
        BTC,
        Side.BUY,
        Purpose.ENTRY,
        Decimal(60_000),
        builders.NOON,
        quote_budget=Decimal(1000),
    )
    return replace(intent, **changes)  # type: ignore[arg-type]


def tried(
    state: AttemptState, filled: str = "0", quantity: str = "0.5", price: str | None = "59700"
) -> Attempt:
    request = OrderRequest(
        "uxaaaaaaaaaaaaaaaa-1",
        BTC,
        Side.SELL,
        OrderType.LIMIT if price else OrderType.MARKET,
        Decimal(quantity),
        Decimal(price) if price else None,
        TimeInForce.IOC,
    )
    return Attempt("tracker:1:1", 1, request, state, builders.NOON, filled_quantity=Decimal(filled))


def step(
    intent: Intent,
    attempts: Sequence[Attempt] = (),
    *,
    at: Quote | None = NOW,
    available: str | None = None,
    instrument: Instrument | None = None,
    after_s: float = 0,
    is_band_refused: bool = False,
) -> ladder.Step:
    sight = Sight(
        intent,
        attempts,
        instrument or builders.bitcoin(),
        at,
        Decimal(available) if available is not None else None,
        builders.NOON + timedelta(seconds=after_s),
        is_band_refused,
    )
    return ladder.step(sight, SETTINGS)


EXPIRED = tried(AttemptState.EXPIRED)


def test_each_expired_order_moves_the_next_one_down_and_the_last_is_the_market() -> None:
    prices = []
    for ends in range(5):
        found = step(sale(), [EXPIRED] * ends)
        assert isinstance(found, Send)
        prices.append((found.order_type, found.price))
    assert prices == [
        (OrderType.LIMIT, Decimal("59700.00")),
        (OrderType.LIMIT, Decimal("59400.00")),
        (OrderType.LIMIT, Decimal("58800.00")),
        (OrderType.MARKET, None),
        (OrderType.MARKET, None),
    ]


def test_refused_and_absent_orders_move_nothing() -> None:
    attempts = [tried(AttemptState.REJECTED), tried(AttemptState.ABSENT)]
    assert ladder.rung(attempts) == 0
    assert ladder.rung([tried(AttemptState.FILLED, "0.5")]) == 0
    assert ladder.rung([tried(AttemptState.EXPIRED, "0.5")]) == 0


def test_the_print_that_fired_may_be_below_the_book_at_first() -> None:
    found = step(sale(reference_price=Decimal(59_000)))
    assert isinstance(found, Send)
    # 59,000 x 0.995
    assert found.price == Decimal("58705.00")


def test_what_is_left_is_sized_by_what_is_filled_and_available() -> None:
    found = step(sale(), [tried(AttemptState.EXPIRED, "0.123456")], available="0.300009")
    assert isinstance(found, Send)
    assert found.quantity == Decimal("0.30000")


@pytest.mark.fault("M05")
def test_less_than_a_step_is_done_and_less_than_the_minimum_is_dust() -> None:
    whole = step(sale(), [tried(AttemptState.FILLED, "0.5")])
    almost = step(sale(), [tried(AttemptState.EXPIRED, "0.499991")])
    assert whole == almost == Finish(IntentState.DONE, "")
    less = step(sale(), [tried(AttemptState.EXPIRED, "0.49995")])
    ends = [one.state for one in (whole, almost, less) if isinstance(one, Finish)]
    assert ends == [IntentState.DONE, IntentState.DONE, IntentState.DUST]
    fired(ends.count(IntentState.DUST))


def test_coins_that_are_not_free_block() -> None:
    found = step(sale(), available="0")
    assert found == Block(BlockReason.BALANCE, "0 of 0.5 BTC can be sold")


def test_a_closed_market_blocks_an_exit_and_ends_an_entry() -> None:
    closed = replace(builders.bitcoin(), status=InstrumentStatus.CANCEL_ONLY)
    found = step(sale(), instrument=closed)
    assert isinstance(found, Block)
    assert found.reason is BlockReason.MARKET
    ended = step(purchase(), instrument=closed)
    assert ended == Finish(IntentState.EXPIRED, "BTC/USDT takes no orders now")


def test_a_floor_bounds_every_step_and_blocks_below_it() -> None:
    floored = sale(slippage_max=Decimal("0.007"))
    # 60,000 x 0.993 = 59,580
    assert ladder.sale_floor(floored) == Decimal("59580.000")
    prices = []
    for ends in range(5):
        found = step(floored, [EXPIRED] * ends)
        assert isinstance(found, Send)
        prices.append(found.price)
    assert prices == [Decimal("59700.00"), *[Decimal("59580.00")] * 4]
    blocked = step(floored, at=quote("59579.99", "59580"))
    assert isinstance(blocked, Block)
    assert blocked.reason is BlockReason.FLOOR


def test_of_two_floors_the_higher_counts_and_it_is_rounded_up() -> None:
    intent = sale(limit_price=Decimal("59650.001"), slippage_max=Decimal("0.01"))
    found = step(intent, [EXPIRED] * 2)
    assert isinstance(found, Send)
    assert found.price == Decimal("59650.01")


def test_without_a_price_the_market_or_the_floor() -> None:
    found = step(sale(), at=None)
    assert isinstance(found, Send)
    assert found.order_type is OrderType.MARKET
    floored = step(sale(limit_price=Decimal(59_000)), at=None)
    assert isinstance(floored, Send)
    assert floored.price == 59_000


@pytest.mark.parametrize("ends", [0, 2, 5])
def test_without_bids_a_sale_waits_whatever_was_tried(ends: int) -> None:
    found = step(sale(), [EXPIRED] * ends, at=quote("0", "60000.01"))
    assert isinstance(found, Block)
    assert found.reason is BlockReason.BIDS
    floored = step(sale(slippage_max=Decimal("0.01")), at=quote("0", "0"))
    assert isinstance(floored, Block)
    assert floored.reason is BlockReason.BIDS
    # What is done is done, bids or none.
    done = step(sale(), [tried(AttemptState.FILLED, "0.5")], at=quote("0", "0"))
    assert done == Finish(IntentState.DONE, "")


def test_without_asks_a_purchase_ends() -> None:
    found = step(purchase(), at=quote("0", "0"))
    assert found == Finish(IntentState.EXPIRED, "no fresh price")


def test_orders_are_split_at_the_largest_size() -> None:
    intent = sale(quantity=Decimal(250))
    small = replace(builders.bitcoin(), quantity_max=Decimal(200), notional_max=None)
    limit = step(intent, instrument=small)
    assert isinstance(limit, Send)
    assert limit.quantity == 200
    market = step(intent, [EXPIRED] * 3, instrument=small)
    assert isinstance(market, Send)
    assert market.quantity == 100
    valued = step(intent)
    assert isinstance(valued, Send)
    assert valued.price is not None
    assert valued.quantity * valued.price <= 9_000_000


def test_a_limit_stays_inside_the_exchange_s_band() -> None:
    narrow = replace(builders.bitcoin(), price_ratio_min=Decimal("0.999"))
    found = step(sale(), [EXPIRED] * 2, instrument=narrow)
    assert isinstance(found, Send)
    # mid 60,000.005 x 0.999, rounded up to the tick
    assert found.price == Decimal("59940.01")


def test_a_band_that_refuses_the_market_is_answered_by_the_widest_limit() -> None:
    found = step(sale(), [EXPIRED] * 3, is_band_refused=True)
    assert isinstance(found, Send)
    assert (found.order_type, found.price) == (OrderType.LIMIT, Decimal("58800.00"))


def test_too_small_at_the_limit_and_large_enough_at_the_bid_goes_to_the_market() -> None:
    # 0.00008 x 62,500.01 = 5.00 and x 0.98 is less than 5
    intent = sale(quantity=Decimal("0.00008"), reference_price=Decimal("62500.01"))
    at = quote("62500.01", "62500.02")
    found = step(intent, [tried(AttemptState.EXPIRED, "0", "0.00008")] * 2, at=at)
    assert isinstance(found, Send)
    assert found.order_type is OrderType.MARKET
    floored = replace(intent, slippage_max=Decimal("0.03"))
    blocked = step(floored, [tried(AttemptState.EXPIRED, "0", "0.00008")] * 2, at=at)
    assert isinstance(blocked, Block)


def test_pauses_let_the_book_recover_only_after_an_expired_order() -> None:
    intent = sale()
    assert ladder.pause_s(intent, [], SETTINGS) == 0
    assert ladder.pause_s(intent, [tried(AttemptState.FILLED, "0.5")], SETTINGS) == 0
    assert ladder.pause_s(intent, [EXPIRED], SETTINGS) == 0.25
    market = tried(AttemptState.EXPIRED, price=None)
    assert ladder.pause_s(intent, [market], SETTINGS) == 0.5
    assert ladder.pause_s(purchase(), [EXPIRED], SETTINGS) == 0.5


# ------------------------------------------------------------ entries


def test_a_purchase_reaches_a_little_beyond_the_ask_and_never_beyond_its_bound() -> None:
    found = step(purchase())
    assert isinstance(found, Send)
    # 60,000.01 x 1.001 floored
    assert found.price == Decimal("60060.01")
    assert found.time_in_force is TimeInForce.IOC
    near = step(purchase(), at=quote("60170", "60175"))
    assert isinstance(near, Send)
    # the bound: 60,000 x 1.003
    assert near.price == Decimal("60180.00")
    wide = step(purchase(slippage_max=Decimal("0.02")), at=quote("61000", "61001"))
    assert isinstance(wide, Send)


def test_a_purchase_past_its_time_or_bound_ends() -> None:
    assert isinstance(step(purchase(), after_s=9.9), Send)
    late = step(purchase(), after_s=10)
    assert late == Finish(IntentState.EXPIRED, "not filled in time (10 s)")
    own = purchase(expires_at=builders.NOON + timedelta(seconds=60))
    assert isinstance(step(own, after_s=59), Send)
    far = step(purchase(), at=quote("60180", "60180.01"))
    assert isinstance(far, Finish)
    assert step(purchase(), at=None) == Finish(IntentState.EXPIRED, "no fresh price")


def test_a_sale_that_was_decided_without_a_price_is_no_dust_for_that() -> None:
    unpriced = sale(reference_price=Decimal(0))
    waits = step(unpriced, at=quote("0", "60000.01"))
    assert isinstance(waits, Block)
    assert waits.reason is BlockReason.BIDS
    assert isinstance(step(unpriced, at=None), Send)
    crumb = step(replace(unpriced, quantity=Decimal("0.000011")), at=None)
    assert isinstance(crumb, Send)
    assert crumb.quantity == Decimal("0.00001")
    nothing = step(replace(unpriced, quantity=Decimal("0.00001")), at=NOW)
    assert isinstance(nothing, Finish)
    assert nothing.state is IntentState.DUST


def test_a_purchase_ends_when_the_rest_of_its_budget_is_not_worth_an_order() -> None:
    bought = purchase(filled_quantity=Decimal("0.0166"), filled_notional=Decimal("998.5"))
    attempt = tried(AttemptState.EXPIRED, "0.0166", "0.0166", "60060")
    assert step(bought, [attempt]) == Finish(IntentState.DONE, "")
    tiny = step(purchase(quote_budget=Decimal(4)))
    assert isinstance(tiny, Finish)
    assert "below the exchange's minimum" in tiny.reason


@pytest.mark.parametrize(("ask", "after_s"), [("60180.01", 0), ("60000.01", 10)])
def test_a_purchase_that_has_spent_its_budget_ends_for_no_other_reason(
    ask: str, after_s: float
) -> None:
    bought = purchase(filled_quantity=Decimal("0.0166"), filled_notional=Decimal("998.5"))
    attempt = tried(AttemptState.EXPIRED, "0.0166", "0.0166", "60060")
    found = step(bought, [attempt], at=quote("60000", ask), after_s=after_s)
    assert found == Finish(IntentState.DONE, "")


def test_a_purchase_that_ends_for_want_of_money_says_so() -> None:
    bought = purchase(filled_quantity=Decimal("0.001"), filled_notional=Decimal(60))
    attempt = tried(AttemptState.EXPIRED, "0.001", "0.0166", "60060")
    found = step(bought, [attempt], available="1.5")
    assert found == Finish(IntentState.DONE, "only 1.5 USDT are free")


def test_executions_that_are_not_listed_count_at_the_limit() -> None:
    attempt = tried(AttemptState.EXPIRED, "0.01", "0.01", "60060")
    assert ladder.spent(purchase(), [attempt], Decimal(0)) == Decimal("600.60")
    found = step(purchase(), [attempt])
    assert isinstance(found, Send)
    assert found.price is not None
    assert found.quantity * found.price <= Decimal("399.4")


def test_a_purchase_sized_in_coins_and_one_short_of_money() -> None:
    found = step(purchase(quote_budget=None, quantity=Decimal("0.1")))
    assert isinstance(found, Send)
    assert found.quantity == Decimal("0.1")
    short = step(purchase(), available="100")
    assert isinstance(short, Send)
    assert short.price is not None
    assert short.quantity * short.price <= 100


# ------------------------------------------------------------ by hand


def test_an_order_by_hand_rests_at_its_price_rounded_in_the_person_s_favour() -> None:
    sell = step(sale(purpose=Purpose.CLOSE, limit_price=Decimal("70000.001")))
    assert sell == Send(OrderType.LIMIT, Decimal("0.50000"), Decimal("70000.01"), TimeInForce.GTC)
    buy = step(purchase(limit_price=Decimal("50000.009")))
    assert isinstance(buy, Send)
    assert (buy.price, buy.time_in_force) == (Decimal("50000.00"), TimeInForce.GTC)
    part = step(sale(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)), available="0.2")
    assert part == Block(BlockReason.BALANCE, "0.2 of 0.5 BTC can be sold")


def test_an_order_by_hand_that_ended_is_not_sent_again() -> None:
    intent = sale(purpose=Purpose.CLOSE, limit_price=Decimal(70_000))
    assert step(intent, [tried(AttemptState.FILLED, "0.5")]) == Finish(IntentState.DONE, "")
    gone = step(intent, [tried(AttemptState.CANCELED)])
    assert gone == Finish(IntentState.EXPIRED, "the order ended canceled")
    part = step(intent, [tried(AttemptState.CANCELED, "0.1")])
    assert isinstance(part, Finish)
    assert part.state is IntentState.DONE
    assert isinstance(step(intent, [tried(AttemptState.ABSENT)]), Send)


def test_an_order_by_hand_below_the_minimum_ends() -> None:
    intent = sale(purpose=Purpose.CLOSE, limit_price=Decimal(70_000), quantity=Decimal("0.00001"))
    found = step(intent)
    assert isinstance(found, Finish)
    assert found.state is IntentState.EXPIRED


# ------------------------------------------------------------ properties

prices = st.decimals(min_value="1", max_value="90000", places=2)
quantities = st.decimals(min_value="0.00001", max_value="500", places=7)
steps = st.sampled_from([Decimal("0.00001"), Decimal("0.001"), Decimal("0.1"), Decimal(1)])
ticks = st.sampled_from([Decimal("0.0001"), Decimal("0.01"), Decimal("0.5")])


@pytest.mark.fault("M06", "SAID")
def test_whatever_is_sent_satisfies_the_rules_in_force() -> None:
    sent: list[Send] = []

    @given(st.tuples(prices, quantities, steps, ticks, st.integers(0, 4), st.booleans()))
    def keeps(market: Any) -> None:
        sent.extend(_sent_by_the_rules(*market))

    keeps()
    fired(len(sent), words="orders of steps from 0.00001 to 1 and prices from 1 to 90,000")


def _sent_by_the_rules(
    bid: Decimal,
    quantity: Decimal,
    lot: Decimal,
    tick: Decimal,
    ends: int,
    is_buy: bool,
) -> list[Send]:
    instrument = replace(builders.bitcoin(), quantity_step=lot, quantity_min=lot, price_tick=tick)
    at = replace(quote(), bid=bid, ask=bid + tick)
    intent = (
        purchase(reference_price=bid + tick, quote_budget=quantity * bid)
        if is_buy
        else sale(quantity=quantity, reference_price=bid)
    )
    attempts = [tried(AttemptState.EXPIRED, "0", str(quantity))] * ends
    found = step(intent, attempts, at=at, instrument=instrument, after_s=1)
    if not isinstance(found, Send):
        return []
    request = OrderRequest(
        "uxaaaaaaaaaaaaaaaa-1",
        BTC,
        intent.side,
        found.order_type,
        found.quantity,
        found.price,
        found.time_in_force,
    )
    assert broken_filter(request, instrument) is None
    assert found.quantity <= quantity or is_buy
    if is_buy:
        assert found.price is not None
        assert found.quantity * found.price <= quantity * bid
        assert found.price <= ladder.entry_bound(intent, SETTINGS)
    return [found]


@pytest.mark.parametrize(
    ("sold_after_s", "state", "ends_after_s"),
    # From its order on, or from the last part of it that was sold.
    [
        ((), IntentState.EXPIRED, 120),
        ((100,), IntentState.DONE, 220),
        ((0, 90), IntentState.DONE, 210),
    ],
)
def test_a_sale_by_hand_ends_once_nothing_of_it_was_sold_for_as_long_as_it_may_wait(
    sold_after_s: tuple[int, ...], state: IntentState, ends_after_s: int
) -> None:
    by_hand = sale(purpose=Purpose.CLOSE, expires_at=builders.NOON + timedelta(seconds=120))
    attempts = [
        replace(
            tried(AttemptState.EXPIRED, "0.1"), prepared_at=builders.NOON + timedelta(seconds=at_s)
        )
        for at_s in sold_after_s
    ]
    # What met nobody is no reason to wait on.
    late = replace(
        tried(AttemptState.EXPIRED), prepared_at=builders.NOON + timedelta(seconds=ends_after_s)
    )
    due = builders.NOON + timedelta(seconds=ends_after_s)
    early = due - timedelta(seconds=1)
    assert ladder.patience_over(by_hand, attempts, early) is None
    end = ladder.patience_over(by_hand, [*attempts, late], due)
    assert end is not None
    assert end.state is state
    assert "nothing could be sold for 2 min" in end.reason


def test_no_stop_and_nothing_that_is_closed_or_has_a_price_of_its_own_loses_patience() -> None:
    years = builders.NOON + timedelta(days=3650)
    for intent in (sale(), sale(purpose=Purpose.PANIC), sale(limit_price=Decimal(70_000))):
        assert ladder.patience_over(intent, (), years) is None
