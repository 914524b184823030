"""Prices never use up what exits need, and silence is kept."""

from itertools import pairwise

import pytest

from tests.catalogue import fired
from trading.domain.errors import RateLimited
from trading.gateway.settings import GatewaySettings
from trading.gateway.throttle import Throttle, Urgency, Weight

MARKET = Weight(10, Urgency.MARKET)
PRICE = Weight(4, Urgency.PRICE)
EXIT = Weight(10, Urgency.EXIT)
ACCOUNT = Weight(10, Urgency.ACCOUNT)
ORDER = Weight(10, Urgency.ORDER)


def test_market_data_leaves_a_share_to_exits_and_orders_always_go() -> None:
    throttle = Throttle(100, 0.3)
    for _ in range(7):
        throttle.take(MARKET, 0.0)
    with pytest.raises(RateLimited, match="70 of 70") as limited:
        throttle.take(MARKET, 1.0)
    assert limited.value.retry_after_s == 59
    assert limited.value.is_own_count
    for _ in range(3):
        throttle.take(EXIT, 1.0)
    with pytest.raises(RateLimited):
        throttle.take(EXIT, 1.0)
    throttle.take(ORDER, 1.0)
    throttle.take(MARKET, 61.0)


def test_the_wait_lasts_until_there_is_room_for_the_whole_request() -> None:
    throttle = Throttle(100, 0.3)
    for at_s in (0.0, 1.0, 2.0):
        throttle.take(Weight(20, Urgency.MARKET), at_s)
    with pytest.raises(RateLimited) as limited:
        throttle.take(Weight(45, Urgency.MARKET), 10.0)
    # 35 have to go: the first twenty are not enough.
    assert limited.value.retry_after_s == 51
    throttle.take(Weight(45, Urgency.MARKET), 61.0)


def test_a_request_heavier_than_the_budget_says_so_without_a_history() -> None:
    with pytest.raises(RateLimited) as limited:
        Throttle(5, 0.3).take(MARKET, 0.0)
    assert limited.value.retry_after_s == 60


def test_account_lists_leave_what_orders_need() -> None:
    throttle = Throttle(100, 0.3, 0.1)
    for _ in range(9):
        throttle.take(ACCOUNT, 0.0)
    with pytest.raises(RateLimited, match="90 of 90"):
        throttle.take(ACCOUNT, 1.0)
    throttle.take(EXIT, 1.0)


def test_what_a_process_before_this_one_used_counts_until_the_exchanges_minute_ends() -> None:
    throttle = Throttle(100, 0.3)
    throttle.take(EXIT, 0.0)
    throttle.heard(used=65, now_s=1.0, window_left_s=20.0)
    with pytest.raises(RateLimited, match="65 of 70") as limited:
        throttle.take(MARKET, 11.0)
    assert limited.value.retry_after_s == 10
    throttle.take(EXIT, 11.0)
    throttle.take(MARKET, 21.0)


def test_what_the_exchange_counts_of_our_own_is_not_counted_twice() -> None:
    throttle = Throttle(100, 0.3)
    for _ in range(6):
        throttle.take(MARKET, 0.0)
    throttle.heard(used=60, now_s=0.5, window_left_s=59.0)
    throttle.take(MARKET, 1.0)


@pytest.mark.fault("X12")
@pytest.mark.fault("X13")
def test_nothing_goes_while_silence_was_asked_for() -> None:
    throttle = Throttle(100, 0.3)
    throttle.be_silent(30, 0.0)
    refused = []
    for weight in (MARKET, EXIT, ORDER):
        with pytest.raises(RateLimited) as limited:
            throttle.take(weight, 10.0)
        assert not limited.value.is_own_count
        assert limited.value.retry_after_s == 20
        refused.append(limited.value)
    throttle.take(ORDER, 30.0)
    fired(refused)


@pytest.mark.fault("X14", "SAID")
def test_each_forbidden_page_in_a_row_doubles_the_silence() -> None:
    throttle = Throttle(100, 0.3)
    silences_s = []
    for page_s in (0.0, 60.0, 200.0):
        if page_s == 200:
            throttle.answered()
        throttle.be_silent(60, page_s, is_forbidden=True)
        silences_s.append(throttle.silence_s(page_s))
    assert silences_s == [60, 120, 60]
    fired([longer for shorter, longer in pairwise(silences_s) if longer > shorter])


@pytest.mark.parametrize(
    ("rest", "ws", "is_loopback"),
    [
        ("http://127.0.0.1:8090", "ws://127.0.0.1:8090", True),
        ("http://localhost:1", "ws://[::1]:1", True),
        ("http://127.0.0.1:8090", None, False),
        ("http://127.0.0.1:8090", "wss://stream.binance.com", False),
        ("http://127.0.0.1.example.org", "ws://127.0.0.1:1", False),
        (None, None, False),
    ],
)
def test_only_loopback_on_both_roads_is_simulated(
    rest: str | None, ws: str | None, is_loopback: bool
) -> None:
    assert GatewaySettings(rest_url=rest, ws_url=ws).is_loopback is is_loopback


def test_secrets_are_not_shown() -> None:
    assert "CANARY" not in repr(GatewaySettings(api_key="CANARY1", secret="CANARY2"))


def test_what_charts_and_account_lists_may_use_leaves_the_share_of_prices() -> None:
    throttle = Throttle(100, 0.3, 0.05, 0.2)
    for _ in range(5):
        throttle.take(MARKET, 0.0)
    with pytest.raises(RateLimited, match="50 of 50"):
        throttle.take(MARKET, 0.0)
    throttle.take(Weight(25, Urgency.ACCOUNT), 0.0)
    with pytest.raises(RateLimited, match="75 of 75"):
        throttle.take(Weight(1, Urgency.ACCOUNT), 0.0)
    for _ in range(5):
        throttle.take(PRICE, 0.0)


def test_beyond_their_share_prices_are_any_other_market_data_until_it_is_free_again() -> None:
    throttle = Throttle(100, 0.3, 0.05, 0.2)
    throttle.take(Weight(60, Urgency.ACCOUNT), 0.0)
    for _ in range(5):
        throttle.take(PRICE, 1.0)
    with pytest.raises(RateLimited, match="80 of 70") as caught:
        throttle.take(PRICE, 2.0)
    assert caught.value.retry_after_s == 58
    throttle.take(PRICE, 60.0)
