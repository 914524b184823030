"""What an exchange and a disk can do to an order: each decision still happens exactly once."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests import builders
from tests.catalogue import fired
from tests.unit.trading.execution.desk import BTC, Desk
from trading.domain import events
from trading.domain.errors import StorageLost
from trading.domain.instrument import InstrumentStatus
from trading.domain.order import (
    IntentState,
    OrderRequest,
    OrderStatus,
    OrderType,
    Purpose,
    SendEvidence,
    Side,
)
from trading.domain.position import Balance

HALF = Decimal("0.5")


def assert_once(desk: Desk, quantity: Decimal = HALF) -> None:
    """No id was sent twice, no more was sold than wanted, and the position follows."""
    assert len(set(desk.exchange.ids)) == len(desk.exchange.ids)
    assert desk.exchange.filled() == quantity
    assert desk.managed == HALF - quantity
    booked = desk.store.of(events.FillBooked)
    assert sum(one.fill.quantity for one in booked) == quantity


# ------------------------------------------------------------ X: the exchange


@pytest.mark.fault("X01", "ONE EQ SAID")
async def test_x01_a_lost_answer_is_resolved_by_query_and_nothing_is_sent_again() -> None:
    desk = Desk()
    lost = desk.exchange.fail("lost_after")
    silent = desk.exchange.fail("stream_lost", times=9)
    started_s = desk.time.monotonic()
    final = await desk.run(desk.exit())
    assert (lost.fired, len(desk.exchange.sent), silent.fired) == (1, 1, 0)
    assert "unknown" in desk.states()
    assert final.state is IntentState.DONE
    assert desk.time.monotonic() - started_s <= 2
    assert_once(desk)
    fired(lost.fired)


@pytest.mark.fault("X02", "ONE SAID")
async def test_x02_a_request_that_never_left_goes_again_under_its_own_id() -> None:
    desk = Desk()
    refused = desk.exchange.fail("not_sent", times=2)
    await desk.run(desk.exit())
    assert refused.fired == 2
    assert len(desk.exchange.sent) == 1
    assert desk.exchange.queries == 0
    assert_once(desk)
    fired(refused.fired)


@pytest.mark.fault("X02", "ONE TELL")
async def test_x02_a_request_that_cannot_leave_for_long_is_priced_afresh() -> None:
    desk = Desk()
    refused = desk.exchange.fail("not_sent", times=14)
    began_s = desk.time.monotonic()
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.told_loudly("cannot leave this machine"))
    assert desk.time.monotonic() - began_s <= 10
    await desk.done()
    assert refused.fired == 14
    assert len([one for one in desk.alerts if "cannot leave" in one.text]) == 1
    assert desk.exchange.sent[0].client_order_id.endswith("-2")
    assert_once(desk)
    fired(refused.fired)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(502, None, marks=pytest.mark.fault("X03", "ONE EQ SAID")),
        pytest.param(504, -1007, marks=pytest.mark.fault("X05", "ONE")),
        pytest.param(400, -1006, marks=pytest.mark.fault("X04", "ONE EQ")),
        pytest.param(400, -1000, marks=pytest.mark.fault("X06", "ONE")),
        pytest.param(400, -1001, marks=pytest.mark.fault("X06", "ONE")),
        pytest.param(400, -1008, marks=pytest.mark.fault("X06", "ONE SAID")),
        pytest.param(200, None, marks=pytest.mark.fault("X25", "SAID")),
    ],
)
async def test_x03_an_error_after_acceptance_hides_nothing(status: int, code: int | None) -> None:
    desk = Desk()
    fault = desk.exchange.fail("answer_after", status=status, code=code, message="<html>")
    await desk.run(desk.exit())
    fired(fault, words=f"HTTP {status}, code {code}")
    assert len(desk.exchange.sent) == 1
    assert_once(desk)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(503, None, marks=pytest.mark.fault("X03b", "ONE SAID")),
        pytest.param(400, -1006, marks=pytest.mark.fault("X04", "ONE SAID")),
        pytest.param(504, -1007, marks=pytest.mark.fault("X05", "ONE")),
        pytest.param(503, -1008, marks=pytest.mark.fault("X06", "ONE")),
    ],
)
async def test_x03b_an_error_before_acceptance_is_proven_absent_before_the_next_attempt(
    status: int, code: int | None
) -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=status, code=code, message="<html>")
    started_s = desk.time.monotonic()
    await desk.run(desk.exit())
    fired(fault, words=f"HTTP {status}, code {code}")
    assert [one[-2:] for one in desk.exchange.ids] == ["-1", "-2"]
    assert desk.states().count("absent") == 1
    # recvWindow 3 s + 10 s + 5 s, then two not-founds 3 s apart
    assert 21 <= desk.time.monotonic() - started_s <= 25
    assert_once(desk)


@pytest.mark.fault("X04", "ONE EQ")
async def test_x04_an_unknown_code_is_never_taken_for_a_refusal() -> None:
    desk = Desk()
    fault = desk.exchange.fail("answer_after", status=400, code=-9999, message="new in 2027")
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert len(desk.exchange.sent) == 1
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X05", "ONE SAID")
@pytest.mark.fault("W09", "SAID")
async def test_x05_a_report_before_the_answer_ends_the_matter() -> None:
    desk = Desk()
    first = desk.exchange.fail("report_first")
    timeout = desk.exchange.fail("answer_after", status=504, code=-1007, message="Timeout")
    await desk.run(desk.exit())
    assert (first.fired, timeout.fired) == (1, 1)
    assert len(desk.exchange.sent) == 1
    assert desk.exchange.queries == 0
    assert_once(desk)
    fired([first, timeout])


@pytest.mark.fault("X05", "ONE")
@pytest.mark.fault("W09", "SAID")
async def test_x05_a_report_ends_the_wait_for_an_answer_that_hangs() -> None:
    desk = Desk()
    desk.exchange.fail("report_first")
    hang = desk.exchange.fail("hang", after_s=14)
    started_s = desk.time.monotonic()
    await desk.run(desk.exit())
    assert hang.fired == 1
    assert desk.time.monotonic() - started_s < 1
    await desk.time.pass_by(20)
    assert_once(desk)
    fired(hang.fired)


@pytest.mark.fault("X07", "EQ SAID")
async def test_x07_a_query_that_lags_is_no_proof_of_absence() -> None:
    desk = Desk()
    desk.exchange.on_report = None
    lost = desk.exchange.fail("lost_after", lag_s=15)
    lag = desk.exchange.fail("query_lag", times=99)
    await desk.run(desk.exit())
    assert lost.fired == 1
    assert lag.fired >= 5
    assert "absent" not in desk.states()
    assert len(desk.exchange.sent) == 1
    assert_once(desk)
    fired(lag.fired)


@pytest.mark.fault("X08", "ONE SAID")
async def test_x08_an_engine_that_hangs_longer_than_our_deadline_is_asked_not_repeated() -> None:
    desk = Desk()
    hang = desk.exchange.fail("hang", after_s=40)
    desk.exchange.on_report = None
    await desk.run(desk.exit())
    assert hang.fired == 1
    assert len(desk.exchange.sent) == 1
    await desk.time.pass_by(60)
    assert_once(desk)
    fired(hang.fired)


@pytest.mark.fault("X08c", "CRIT")
async def test_x08c_an_order_that_was_proven_absent_and_matches_later_is_found_and_told() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    late = desk.exchange.fail("late_match", after_s=60)
    final = await desk.run(desk.exit())
    assert (late.fired, final.state) == (1, IntentState.DONE)
    assert "absent" in desk.states()
    await desk.time.pass_by(60)
    assert desk.told_loudly("proven absent and appeared late")
    assert desk.states()[-1] == "filled"
    # Both fills are facts, and both are booked once.
    assert len(desk.store.of(events.FillBooked)) == 2
    fired(late.fired)


@pytest.mark.fault("X08c", "CRIT")
async def test_x08c_a_late_order_is_found_by_the_regular_check_when_the_stream_is_silent() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    late = desk.exchange.fail("late_match", after_s=60)
    desk.exchange.on_report = None
    await desk.run(desk.exit())
    await desk.time.pass_by(60)
    assert late.fired == 1
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.told_loudly("proven absent and appeared late")
    fired(late.fired)


@pytest.mark.fault("X08c")
@pytest.mark.parametrize("has_ended", [False, True])
async def test_x08c_the_cancel_of_a_late_order_is_asked_for_until_it_is_proven(
    *, has_ended: bool
) -> None:
    desk = Desk()
    late = desk.exchange.fail("late_match", after_s=60)
    await desk.open(desk.entry(limit_price=Decimal(50_000)))
    await desk.time.until(lambda: len(desk.exchange.sent) == 2, 60)
    if has_ended:
        await desk.time.finish(desk.engine.give_up(desk.engine.entries, ()))
        await desk.time.until(lambda: not desk.engine.intents, 60)
    mute = desk.exchange.fail("cancel_mute", times=2)
    for _ in range(10):
        await desk.time.pass_by(10)
        await desk.time.finish(desk.engine.check_open_attempts())
    assert mute.fired == 2
    # The one that was sent in its place is what the decision wants, while it does.
    resting = [one.is_open for one in desk.exchange.history]
    assert resting == ([False, False] if has_ended else [True, False])
    fired(late.fired)


@pytest.mark.fault("X08c")
async def test_x08c_no_report_waits_for_the_answer_to_the_cancel_of_a_late_order() -> None:
    desk = Desk()
    late = desk.exchange.fail("late_match", after_s=60)
    await desk.open(desk.entry(limit_price=Decimal(50_000)))
    cancel, asked = desk.exchange.cancel, list[str]()

    async def slowly(symbol: str, client_order_id: str) -> SendEvidence:
        asked.append(client_order_id)
        await desk.time.sleep(15)
        return await cancel(symbol, client_order_id)

    desk.exchange.cancel = slowly  # type: ignore[method-assign]
    await desk.time.until(lambda: bool(asked), 90)
    # Only the stream tells of this sale for now.
    desk.exchange.fail("report_first")
    desk.exchange.fail("lost_after", lag_s=30)
    await desk.open(desk.exit())
    await desk.time.pass_by(1)
    assert desk.managed == 0
    await desk.time.pass_by(15)
    assert asked == desk.exchange.cancelled == [desk.exchange.sent[0].client_order_id]
    fired(late.fired)


@pytest.mark.fault("X08c")
async def test_x08c_the_cancel_of_a_late_order_puts_off_no_proof_about_the_next_one() -> None:
    desk = Desk()
    late = desk.exchange.fail("late_match", after_s=40)
    await desk.open(desk.entry(limit_price=Decimal(50_000)))
    await desk.time.pass_by(5)
    desk.exchange.fail("late_match", after_s=5000)
    await desk.time.until(lambda: len(desk.exchange.sent) == 2, 60)
    desk.exchange.fail("cancel_mute", times=9)
    for _ in range(3):
        await desk.time.pass_by(8)
        await desk.time.finish(desk.engine.check_open_attempts())
    assert "pending_cancel" in desk.states()
    assert desk.states().count("absent") == 2
    fired(late.fired)


@pytest.mark.fault("X08c")
async def test_x08c_a_cancel_of_a_late_order_that_fails_is_logged_and_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    late = desk.exchange.fail("late_match", after_s=40)
    await desk.open(desk.entry(limit_price=Decimal(50_000)))
    cancel = desk.exchange.cancel

    async def broken(symbol: str, client_order_id: str) -> SendEvidence:
        desk.exchange.cancel = cancel  # type: ignore[method-assign]
        raise ValueError("an error of ours")

    desk.exchange.cancel = broken  # type: ignore[method-assign]
    for _ in range(8):
        await desk.time.pass_by(10)
        await desk.time.finish(desk.engine.check_open_attempts())
    assert [one.message for one in caplog.records].count("cancel_failed") == 1
    assert [one.is_open for one in desk.exchange.history] == [True, False]
    fired(late.fired)


@pytest.mark.fault("X08c")
async def test_x08c_a_late_order_that_rests_is_cancelled() -> None:
    desk = Desk(balances={"BTC": "0", "USDT": "100000"})
    late = desk.exchange.fail("late_match", after_s=60)
    intent = desk.entry("1000", limit_price=Decimal(59_000))
    await desk.open(intent)
    await desk.time.until(lambda: "absent" in desk.states())
    await desk.time.pass_by(60)
    assert [one[-2:] for one in desk.exchange.cancelled] == ["-1"]
    assert [order.is_open for order in desk.exchange.history] == [True, False]
    fired(late.fired)


@pytest.mark.fault("X09", "SAID")
async def test_x09_duplicate_order_sent_is_evidence_that_it_lives() -> None:
    desk = Desk()
    fault = desk.exchange.fail(
        "answer_after", status=400, code=-2010, message="Duplicate order sent."
    )
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert "rejected" not in desk.states()
    assert len(desk.exchange.sent) == 1
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X10", "ONE SAID")
async def test_x10_no_id_is_sent_twice_though_the_exchange_would_take_it_again() -> None:
    desk = Desk(balances={"BTC": "1", "USDT": "0"})
    half = desk.exchange.fail("expire_half", times=3)
    await desk.run(desk.exit())
    assert half.fired == 3
    assert_once(desk)
    again = await desk.time.finish(desk.exchange.submit(desk.exchange.sent[-1]))
    assert again.report is not None
    fired(desk.exchange.accepted_again)


@pytest.mark.fault("X11")
async def test_x11_a_clock_that_is_off_is_measured_again_and_the_next_attempt_has_a_new_id() -> (
    None
):
    desk = Desk()
    fault = desk.exchange.fail(
        "refuse", status=400, code=-1021, message="Timestamp outside of the recvWindow."
    )
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert desk.exchange.clock_reads == 1
    assert [one[-2:] for one in desk.exchange.ids] == ["-1", "-2"]
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X11")
async def test_x11_many_orders_refused_for_the_clock_at_once_measure_it_once() -> None:
    desk = Desk(managed="0.5")
    fault = desk.exchange.fail(
        "refuse", times=5, status=400, code=-1021, message="Timestamp outside of the recvWindow."
    )
    read, measured = desk.exchange.clock_offset_ms, 0

    async def slowly() -> int:
        nonlocal measured
        measured += 1
        await desk.time.sleep(0.5)
        return await read()

    desk.exchange.clock_offset_ms = slowly  # type: ignore[method-assign]
    for number in range(5):
        await desk.open(desk.exit("0.1", intent_id=f"tracker:{number}:1", tracker_id=number))
    await desk.time.until(lambda: desk.exchange.filled() == Decimal("0.5"))
    assert fault.fired == 5
    assert measured == 1
    fired(fault.fired)


@pytest.mark.fault("X12", "TELL SAID")
async def test_x12_after_a_rate_limit_nothing_is_sent_until_it_is_over() -> None:
    desk = Desk()
    fault = desk.exchange.fail("limit", retry_after_s=30)
    started_s = desk.time.monotonic()
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert len(desk.exchange.sent) == 2
    assert 30 <= desk.time.monotonic() - started_s <= 31
    assert desk.told("asks for silence for 30 s")
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X13", "CRIT")
async def test_x13_a_ban_is_waited_out_and_told_loudly() -> None:
    desk = Desk()
    fault = desk.exchange.fail("limit", status=418, retry_after_s=120)
    started_s = desk.time.monotonic()
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert len(desk.exchange.sent) == 2
    assert desk.time.monotonic() - started_s >= 120
    [alert] = [one for one in desk.alerts if "banned us" in one.text]
    assert alert.severity.value == "crit"
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X14")
async def test_x14_a_forbidden_page_is_unknown_and_silences() -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=403, message="<html>")
    await desk.run(desk.exit())
    assert fault.fired == 1
    assert "unknown" in desk.states()
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X15", "STOP CRIT")
async def test_x15_a_refused_key_blocks_and_the_exit_goes_on_when_it_works_again() -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=401, code=-2015, message="Invalid API-key")
    desk.exchange.is_key_lost = True
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("key refused") > 0)
    # The order's own refusal counts, before anybody looks at the key (docs/decisions/0046).
    assert desk.keys_refused == 1
    await desk.time.pass_by(90)
    assert fault.fired == 1
    assert len(desk.exchange.sent) == 1
    desk.exchange.is_key_lost = False
    await desk.done()
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X15", "STOP CRIT")
async def test_x15_an_exit_goes_on_as_soon_as_any_request_was_taken_with_the_key() -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=401, code=-2015, message="Invalid API-key")
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("key refused") > 0)
    since_s = desk.time.monotonic()
    await desk.time.pass_by(1)
    desk.engine.key_was_taken()
    await desk.done()
    assert desk.time.monotonic() - since_s < 5
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X15", "STOP CRIT")
async def test_x15_a_key_that_reads_and_may_not_trade_is_not_tried_with_each_answer() -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=401, code=-2015, message="no rights", times=99)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("key refused") > 0)
    for _ in range(24):
        await desk.time.pass_by(5)
        desk.engine.key_was_taken()
        await desk.time.settle()
    # Three at once, and then one in half a minute.
    assert fault.fired <= 9
    fired(fault.fired)


@pytest.mark.fault("X15", "STOP CRIT")
async def test_x15_the_check_of_open_orders_does_not_put_off_the_look_at_the_key() -> None:
    desk = Desk()
    fault = desk.exchange.fail("refuse", status=401, code=-2015, message="Invalid API-key")
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("key refused") > 0)
    for _ in range(4):
        await desk.time.pass_by(10)
        await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.final() is not None
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X16", "CRIT")
async def test_x16_an_exit_is_sized_down_to_what_is_free() -> None:
    desk = Desk(balances={"BTC": "0.3", "USDT": "0"})
    desk.frozen_balances = {"BTC": Balance("BTC", HALF, Decimal(0))}
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.exchange.filled() > 0)
    assert desk.exchange.refused[0][1].startswith("Account has insufficient")
    assert desk.exchange.filled() == Decimal("0.3")
    await desk.time.until(lambda: desk.blocked("coins are not free") > 0)
    assert desk.final() is None
    fired(desk.exchange.refused)


@pytest.mark.fault("X16", "CRIT")
async def test_x16_insufficient_balance_never_loops() -> None:
    desk = Desk()
    fault = desk.exchange.fail("insufficient", times=50)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("coins are not free") > 0)
    assert fault.fired == 4
    assert len(desk.exchange.sent) == 4
    assert desk.exchange.filled() == 0
    fired(fault.fired)


@pytest.mark.fault("X16")
async def test_x16_an_exit_whose_coins_are_gone_says_so_each_time_it_looks() -> None:
    desk = Desk()
    desk.exchange.coins["BTC"] = Decimal("0.1")
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("coins are not free") > 0)
    assert desk.exchange.filled() == Decimal("0.1")
    told = len(desk.missing)
    assert set(desk.missing) == {"BTC"}
    await desk.time.pass_by(31)
    assert len(desk.missing) == told + 3
    # Whose they were, and what that leaves of them, is not for an exit to say.
    assert desk.final() is None
    assert desk.managed == Decimal("0.4")
    fired(desk.missing)


@pytest.mark.fault("X16")
async def test_x16_coins_that_another_order_locks_are_not_called_missing() -> None:
    desk = Desk()
    desk.exchange.locked["BTC"], desk.exchange.coins["BTC"] = HALF, Decimal(0)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("coins are not free") > 0)
    await desk.time.pass_by(31)
    assert desk.missing == []
    fired(desk.exchange.balance_reads)


@pytest.mark.fault("X31", "TELL")
async def test_x31_an_empty_balance_is_not_a_sale() -> None:
    desk = Desk()
    empty = desk.exchange.fail("empty_balances", times=2)
    desk.frozen_balances = {"BTC": Balance("BTC", Decimal(0), Decimal(0))}
    await desk.open(desk.exit())
    await desk.time.until(lambda: empty.fired == 2)
    assert desk.blocked("coins are not free")
    assert desk.managed == HALF
    final = await desk.done()
    assert final.state is IntentState.DONE
    assert_once(desk)
    fired(empty.fired)


@pytest.mark.fault("X17", "SAID")
async def test_x17_changed_rules_are_loaded_once_and_the_quantity_is_floored_anew() -> None:
    desk = Desk(managed="0.5")
    desk.exchange.rules[BTC] = replace(builders.bitcoin(), quantity_step=Decimal("0.2"))
    final = await desk.run(desk.exit())
    assert desk.exchange.refused[0][1] == "Filter failure: LOT_SIZE"
    assert desk.exchange.rule_loads == 1
    # 0.5 floored to steps of 0.2 is 0.4, what is left is smaller than a step
    assert desk.exchange.filled() == Decimal("0.4")
    assert final.state in {IntentState.DONE, IntentState.DUST}
    fired(desk.exchange.refused)


@pytest.mark.fault("X17", "TELL")
async def test_x17_a_rule_that_refuses_twice_blocks_and_tells() -> None:
    desk = Desk()
    fault = desk.exchange.fail(
        "refuse", times=2, status=400, code=-1013, message="Filter failure: NEW_RULE"
    )
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("order rules") > 0)
    assert fault.fired == 2
    await desk.done()
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X18", "CRIT SAID")
async def test_x18_a_price_band_lets_the_exit_wait_inside_it() -> None:
    desk = Desk()
    fault = desk.exchange.fail(
        "refuse", times=3, status=400, code=-1013, message="Filter failure: PERCENT_PRICE"
    )
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("price band") > 0)
    await desk.done()
    assert fault.fired == 3
    assert all(request.order_type is OrderType.LIMIT for request in desk.exchange.sent)
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X19", "CRIT SAID")
async def test_x19_a_closed_market_blocks_and_the_exit_resumes_within_five_seconds() -> None:
    desk = Desk()
    closed = replace(builders.bitcoin(), status=InstrumentStatus.HALTED)
    desk.exchange.rules[BTC] = closed
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.blocked("market closed") > 0)
    await desk.time.pass_by(130)
    desk.exchange.rules[BTC] = builders.bitcoin()
    started_s = desk.time.monotonic()
    await desk.done()
    assert desk.time.monotonic() - started_s <= 5
    assert_once(desk)
    fired(desk.blocked("market closed"))


@pytest.mark.fault("X20", "ONE SAID")
async def test_x20_an_order_that_expires_half_filled_is_followed_by_one_for_the_rest() -> None:
    desk = Desk()
    half = desk.exchange.fail("expire_half", times=2)
    started_s = desk.time.monotonic()
    final = await desk.run(desk.exit())
    assert half.fired == 2
    assert final.state is IntentState.DONE
    assert len(desk.exchange.sent) == 3
    assert desk.time.monotonic() - started_s <= 1
    assert_once(desk)
    fired(half.fired)


@pytest.mark.fault("X20", "ONE")
async def test_x20_a_market_order_that_expires_half_filled_is_repeated() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal(0)
    await desk.open(desk.exit())
    await desk.time.until(lambda: len(desk.exchange.sent) == 3)
    desk.exchange.depth[BTC] = Decimal(10)
    half = desk.exchange.fail("expire_half")
    await desk.done()
    assert half.fired == 1
    kinds = [request.order_type for request in desk.exchange.sent[3:]]
    assert kinds == [OrderType.MARKET, OrderType.MARKET]
    assert_once(desk)
    fired(half.fired)


@pytest.mark.fault("X21", "TELL SAID")
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "by hand"])
async def test_x21_a_purchase_that_a_sale_would_meet_is_cancelled_and_the_sale_goes_on(
    is_ours: bool,
) -> None:
    desk = Desk()
    desk.exchange.prevents_self_trades = True
    if is_ours:
        await desk.open(desk.entry("597", limit_price=Decimal(59_700)))
        await desk.time.until(lambda: "open" in desk.states())
    else:
        by_hand = OrderRequest(
            "web_1", BTC, Side.BUY, OrderType.LIMIT, Decimal("0.01"), Decimal(59_700)
        )
        await desk.exchange.submit(by_hand)
        desk.exchange.sent.clear()
    started_s = desk.time.monotonic()
    await desk.open(desk.exit(reference_price=Decimal(59_900)))
    await desk.done()
    assert desk.exchange.self_trades == 1
    assert desk.time.monotonic() - started_s <= 1
    [cancelled] = desk.exchange.cancelled
    assert (cancelled == "web_1") is not is_ours
    # The book was not asked, so that the next limit is no lower; no buyer was met.
    sales = [one for one in desk.exchange.sent if one.side is Side.SELL]
    assert sales[0].price == sales[1].price
    assert desk.exchange.filled(Side.BUY) == 0
    assert desk.told("stood in the way of a sale")
    assert desk.exchange.filled() == HALF
    fired(desk.exchange.self_trades)


@pytest.mark.fault("X22", "SAID")
async def test_x22_a_cancel_that_races_a_fill_books_the_fill() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)))
    await desk.time.until(lambda: "open" in desk.states())
    race = desk.exchange.fail("fill_before_cancel")
    await desk.engine.give_up(["tracker:1:1"], ())
    final = await desk.done()
    assert race.fired == 1
    assert len(desk.exchange.cancelled) == 1
    assert final.filled_quantity == HALF
    assert_once(desk)
    fired(race.fired)


async def test_a_cancel_that_waits_for_a_report_to_be_written_forgets_nothing_of_it() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)))
    await desk.time.until(lambda: "open" in desk.states())
    [order] = desk.exchange.history
    part = replace(
        desk.exchange.report_of(order),
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=Decimal("0.2"),
    )
    async with desk.records:
        desk.engine.on_report(part)
        await desk.time.settle()
        await desk.engine.give_up(["tracker:1:1"], ())
        await desk.time.settle()
    await desk.time.until(lambda: "pending_cancel" in desk.states())
    told = [fact.attempt.filled_quantity for fact in desk.store.of(events.AttemptChanged)]
    assert told == sorted(told)
    assert told[-1] == Decimal("0.2")


@pytest.mark.fault("X24", "ONE SAID")
async def test_x24_a_lost_answer_to_a_cancel_keeps_it_pending_until_proof() -> None:
    desk = Desk()
    await desk.open(desk.exit(purpose=Purpose.CLOSE, limit_price=Decimal(70_000)))
    await desk.time.until(lambda: "open" in desk.states())
    lost = desk.exchange.fail("cancel_lost")
    desk.exchange.on_report = None
    await desk.engine.give_up(["tracker:1:1"], ())
    final = await desk.done()
    assert lost.fired == 1
    assert desk.states()[-2:] == ["pending_cancel", "canceled"]
    assert len(desk.exchange.cancelled) == 2
    assert final.state is IntentState.ABORTED
    assert_once(desk, Decimal(0))
    fired(lost.fired)


@pytest.mark.fault("X25", "SAID")
async def test_x25_an_unusable_answer_is_unknown_and_books_nothing_by_itself() -> None:
    desk = Desk()
    fault = desk.exchange.fail("answer_after", status=200, message="{}")
    await desk.open(desk.exit())
    await desk.time.settle()
    assert fault.fired == 1
    await desk.done()
    assert len(desk.exchange.sent) == 1
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X26", "EQ SAID")
async def test_x26_executions_that_an_answer_left_out_are_read_from_the_list() -> None:
    desk = Desk()
    fault = desk.exchange.fail("no_fills")
    unlisted = desk.exchange.fail("no_listing", times=3)
    started_s = desk.time.monotonic()
    final = await desk.run(desk.exit())
    assert (fault.fired, unlisted.fired) == (1, 3)
    assert final.filled_quantity == HALF
    assert desk.time.monotonic() - started_s <= 30
    assert_once(desk)
    fired(fault.fired)


@pytest.mark.fault("X26", "EQ")
async def test_x26_executions_that_stay_unlisted_are_told_and_nothing_is_sold_twice() -> None:
    desk = Desk()
    desk.exchange.fail("no_fills")
    unlisted = desk.exchange.fail("no_listing", times=20)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.told("has not listed its executions"))
    assert len(desk.exchange.sent) == 1
    await desk.done()
    assert unlisted.fired == 20
    assert_once(desk)
    fired(unlisted.fired)


@pytest.mark.fault("X26", "EQ")
async def test_x26_coins_that_are_sold_and_not_listed_yet_are_not_offered_again() -> None:
    desk = Desk()
    half = desk.exchange.fail("expire_half")
    desk.exchange.fail("no_fills")
    unlisted = desk.exchange.fail("no_listing", times=20)
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.exchange.filled() == HALF)
    await desk.time.settle()
    assert half.fired == 1
    assert desk.managed == Decimal("0.25")
    assert desk.engine.exiting(BTC) == Decimal("0.25")
    await desk.done()
    assert desk.engine.exiting(BTC) == desk.managed == 0
    fired(unlisted.fired)


@pytest.mark.fault("X26", "EQ")
@pytest.mark.parametrize("is_halted", [True, False])
async def test_x26_what_an_exit_has_sold_is_booked_though_the_rest_of_it_is_blocked(
    is_halted: bool,
) -> None:
    desk = Desk()
    half = desk.exchange.fail("expire_half")
    desk.exchange.fail("no_fills")

    def blocked(_: OrderRequest) -> None:
        if is_halted:
            desk.engine.hold()
        else:
            desk.exchange.fail("refuse", times=99, status=401, code=-2015, message="Invalid key")

    desk.exchange.before_accept = blocked
    await desk.open(desk.exit())
    await desk.time.pass_by(10)
    await desk.time.finish(desk.engine.check_open_attempts())
    assert desk.blocked("halted" if is_halted else "key refused")
    assert desk.exchange.filled() == desk.managed == Decimal("0.25")
    [intent] = desk.engine.intents
    assert (intent.state, intent.filled_quantity) == (IntentState.BLOCKED, Decimal("0.25"))
    fired(half.fired)


@pytest.mark.fault("X36", "SAID")
async def test_x36_an_execution_that_arrives_three_ways_is_booked_once() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    [order] = desk.exchange.history
    for _ in range(3):
        desk.engine.on_report(desk.exchange.report_of(order))
    await desk.time.finish(desk.engine.check_open_attempts())
    await desk.time.finish(desk.engine.reconcile([BTC]))
    assert_once(desk)
    # Each of them tells of every fill again.
    fired(3 * len(order.fills))


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        pytest.param("lost_after", {}, marks=pytest.mark.fault("X01", "ONE EQ TELL")),
        pytest.param(
            "answer_after",
            {"status": 502, "message": "<html>"},
            marks=pytest.mark.fault("X03", "ONE EQ TELL"),
        ),
    ],
)
async def test_an_exchange_that_is_down_for_long_is_told_and_the_exit_happens_once(
    kind: str, args: dict[str, Any]
) -> None:
    desk = Desk()
    lost = desk.exchange.fail(kind, **args)
    desk.exchange.on_report = None
    await desk.open(desk.exit())
    await desk.time.settle()
    fired(lost.fired)
    desk.exchange.is_down = True
    await desk.time.pass_by(36)
    assert desk.told("what became of the sale of 0.5 BTC")
    await desk.time.pass_by(114)
    waits = (alert for alert in desk.alerts if "became of the sale" in alert.text)
    severities = [alert.severity.value for alert in waits]
    assert severities == ["warn", "crit"]
    assert "absent" not in desk.states()
    desk.exchange.is_down = False
    await desk.done()
    assert_once(desk)


@pytest.mark.fault("X01", "ONE EQ SAID")
@pytest.mark.parametrize("gone_s", [2.4, 7.7, 19.9, 45.0])
async def test_x01_a_lost_answer_is_resolved_soon_after_the_link_is_back(gone_s: float) -> None:
    desk = Desk()
    lost = desk.exchange.fail("lost_after")
    desk.exchange.on_report = None
    await desk.open(desk.exit())
    await desk.time.settle()
    desk.exchange.is_down = True
    await desk.time.pass_by(gone_s)
    assert desk.states()[-1] == "unknown"
    desk.exchange.is_down = False
    back_s = desk.time.monotonic()
    await desk.done()
    assert desk.time.monotonic() - back_s <= max(0.5, gone_s / 10)
    assert_once(desk)
    fired(lost.fired)


@pytest.mark.fault("M14", "SAID")
async def test_m14_a_half_sold_exit_goes_on_when_the_price_recovers() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.2")
    await desk.open(desk.exit())
    await desk.time.until(lambda: desk.exchange.filled() == Decimal("0.2"))
    fired([one for one in desk.exchange.history if 0 < one.filled < one.request.quantity])
    desk.exchange.set_price(BTC, "66000")
    desk.exchange.depth.clear()
    final = await desk.done()
    assert final.state is IntentState.DONE
    assert_once(desk)


@pytest.mark.fault("M11", "EQ SAID")
async def test_m11_the_coin_of_the_fees_runs_out_between_two_purchases() -> None:
    desk = Desk()
    desk.exchange.fee_share = Decimal("0.001")
    desk.exchange.fee_asset = "BNB"
    desk.exchange.coins["BNB"] = Decimal(10)
    desk.exchange.prices["BNB/USDT"] = Decimal(600)
    desk.exchange.depth[BTC] = Decimal("0.05")
    await desk.open(desk.entry("6000"))
    await desk.time.until(lambda: desk.exchange.filled(Side.BUY) == Decimal("0.05"))
    desk.exchange.fee_asset = None
    desk.exchange.depth.clear()
    final = await desk.done("command:7:BTC/USDT")
    charged = [one.fill.fee_asset for one in desk.store.of(events.FillBooked)]
    fired(set(charged) - {"BNB"}, words=f"fees in {charged}")
    # A fee in the coin that was bought leaves less of it under care.
    assert final.filled_quantity > desk.managed - HALF > Decimal("0.099")
    assert desk.managed == desk.exchange.coins["BTC"]


async def test_a_rate_limit_while_searching_is_no_answer() -> None:
    desk = Desk()
    desk.exchange.fail("lost_after")
    desk.exchange.on_report = None
    limited = desk.exchange.fail("query_limit", times=3, retry_after_s=1)
    await desk.run(desk.exit())
    assert limited.fired == 3
    assert len(desk.exchange.sent) == 1
    assert_once(desk)


# ------------------------------------------------------------ S: storage


@pytest.mark.fault("S02", "KEEP ONE")
async def test_s02_a_write_that_was_taken_for_lost_and_kept_holds_nothing_up() -> None:
    desk = Desk()
    half = desk.exchange.fail("expire_half")
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(half.fired))
    await desk.time.until(lambda: len(desk.store.of(events.AttemptChanged)) > 0)
    desk.store.lose_answer()
    final = await desk.done()
    assert final.state is IntentState.DONE
    assert desk.exchange.filled() == HALF
    assert_once(desk)
    fired(desk.store.appends_lost)


@pytest.mark.fault("S01")
async def test_s01_an_entry_that_cannot_be_written_is_not_sent() -> None:
    desk = Desk()
    desk.store.lose()
    with pytest.raises(StorageLost):
        await desk.open(desk.entry())
    assert desk.exchange.sent == []
    assert desk.engine.intents == []
    fired(desk.store.appends_lost)


@pytest.mark.fault("S02", "KEEP ONE")
async def test_s02_a_full_disk_after_sending_never_sends_again_and_loses_nothing() -> None:
    desk = Desk()
    desk.exchange.before_accept = lambda request: desk.store.lose(reserve_too=True)
    final = await desk.run(desk.exit())
    assert final.state is IntentState.DONE
    assert len(desk.exchange.sent) == 1
    assert desk.managed == 0
    assert desk.store.of(events.FillBooked) == []
    await desk.time.pass_by(60)
    assert len(desk.exchange.sent) == 1
    desk.store.heal()
    await desk.time.finish(desk.engine.check_open_attempts())
    assert_once(desk)
    assert len(desk.store.of(events.IntentClosed)) == 1
    fired(desk.store.appends_lost)


@pytest.mark.fault("S02", "SAID")
async def test_s02_an_entry_s_outcome_survives_a_full_disk_in_the_reserve() -> None:
    desk = Desk()
    desk.exchange.before_accept = lambda request: desk.store.lose()
    final = await desk.run(desk.entry())
    assert final.filled_quantity > 0
    desk.store.heal()
    await desk.time.finish(desk.engine.check_open_attempts())
    await desk.store.append(events.Heartbeat(desk.time.now()))
    assert len(desk.store.of(events.FillBooked)) == 1
    fired(desk.store.appends_lost)


@pytest.mark.fault("S03", "ONE")
async def test_s03_a_stop_goes_out_once_through_the_reserve() -> None:
    desk = Desk()
    desk.store.lose()
    final = await desk.run(desk.exit())
    assert final.state is IntentState.DONE
    assert len(desk.exchange.sent) == 1
    desk.store.heal()
    await desk.store.append(events.Heartbeat(desk.time.now()))
    assert_once(desk)
    assert len(desk.store.of(events.AttemptPrepared)) == 1
    fired(desk.store.appends_lost)


@pytest.mark.fault("S03", "ONE CRIT")
async def test_s03_without_any_storage_a_stop_goes_to_the_market_once() -> None:
    desk = Desk()
    desk.store.lose(reserve_too=True)
    half = desk.exchange.fail("expire_half")
    await desk.open(desk.exit())
    await desk.time.pass_by(100)
    assert half.fired == 1
    [request] = desk.exchange.sent
    assert request.order_type is OrderType.MARKET
    assert desk.told_loudly("the journal cannot be written")
    assert desk.blocked("storage lost")
    desk.store.heal()
    await desk.done()
    assert [one[-2:] for one in desk.exchange.ids] == ["-1", "-2"]
    assert_once(desk)
    fired(half.fired)


@pytest.mark.fault("S03", "ONE SAID")
async def test_s03_a_restart_after_it_finds_that_order_by_its_derived_id() -> None:
    desk = Desk()
    desk.store.lose(reserve_too=True)
    desk.exchange.fail("expire_half")
    await desk.open(desk.exit())
    await desk.time.settle()
    await desk.time.finish(desk.engine.stop())
    desk.store.heal()
    again = desk.restarted()
    again.book.load({BTC: replace(desk.book.snapshot().positions[BTC], quantity=HALF)})
    await again.time.finish(again.engine.recover(await again.store.state()))
    again.engine.go_on()
    [unknown] = again.engine.unrecorded()
    assert unknown.client_order_id == desk.exchange.ids[0]
    # The stop triggers again, with the same arming: the same decision.
    final = await again.run(again.exit())
    assert final.filled_quantity == HALF
    assert [one[-2:] for one in again.exchange.ids] == ["-1", "-2"]
    assert again.exchange.filled() == HALF
    assert again.managed == 0
    fired(desk.store.appends_lost)


async def test_an_entry_s_next_attempt_is_not_sent_when_storage_is_lost() -> None:
    desk = Desk()
    desk.exchange.depth[BTC] = Decimal("0.001")
    desk.exchange.before_accept = lambda request: desk.store.lose()
    final = await desk.run(desk.entry())
    assert len(desk.exchange.sent) == 1
    assert final.state is IntentState.DONE
    assert desk.exchange.filled(Side.BUY) == Decimal("0.001")
