"""What was bought too much, and what of it nobody has dealt with before the process died."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised, Event, FillBooked, IntentClosed, IntentOpened
from trading.domain.order import Fill, Intent, Purpose, Side
from trading.execution.excess import UNWOUND, excess, owed

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


# It had bought this when its stop fired.
GIVEN_UP = replace(ENTRY, given_up=UNWOUND, given_up_filled=Decimal("0.02"))
OPENED = IntentOpened(ENTRY, NOW)
BOTH = (OPENED, filled("0.05"), filled("0.03", "2"))


def test_what_was_booked_and_not_told_is_owed() -> None:
    [found] = owed(BOTH, ())
    assert found == excess(ENTRY, Decimal(0), Decimal("0.03"))
    assert (found.quantity, found.bought) == (Decimal("0.03"), ENTRY)


def test_what_was_told_is_owed_no_more_and_what_came_after_that_is() -> None:
    first = excess(ENTRY, Decimal(0), Decimal("0.03"))
    assert owed((*BOTH, told(first.alert_id)), ()) == []
    [rest] = owed((*BOTH, told(first.alert_id), filled("0.01", "3")), ())
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
    assert owed(events, ()) == []


def test_what_its_stop_unwound_and_what_others_owe_are_no_part_of_it() -> None:
    other = excess(GIVEN_UP, Decimal(0), Decimal("0.04"))
    stranger = excess(replace(ENTRY, intent_id="other"), Decimal(0), Decimal(1))
    [found] = owed((*BOTH, told(other.alert_id), told(stranger.alert_id)), ())
    assert found.quantity == Decimal("0.03")


@pytest.mark.parametrize("has_ended", [False, True])
def test_what_it_bought_since_its_stop_had_fired_is_owed(*, has_ended: bool) -> None:
    bought = [OPENED, filled("0.02"), filled("0.02", "2")]
    ended = [IntentClosed(GIVEN_UP, NOW)] if has_ended else []
    at_work = [] if has_ended else [GIVEN_UP]
    [found] = owed([*bought, *ended], at_work)
    assert found == excess(GIVEN_UP, Decimal(0), Decimal("0.02"))
    assert (found.quantity, found.why) == (Decimal("0.02"), "its stop had fired")
    assert owed([*bought, *ended, told(found.alert_id)], at_work) == []
    [rest] = owed([*bought, *ended, told(found.alert_id), filled("0.01", "3")], at_work)
    assert rest.quantity == Decimal("0.01")


def test_what_was_given_up_by_another_word_owes_what_it_bought_beyond_its_decision() -> None:
    by_person = replace(GIVEN_UP, given_up="given up by a person")
    assert owed((OPENED, filled("0.04")), (by_person,)) == []
    [found] = owed(BOTH, (by_person,))
    assert found.quantity == Decimal("0.03")
