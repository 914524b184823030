"""Alarms of a decision are withdrawn once they are no longer true, over a restart too."""

from dataclasses import replace

import pytest

from tests.unit.trading.execution.desk import Desk
from tests.unit.trading.execution.test_recovery import killed, recovered
from trading.domain import events
from trading.domain.chat import Severity


async def standing(desk: Desk) -> list[str]:
    """What a start from this journal would go on repeating."""
    return [alert.text for alert in (await desk.store.state()).alerts]


async def ids(desk: Desk) -> list[str]:
    """Which alarms stand, oldest first."""
    return [alert.alert_id for alert in (await desk.store.state()).alerts]


async def test_the_alarm_of_a_ban_ends_with_the_sale_that_it_held_up() -> None:
    desk = Desk()
    fault = desk.exchange.fail("limit", status=418, retry_after_s=28)
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(desk.alerts), 10)
    [text] = await standing(desk)
    assert "banned us for 28 s, until" in text
    assert text.endswith("UTC: the sale waits")
    await desk.done()
    assert fault.fired == 1
    assert await standing(desk) == []


@pytest.mark.parametrize("is_met_by", ["a read", "a purchase"])
async def test_a_sale_in_a_silence_that_something_else_has_met_is_told_its_end(
    is_met_by: str,
) -> None:
    desk = Desk()
    if is_met_by == "a read":
        fault = desk.exchange.fail("not_sent", retry_after_s=45)
    else:
        fault = desk.exchange.fail("limit", status=418, retry_after_s=45)
        await desk.open(desk.entry())
        await desk.time.until(lambda: fault.fired == 1, 10)
        assert desk.alerts == []
    began_s = desk.time.monotonic()
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(desk.alerts), 10)
    assert desk.time.monotonic() - began_s <= 1
    [alert] = desk.alerts
    assert alert.severity is Severity.CRIT
    assert alert.text == (
        "BTC/USDT: the exchange asks for silence for 45 s, until 12:00:45 UTC: the sale waits"
    )
    await desk.done()
    assert fault.fired == 1
    assert await standing(desk) == []


async def test_the_alarm_of_a_ban_ends_when_the_exchange_answers_though_it_refuses() -> None:
    desk = Desk()
    ban = desk.exchange.fail("limit", status=418, retry_after_s=28)
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(desk.alerts), 10)
    closed = desk.exchange.fail("refuse", 99, status=400, code=-1013, message="Market is closed.")
    await desk.time.until(lambda: desk.blocked("market") > 0, 60)
    assert ban.fired == 1
    assert closed.fired
    assert await standing(desk) == []


async def test_an_order_of_unknown_outcome_stands_only_until_its_outcome_is_known() -> None:
    desk = Desk()
    fault = desk.exchange.fail("lost_after")
    await desk.open(desk.exit())
    desk.exchange.is_down = True
    await desk.time.until(lambda: desk.told_loudly("has not said"), 300)
    assert len(await standing(desk)) == 1
    desk.exchange.is_down = False
    await desk.done()
    assert fault.fired == 1
    assert await standing(desk) == []


@pytest.mark.parametrize("fault", ["lost_after", "refuse", "hang"])
async def test_a_sale_without_a_clear_answer_is_told_within_seconds_and_without_ids(
    fault: str,
) -> None:
    desk = Desk()
    desk.exchange.fail("stream_lost", 99)
    if fault == "hang":
        desk.exchange.is_hanging = True
    elif fault == "refuse":
        desk.exchange.fail("refuse", status=503, message="<html>")
    else:
        desk.exchange.fail("lost_after")
    since_s = desk.time.monotonic()
    await desk.open(desk.exit())
    desk.exchange.is_down = fault != "hang"
    await desk.time.until(lambda: bool(desk.alerts), 10)
    assert 3 <= desk.time.monotonic() - since_s <= 5
    [alert] = desk.alerts
    assert alert.severity is Severity.INFO
    assert alert.text == (
        "BTC/USDT: no clear answer to the sale of 0.5 BTC yet. Umbra asks the exchange what became "
        "of it; nothing is sent twice"
    )
    desk.exchange.is_down = desk.exchange.is_hanging = False
    await desk.done()
    assert len(desk.alerts) == 1
    assert await standing(desk) == []


async def test_a_sale_that_is_answered_at_once_needs_no_such_word() -> None:
    desk = Desk()
    await desk.run(desk.exit())
    assert desk.alerts == []


async def test_a_restart_withdraws_the_alarms_of_sales_that_are_over() -> None:
    desk = Desk()
    ban = desk.exchange.fail("limit", 1, status=418, retry_after_s=300)
    await desk.open(desk.exit())
    await desk.time.until(lambda: bool(desk.alerts), 10)
    own = desk.alerts[0].alert_id
    of_another = replace(desk.alerts[0], alert_id="rate_limit:tracker:9:1:20260101T000000:1")
    look_into = events.AlertRaised("late:tracker:9:1:x:2", Severity.CRIT, "late", desk.time.now())
    await desk.store.append(of_another, look_into)
    again = await killed(desk)
    again.exchange.is_down = True
    await recovered(again)
    assert ban.fired == 1
    assert await ids(again) == [own, look_into.alert_id]
    again.exchange.is_down = False
    await again.done()
    assert await ids(again) == [look_into.alert_id]
