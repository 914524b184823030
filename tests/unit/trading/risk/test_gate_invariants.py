"""What holds of the gate whatever is asked of it, and whatever happened before."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from trading.domain.instrument import InstrumentStatus
from trading.domain.market import Quote
from trading.domain.order import Intent, Purpose, Side
from trading.domain.position import Balance, Portfolio, Position, TradingMode
from trading.risk.gate import Activity, Approved, Decided, Refusal, review
from trading.risk.limits import RiskLimits

pytestmark = pytest.mark.uncounted

BTC = "BTC/USDT"
QUOTE = Quote(BTC, Decimal(60_000), Decimal(1), Decimal("60000.01"), Decimal(1), 0, 0.0)

amounts = st.decimals(min_value=0, max_value=10**7, places=2)
shares = st.decimals(min_value=0, max_value=1, places=3)
limits = st.builds(
    RiskLimits,
    order_notional_max=amounts,
    order_share_max=shares,
    notional_per_day_max=amounts,
    orders_per_minute_max=st.integers(0, 5),
    orders_open_max=st.integers(0, 5),
    duplicate_window_s=st.floats(0, 60),
    price_collar=shares,
    daily_loss_max=shares,
)
exits = st.builds(
    Intent,
    intent_id=st.just("tracker:1:1"),
    symbol=st.just(BTC),
    side=st.just(Side.SELL),
    purpose=st.sampled_from([Purpose.PROTECT, Purpose.CLOSE, Purpose.PANIC]),
    reference_price=st.decimals(min_value=1, max_value=10**6, places=2),
    created_at=st.just(builders.NOON),
    quantity=st.decimals(min_value="0.001", max_value=2, places=3),
    tracker_id=st.none() | st.integers(1, 3),
)
entries = st.builds(
    Intent,
    intent_id=st.sampled_from(["a", "b"]),
    symbol=st.just(BTC),
    side=st.just(Side.BUY),
    purpose=st.just(Purpose.ENTRY),
    reference_price=st.decimals(min_value=50_000, max_value=70_000, places=2),
    created_at=st.just(builders.NOON),
    quote_budget=amounts,
    tracker_id=st.none() | st.integers(1, 3),
)
activities = st.builds(
    Activity,
    instrument=st.sampled_from(
        [
            None,
            builders.bitcoin(),
            replace(builders.bitcoin(), status=InstrumentStatus.CANCEL_ONLY),
        ]
    ),
    quote=st.sampled_from([None, QUOTE]),
    open_intent_ids=st.frozensets(st.sampled_from(["a", "other"])),
    entries_open=st.integers(0, 6),
    exiting=st.decimals(min_value=0, max_value=1, places=3),
    reserved=amounts,
    lately=st.lists(
        st.builds(Decided, intent=entries, age_s=st.floats(0, 60), is_approved=st.booleans()),
        max_size=8,
    ).map(tuple),
    notional_today=amounts,
    equity=amounts,
    loss_today=shares,
    is_stale=st.booleans(),
)
portfolios = st.builds(
    lambda free, managed: Portfolio(
        balances={"USDT": Balance("USDT", free, Decimal(0))},
        positions={BTC: Position(BTC, managed)},
    ),
    amounts,
    st.decimals(min_value=0, max_value=2, places=3),
)


@given(exits, portfolios, limits, st.sampled_from(TradingMode), activities)
def test_an_exit_is_bound_by_what_is_managed_and_by_no_cap_and_no_mode(
    intent: Intent,
    portfolio: Portfolio,
    bounds: RiskLimits,
    mode: TradingMode,
    activity: Activity,
) -> None:
    answer = review(intent, portfolio, bounds, mode, activity, builders.NOON)
    fits = intent.quantity + activity.exiting <= portfolio.managed(BTC)
    assert isinstance(answer, Approved) is fits
    if isinstance(answer, Refusal):
        assert answer.halt is None


@given(entries, portfolios, limits, st.sampled_from(TradingMode), activities)
def test_an_entry_passes_only_within_every_cap_and_only_while_trading_is_active(
    intent: Intent,
    portfolio: Portfolio,
    bounds: RiskLimits,
    mode: TradingMode,
    activity: Activity,
) -> None:
    answer = review(intent, portfolio, bounds, mode, activity, builders.NOON)
    if isinstance(answer, Refusal):
        assert answer.reasons
        return
    spent = intent.quote_budget
    assert spent is not None
    assert mode is TradingMode.ACTIVE
    assert spent <= bounds.order_notional_max
    assert bounds.order_share_max == 1 or spent <= bounds.order_share_max * activity.equity
    assert activity.notional_today + spent <= bounds.notional_per_day_max
    assert spent + activity.reserved <= portfolio.free("USDT")
    made = [other for other in activity.lately if other.is_approved]
    assert len(made) < bounds.orders_per_minute_max
    assert activity.entries_open < bounds.orders_open_max
    assert activity.loss_today < bounds.daily_loss_max
    assert intent.intent_id not in activity.open_intent_ids


@given(entries, portfolios, limits, st.sampled_from(TradingMode), activities)
def test_a_refusal_only_ever_takes_leave_away(
    intent: Intent,
    portfolio: Portfolio,
    bounds: RiskLimits,
    mode: TradingMode,
    activity: Activity,
) -> None:
    answer = review(intent, portfolio, bounds, mode, activity, builders.NOON)
    if isinstance(answer, Refusal) and answer.halt is not None:
        assert answer.halt.mode is TradingMode.REDUCING
        assert answer.halt.reason
