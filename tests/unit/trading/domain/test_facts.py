"""Small facts about time, orders, trackers, people and events."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from tests.builders import NOON, fill, protective_stop
from trading.domain.chat import ConfirmationAnswer, Role, Severity
from trading.domain.errors import AlreadyRecorded, RateLimited, Refused
from trading.domain.events import (
    TRACKER_MOVED,
    AlertAcknowledged,
    AlertRaised,
    ConfirmationAnswered,
    Event,
    FillBooked,
    MessageDelivered,
    TrackerChanged,
    UpdateHandled,
)
from trading.domain.market import Candle, Quote
from trading.domain.order import (
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    OrderRequest,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.time import Timeframe, candle_open_ms, from_ms, to_ms
from trading.domain.tracker import TrackerChange, TrackerKind, TrackerState


def test_milliseconds_and_datetimes_are_the_same_moment() -> None:
    assert to_ms(from_ms(1_700_000_000_123)) == 1_700_000_000_123
    assert from_ms(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        to_ms(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(("name", "length_ms"), [("1m", 60_000), ("4h", 14_400_000)])
def test_a_timeframe_knows_its_length(name: str, length_ms: int) -> None:
    assert Timeframe.parse(name).length_ms == length_ms


@pytest.mark.parametrize("name", ["0m", "7m", "2M", "", "h1", "99d"])
def test_an_unknown_timeframe_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="timeframe"):
        Timeframe.parse(name)


def test_a_timeframe_that_nobody_parsed_has_no_length() -> None:
    with pytest.raises(ValueError, match="15m"):
        _ = Timeframe("soon").length_ms


def test_both_sides_share_one_body_through_their_sign() -> None:
    assert [side.sign for side in Side] == [1, -1]
    assert [side.opposite for side in Side] == [Side.SELL, Side.BUY]


def test_a_quote_knows_its_mid_and_when_it_is_crossed() -> None:
    quote = Quote("BTC/USDT", Decimal(99), Decimal(1), Decimal(101), Decimal(1), 0, 0.0)
    assert quote.mid == 100
    assert not quote.is_crossed
    assert replace(quote, bid=Decimal(101)).is_crossed


def test_terminal_words_are_terminal() -> None:
    assert not OrderStatus.NEW.is_terminal
    assert OrderStatus.EXPIRED.is_terminal
    assert not AttemptState.UNKNOWN.is_terminal
    assert AttemptState.ABSENT.is_terminal
    assert not IntentState.BLOCKED.is_terminal
    assert IntentState.DUST.is_terminal
    assert [purpose for purpose in Purpose if not purpose.reduces_risk] == [Purpose.ENTRY]


def test_every_tracker_state_is_waiting_acting_or_over() -> None:
    for state in TrackerState:
        assert [state.is_waiting, state.is_acting, state.is_terminal].count(True) == 1


def test_an_intent_knows_what_is_left_and_its_average_price() -> None:
    intent = Intent("i", "BTC/USDT", Side.SELL, Purpose.PROTECT, Decimal(1), NOON, Decimal(2))
    assert intent.residual == 2
    assert intent.average_price is None
    filled = replace(intent, filled_quantity=Decimal(1), filled_notional=Decimal(59))
    assert filled.residual == 1
    assert filled.average_price == 59


def test_an_attempt_is_known_by_its_requests_id() -> None:
    request = OrderRequest("uxA-1", "BTC/USDT", Side.SELL, OrderType.MARKET, Decimal(1))
    assert Attempt("i", 1, request, AttemptState.SENT, NOON).client_order_id == "uxA-1"
    assert fill().notional == Decimal(30_000)


def test_buys_start_on_the_buy_side_and_everything_else_sells() -> None:
    spec = protective_stop().spec
    assert spec.first_side is Side.SELL
    assert replace(spec, kind=TrackerKind.DIP).first_side is Side.BUY
    assert protective_stop().symbol == "BTC/USDT"


def test_roles_and_severities_are_ordered() -> None:
    assert Role.OWNER.rank > Role.TRADER.rank > Role.VIEWER.rank
    assert Severity.CRIT.priority < Severity.WARN.priority < Severity.INFO.priority


def test_a_record_that_only_moved_is_kept_under_a_name_of_its_own() -> None:
    tracker = protective_stop(7)
    kinds = {change: TrackerChanged(tracker, change, NOON).kind for change in TrackerChange}
    assert kinds.pop(TrackerChange.MOVED) == TRACKER_MOVED
    assert set(kinds.values()) == {"TrackerChanged"}


def test_what_must_happen_once_has_a_key() -> None:
    tracker = protective_stop(7)
    assert TrackerChanged(tracker, TrackerChange.ARMED, NOON).key == "armed:7"
    assert TrackerChanged(tracker, TrackerChange.TRIGGERED, NOON).key == "triggered:7:1"
    assert TrackerChanged(tracker, TrackerChange.MOVED, NOON).key is None
    assert FillBooked(fill(), "i", "BTC", "USDT", NOON).key == "BTC/USDT:1"
    assert UpdateHandled(9, "answered", NOON).key == "9"
    assert MessageDelivered("m", 1, "", NOON).key == "m"
    assert ConfirmationAnswered("n", ConfirmationAnswer.CONFIRMED, 1, NOON).key == "n"
    assert AlertRaised("a", Severity.CRIT, "text", NOON).key == "a"
    assert AlertAcknowledged("a", 1, NOON).key == "a"


def test_every_event_says_when_and_offers_a_key() -> None:
    for kind in get_args(Event):
        assert hasattr(kind, "key"), kind
        assert "at" in {*kind.__dataclass_fields__} or hasattr(kind, "at"), kind


def test_errors_carry_what_the_caller_needs() -> None:
    assert RateLimited("slow down", 3.0).retry_after_s == 3.0
    assert str(AlreadyRecorded("FillBooked", "x")) == "FillBooked x is already recorded"


@pytest.mark.parametrize(
    ("name", "opens"),
    [
        ("15m", datetime(2021, 5, 19, 12, 45, tzinfo=UTC)),
        ("4h", datetime(2021, 5, 19, 12, tzinfo=UTC)),
        ("1d", datetime(2021, 5, 19, tzinfo=UTC)),
        # A Monday, though the epoch was a Thursday.
        ("1w", datetime(2021, 5, 17, tzinfo=UTC)),
    ],
)
def test_a_candle_opens_on_the_grid_of_its_length(name: str, opens: datetime) -> None:
    length_ms = Timeframe.parse(name).length_ms
    at_ms = to_ms(datetime(2021, 5, 19, 12, 50, tzinfo=UTC))
    assert candle_open_ms(at_ms, length_ms) == to_ms(opens)
    assert candle_open_ms(to_ms(opens), length_ms) == to_ms(opens)
    assert candle_open_ms(to_ms(opens) - 1, length_ms) == to_ms(opens) - length_ms


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_candle_with_a_figure_that_is_none_is_not_sound(field: str, value: float) -> None:
    sound = Candle(0, 100.0, 110.0, 90.0, 105.0, 0.0, True)
    assert sound.is_sound
    assert not replace(sound, **{field: value}).is_sound


@pytest.mark.parametrize(("high", "low"), [(104.0, 90.0), (110.0, 101.0), (90.0, 110.0)])
def test_a_candle_beyond_its_own_ends_is_not_sound(high: float, low: float) -> None:
    assert not Candle(0, 100.0, high, low, 105.0, 1.0, True).is_sound
