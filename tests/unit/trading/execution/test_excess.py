"""What was bought too much, and what of it nobody has dealt with before the process died."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, Event, FillBooked, IntentOpened
from trading.domain.order import Fill, Intent, Purpose, Side
from trading.execution.excess import late, owed, unwound

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENTRY = Intent(
    intent_id="install:command:tap:BTC/USDT",
    symbol="BTC/USDT",
    side=Side.BUY,
    purpose=Purpose.ENTRY,
    reference_price=Decimal(60_000),
    created_at=NOW,
    quantity=Decimal("0.05"),
)


def filled(quantity: str, trade_id: str = "1", intent: Intent = ENTRY) -> FillBooked:
    fill = Fill(
        symbol=intent.symbol,
        trade_id=trade_id,
        client_order_id="ux-1",
        side=intent.side,
        quantity=Decimal(quantity),
        price=Decimal(60_000),
        fee=Decimal(0),
        fee_asset="USDT",
        at=NOW,
    )
    return FillBooked(fill, intent.intent_id, "BTC", "USDT", NOW)


def told(alert_id: str) -> AlertRaised:
    return AlertRaised(alert_id, Severity.CRIT, "", NOW)


OPENED = IntentOpened(ENTRY, NOW)
BOTH = (OPENED, filled("0.05"), filled("0.03", "2"))


def test_what_was_booked_and_not_told_is_owed() -> None:
    [found] = owed(BOTH)
    assert found == late(ENTRY, Decimal(0), Decimal("0.03"))
    assert (found.quantity, found.bought) == (Decimal("0.03"), ENTRY)


def test_what_was_told_is_owed_no_more_and_what_came_after_that_is() -> None:
    first = late(ENTRY, Decimal(0), Decimal("0.03"))
    assert owed((*BOTH, told(first.alert_id))) == []
    [rest] = owed((*BOTH, told(first.alert_id), filled("0.01", "3")))
    assert rest.quantity == Decimal("0.01")
    assert rest.alert_id != first.alert_id


@pytest.mark.parametrize(
    "events",
    [
        (OPENED, filled("0.05")),
        # Its decision lies before what was read: how much was wanted is not known.
        BOTH[1:],
        # An alert of an earlier version does not say of how much it was.
        (*BOTH, told(f"excess:{ENTRY.intent_id}:2026-11-20T12:00:00+00:00")),
        (
            IntentOpened(replace(ENTRY, side=Side.SELL), NOW),
            filled("0.08", intent=replace(ENTRY, side=Side.SELL)),
        ),
        (),
    ],
)
def test_nothing_is_owed_where_nothing_is_known_to_be_too_much(events: Sequence[Event]) -> None:
    assert owed(events) == []


def test_what_its_stop_unwound_and_what_others_owe_are_no_part_of_it() -> None:
    other = unwound(ENTRY, Decimal(0), Decimal("0.04"))
    stranger = late(replace(ENTRY, intent_id="other"), Decimal(0), Decimal(1))
    [found] = owed((*BOTH, told(other.alert_id), told(stranger.alert_id)))
    assert found.quantity == Decimal("0.03")
