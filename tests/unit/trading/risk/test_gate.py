"""The gate says yes, or every reason why not; what reduces risk is bound by its own rules only."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.catalogue import fired
from trading.domain.instrument import InstrumentStatus
from trading.domain.market import Quote
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import Balance, Portfolio, Position, TradingMode
from trading.risk.gate import (
    Activity,
    Approved,
    Decided,
    Refusal,
    beyond,
    largest,
    oversized,
    review,
)
from trading.risk.limits import RiskLimits

BTC = "BTC/USDT"
LIMITS = RiskLimits()
QUOTE = Quote(BTC, Decimal(60_000), Decimal(1), Decimal("60000.01"), Decimal(1), 0, 0.0)
WIDE = replace(QUOTE, bid=Decimal(45_000), ask=Decimal(75_000))
ACTIVITY = Activity(instrument=builders.bitcoin(), quote=QUOTE)
PORTFOLIO = Portfolio(
    balances={"USDT": Balance("USDT", Decimal(10_000), Decimal(0))},
    positions={BTC: Position(BTC, Decimal("0.5"))},
)


def sale(quantity: str = "0.5", purpose: Purpose = Purpose.PROTECT) -> Intent:
    return Intent(
        "tracker:1:1",
        BTC,
        Side.SELL,
        purpose,
        Decimal(60_000),
        builders.NOON,
        quantity=Decimal(quantity),
    )


def purchase(budget: str = "1000") -> Intent:
    return Intent(
        "command:1:BTC/USDT",
        BTC,
        Side.BUY,
        Purpose.ENTRY,
        Decimal(60_000),
        builders.NOON,
        quote_budget=Decimal(budget),
    )


def made(number: int, age_s: float = 30.0, *, is_approved: bool = True) -> tuple[Decided, ...]:
    """So many entries of other trackers."""
    return tuple(
        Decided(replace(purchase(), intent_id=f"t{each}", tracker_id=each), age_s, is_approved)
        for each in range(number)
    )


def asked(
    intent: Intent,
    activity: Activity = ACTIVITY,
    mode: TradingMode = TradingMode.ACTIVE,
    portfolio: Portfolio = PORTFOLIO,
    limits: RiskLimits = LIMITS,
) -> Approved | Refusal:
    return review(intent, portfolio, limits, mode, activity, builders.NOON)


def reasons(answer: Approved | Refusal) -> str:
    assert isinstance(answer, Refusal)
    return " | ".join(answer.reasons)


@pytest.mark.parametrize("mode", list(TradingMode))
def test_a_protective_sale_passes_in_every_mode(mode: TradingMode) -> None:
    answer = asked(sale(), mode=mode)
    assert isinstance(answer, Approved)
    assert answer.is_held is (mode is TradingMode.HALTED_EVERYTHING)


def test_a_person_s_own_sale_is_never_held() -> None:
    answer = asked(sale(purpose=Purpose.PANIC), mode=TradingMode.HALTED_EVERYTHING)
    assert answer == Approved(sale(purpose=Purpose.PANIC), is_held=False)


def test_no_cap_of_entries_binds_a_protective_sale() -> None:
    tight = RiskLimits(
        order_notional_max=Decimal(1),
        notional_per_day_max=Decimal(1),
        orders_per_minute_max=0,
        orders_open_max=0,
        order_share_max=Decimal("0.001"),
        daily_loss_max=Decimal("0.01"),
    )
    stale = Activity(
        entries_open=99,
        lately=made(99),
        notional_today=Decimal(10**9),
        loss_today=Decimal("0.9"),
        is_stale=True,
    )
    assert isinstance(asked(sale(), stale, limits=tight), Approved)


@pytest.mark.fault("M09")
def test_coins_that_are_not_managed_are_never_sold() -> None:
    other = replace(ACTIVITY, exiting=Decimal("0.2"))
    answers = [asked(sale("0.6")), asked(sale("0.4"), other), asked(sale("0.3"), other)]
    assert "more than is managed" in reasons(answers[0])
    assert "0.2 is being sold already" in reasons(answers[1])
    assert isinstance(answers[2], Approved)
    fired([one for one in answers if isinstance(one, Refusal)])


def test_a_sale_that_is_running_is_not_started_again() -> None:
    running = replace(ACTIVITY, open_intent_ids=frozenset({"tracker:1:1"}))
    assert "already being executed" in reasons(asked(sale(), running))


def test_an_exit_is_a_sale_of_something() -> None:
    text = reasons(asked(replace(sale("0"), side=Side.BUY)))
    assert "only a sale" in text
    assert "above 0" in text


@pytest.mark.parametrize(
    "mode", [TradingMode.REDUCING, TradingMode.HALTED, TradingMode.HALTED_EVERYTHING]
)
def test_new_risk_is_refused_unless_trading_is_active(mode: TradingMode) -> None:
    assert "new risk is refused" in reasons(asked(purchase(), mode=mode))


def test_a_purchase_within_all_limits_passes() -> None:
    answer = asked(purchase())
    assert answer == Approved(purchase())
    assert isinstance(answer, Approved)
    assert not answer.is_held


def test_without_a_word_nothing_has_been_going_on() -> None:
    quiet = Activity()
    amounts = (quiet.exiting, quiet.reserved, quiet.notional_today, quiet.equity, quiet.loss_today)
    assert amounts == (0, 0, 0, 0, 0)
    assert (quiet.entries_open, quiet.lately, quiet.is_stale) == (0, (), False)
    assert Decided(purchase(), 1.0).is_approved


@pytest.mark.fault("I03")
@pytest.mark.parametrize(
    ("activity", "words"),
    [
        (replace(ACTIVITY, is_stale=True), "not fresh"),
        (replace(ACTIVITY, quote=None), "not fresh"),
        (replace(ACTIVITY, waits_for=("the key is refused",)), "this stands: the key is refused"),
        (replace(ACTIVITY, instrument=None), "is not traded"),
        (replace(ACTIVITY, quote=WIDE), "are 50% apart"),
        (
            replace(
                ACTIVITY,
                instrument=replace(builders.bitcoin(), status=InstrumentStatus.CANCEL_ONLY),
            ),
            "takes no orders now",
        ),
        (replace(ACTIVITY, lately=made(60)), "60 entries a minute are the most, 60 were made"),
        (replace(ACTIVITY, entries_open=100), "100 open entries are the most, 100 are open"),
        (replace(ACTIVITY, loss_today=Decimal("0.1")), "daily loss 10% reached the limit of 10%"),
        (
            replace(ACTIVITY, open_intent_ids=frozenset({"command:1:BTC/USDT"})),
            "already being executed",
        ),
        (replace(ACTIVITY, notional_today=Decimal(249_001)), "per day"),
        (replace(ACTIVITY, reserved=Decimal(9_500)), "more than what is free: 500"),
        (replace(ACTIVITY, reserved=Decimal(10_500)), "more than what is free: 0"),
    ],
)
def test_each_bound_of_an_entry_is_told(activity: Activity, words: str) -> None:
    answer = asked(purchase(), activity)
    assert words in reasons(answer)
    fired(answer.reasons)


def test_money_that_is_managed_itself_is_named_beside_what_is_free() -> None:
    euros = replace(PORTFOLIO, positions={"USDT/EUR": Position("USDT/EUR", Decimal(9_500))})
    held, free = (
        reasons(asked(purchase(), replace(ACTIVITY, reserved=reserved), portfolio=portfolio))
        for reserved, portfolio in ((Decimal(0), euros), (Decimal(9_500), PORTFOLIO))
    )
    assert "is free: 500, the rest is managed under USDT/EUR" in held
    assert free.endswith("is free: 500")


def test_every_reason_is_told_at_once() -> None:
    answer = asked(purchase("30000"), replace(ACTIVITY, lately=made(60)))
    assert isinstance(answer, Refusal)
    assert len(answer.reasons) == 3


def test_amounts_out_of_bounds_are_refused() -> None:
    assert "above 0" in reasons(asked(purchase("0")))
    assert "exchange's least 5" in reasons(asked(purchase("4")))
    rich = replace(PORTFOLIO, balances={"USDT": Balance("USDT", Decimal(10**6), Decimal(0))})
    assert "per order" in reasons(asked(purchase("25001"), portfolio=rich))


def test_an_expired_entry_is_refused() -> None:
    late = replace(purchase(), expires_at=builders.NOON - timedelta(seconds=1))
    assert "expired at 11:59:59" in reasons(asked(late))


def test_a_decision_far_from_the_market_is_refused_and_a_far_resting_bid_is_not() -> None:
    far = replace(purchase(), reference_price=Decimal(64_000))
    assert "more than 5% from the market" in reasons(asked(far))
    below = replace(purchase(), reference_price=Decimal(56_000))
    assert "more than 5% from the market" in reasons(asked(below))
    assert isinstance(asked(replace(purchase(), limit_price=Decimal(50_000))), Approved)
    assert "more than 5%" in reasons(asked(replace(purchase(), limit_price=Decimal(70_000))))


def test_a_limit_too_far_beyond_the_market_is_told_the_market_s_price() -> None:
    edge = QUOTE.mid * (1 + LIMITS.price_collar)
    limited = replace(purchase(), limit_price=edge)
    assert beyond(limited, LIMITS, ACTIVITY) is None
    further = replace(limited, limit_price=edge + Decimal("0.01"))
    assert beyond(further, LIMITS, ACTIVITY) == QUOTE.mid
    # What sells counts in the other direction, and resting far off is a person's own choice.
    assert beyond(replace(further, side=Side.SELL), LIMITS, ACTIVITY) is None
    assert beyond(purchase(), LIMITS, ACTIVITY) is None, "it has no limit"
    assert beyond(further, LIMITS, Activity()) is None, "nobody knows the market"


def test_a_purchase_sized_in_coins_is_valued_at_its_price() -> None:
    sized = replace(purchase(), quote_budget=None, quantity=Decimal("0.1"))
    assert isinstance(asked(sized), Approved)
    assert "more than what is free" in reasons(asked(replace(sized, quantity=Decimal("0.2"))))


def test_limits_count_in_their_own_currency() -> None:
    instrument = builders.coin("ETH", "BTC")
    activity = Activity(
        instrument=replace(instrument, notional_min=Decimal("0.0001")),
        quote=Quote("ETH/BTC", Decimal("0.05"), Decimal(1), Decimal("0.0501"), Decimal(1), 0, 0.0),
    )
    intent = replace(purchase("0.5"), symbol="ETH/BTC", reference_price=Decimal("0.05"))
    balances = {"BTC": Balance("BTC", Decimal(1), Decimal(0))}
    unpriced = Portfolio(balances=balances)
    assert "has no price in USDT" in reasons(asked(intent, activity, portfolio=unpriced))
    priced = Portfolio(balances=balances, prices={BTC: Decimal(60_000)})
    # 0.5 BTC are 30,000 USDT
    assert "30000 USDT is above the limit of 25000" in reasons(
        asked(intent, activity, portfolio=priced)
    )
    inverse = Portfolio(balances=balances, prices={"USDT/BTC": Decimal("0.00002")})
    assert isinstance(asked(intent, activity, portfolio=inverse), Approved)


@pytest.mark.parametrize("quote", ["USDC", "FDUSD", "TUSD", "USD", "DAI", "BUSD"])
def test_one_dollar_is_as_good_as_another(quote: str) -> None:
    activity = replace(ACTIVITY, instrument=replace(builders.bitcoin(), quote=quote))
    portfolio = Portfolio(balances={quote: Balance(quote, Decimal(10_000), Decimal(0))})
    assert isinstance(asked(purchase(), activity, portfolio=portfolio), Approved)
    # A dollar is none of another money, and no other money is a dollar.
    euros = RiskLimits(currency="EUR")
    assert "has no price in EUR" in reasons(
        asked(purchase(), activity, portfolio=portfolio, limits=euros)
    )


def test_another_money_without_a_price_is_no_dollar() -> None:
    activity = replace(ACTIVITY, instrument=replace(builders.bitcoin(), quote="EUR"))
    assert "EUR has no price in USDT" in reasons(asked(purchase(), activity))


# ------------------------------------------------------------ size and duplicates


def test_a_purchase_is_too_great_by_itself_whatever_else_stands_in_its_way() -> None:
    busy = replace(ACTIVITY, lately=made(99), entries_open=99, is_stale=True)
    assert oversized(purchase("25000"), PORTFOLIO, LIMITS, busy) == ()
    [reason] = oversized(purchase("25000.01"), PORTFOLIO, LIMITS, busy)
    assert reason == "25000.01 USDT is above the limit of 25000 per order"


def test_the_largest_purchase_is_what_every_bound_leaves() -> None:
    rich = replace(PORTFOLIO, balances={"USDT": Balance("USDT", Decimal(90_000), Decimal(0))})
    account = replace(ACTIVITY, equity=Decimal(100_000))
    assert largest(rich, LIMITS, account) == 25_000
    assert largest(rich, RiskLimits(order_share_max=Decimal("0.1")), account) == 10_000
    assert largest(PORTFOLIO, LIMITS, replace(account, reserved=Decimal(9_000))) == 1_000
    assert largest(PORTFOLIO, LIMITS, replace(account, reserved=Decimal(11_000))) == 0
    assert largest(rich, LIMITS, Activity()) is None
    euros = replace(builders.bitcoin(), symbol="BTC/EUR", quote="EUR")
    assert largest(rich, LIMITS, replace(account, instrument=euros)) is None


def test_an_order_may_be_bound_to_a_share_of_the_account() -> None:
    limits = RiskLimits(order_share_max=Decimal("0.1"))
    account = replace(ACTIVITY, equity=Decimal(9_000))
    assert "1000 USDT is above 10% of the account, 900" in reasons(
        asked(purchase(), account, limits=limits)
    )
    assert isinstance(asked(purchase("900"), account, limits=limits), Approved)
    # One leaves it to the bound per order, also where the account's worth is not known.
    assert isinstance(asked(purchase(), replace(account, equity=Decimal(0))), Approved)


def again(age_s: float, *, is_approved: bool = True) -> Decided:
    return Decided(replace(purchase(), intent_id="another"), age_s, is_approved)


def test_the_same_purchase_within_seconds_is_refused_once_and_then_a_fault() -> None:
    twice = asked(purchase(), replace(ACTIVITY, lately=(again(4.9),)))
    assert "the same purchase was decided within the last 5 s" in reasons(twice)
    assert isinstance(twice, Refusal)
    assert twice.halt is None
    thrice = asked(purchase(), replace(ACTIVITY, lately=(again(4.9), again(1, is_approved=False))))
    assert "the same purchase was asked for 3 times within 5 s" in reasons(thrice)
    assert isinstance(thrice, Refusal)
    assert thrice.halt is not None


@pytest.mark.parametrize(
    "other",
    [
        again(5.0),
        again(1.0, is_approved=False),
        Decided(replace(purchase(), tracker_id=7), 1.0),
        Decided(purchase("1001"), 1.0),
        Decided(replace(purchase(), limit_price=Decimal(59_000)), 1.0),
        Decided(replace(purchase(), symbol="ETH/USDT"), 1.0),
    ],
)
def test_another_purchase_is_no_duplicate(other: Decided) -> None:
    assert asked(purchase(), replace(ACTIVITY, lately=(other,))) == Approved(purchase())


# ------------------------------------------------------------ what a refusal takes away


@pytest.mark.parametrize(
    "activity",
    [
        replace(ACTIVITY, lately=made(60)),
        replace(ACTIVITY, entries_open=100),
        replace(ACTIVITY, notional_today=Decimal(249_001)),
        replace(ACTIVITY, loss_today=Decimal("0.1")),
        replace(ACTIVITY, lately=(again(2), again(1))),
    ],
)
def test_an_entry_that_only_a_cap_refuses_takes_leave_to_add_risk_away(
    activity: Activity,
) -> None:
    answer = asked(purchase(), activity)
    assert isinstance(answer, Refusal)
    assert answer.halt is not None
    assert answer.halt.mode is TradingMode.REDUCING
    assert answer.halt.reason == f"an entry in {BTC} was refused: {answer.reasons[0]}"


def test_an_entry_that_is_wrong_by_itself_reaches_no_cap() -> None:
    typing_error = asked(purchase("1000000"))
    assert "per day" in reasons(typing_error)
    assert isinstance(typing_error, Refusal)
    assert typing_error.halt is None


def test_entries_that_are_asked_for_at_twice_the_permitted_rate_are_a_runaway() -> None:
    wrong = purchase("1000000")
    refused = made(118, is_approved=False)
    quiet = asked(wrong, replace(ACTIVITY, lately=refused))
    assert isinstance(quiet, Refusal)
    assert quiet.halt is None
    answer = asked(wrong, replace(ACTIVITY, lately=(*refused, again(1, is_approved=False))))
    assert isinstance(answer, Refusal)
    assert answer.halt is not None
    assert "120 entries were asked for within a minute" in answer.halt.reason


# ------------------------------------------------------------ exits


@given(
    st.decimals(min_value="0.001", max_value="2", places=3),
    st.decimals(min_value="0", max_value="1", places=3),
)
def test_what_passes_never_exceeds_what_is_managed(quantity: Decimal, exiting: Decimal) -> None:
    answer = asked(sale(str(quantity)), replace(ACTIVITY, exiting=exiting))
    assert isinstance(answer, Approved) is (quantity + exiting <= Decimal("0.5"))
