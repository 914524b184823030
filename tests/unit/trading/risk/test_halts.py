"""What takes leave to add risk away, and that it is never given back by itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest

from tests.catalogue import fired
from trading.domain.chat import Severity
from trading.domain.events import PUT_BACK, AlertRaised, Event, ProcessStarted, ProcessStopped
from trading.domain.money import ZERO
from trading.domain.position import Balance, TradingMode
from trading.risk.halts import (
    ASKING_FOR_A_LOOK,
    CRASH_WINDOW,
    LIVES,
    Halt,
    capped,
    crash_loop,
    daily_loss,
    is_loosened,
    loss_share,
    put_back,
    runaway,
    stricter,
    unknown_orders,
)
from trading.risk.limits import RiskLimits

LIMITS = RiskLimits()
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _lives(story: str) -> Sequence[Event]:
    """A start for each `s`, an orderly end for each `e`."""
    return [
        ProcessStarted("1", "live", None, NOON + timedelta(seconds=second))
        if letter == "s"
        else ProcessStopped("asked to stop", NOON + timedelta(seconds=second))
        for second, letter in enumerate(story)
    ]


@pytest.mark.parametrize(
    ("story", "is_loop"),
    [
        ("", False),
        ("ss", False),
        ("sss", True),
        ("sesese", False),
        ("sesss", True),
        ("ssesse", False),
        ("essse", False),
        ("ssses", True),
    ],
)
def test_three_starts_without_an_orderly_end_are_a_crash_loop(story: str, is_loop: bool) -> None:
    halt = crash_loop(_lives(story))
    assert (halt is not None) is is_loop
    if halt is not None:
        assert halt.mode is TradingMode.REDUCING
        assert halt.reason == "SAFE MODE: 3 crashes within 5 minutes"


def test_starts_and_orderly_ends_of_five_minutes_tell_a_crash_loop() -> None:
    assert timedelta(minutes=5) == CRASH_WINDOW
    assert LIVES == ("ProcessStarted", "ProcessStopped")


@pytest.mark.parametrize(
    ("opened", "equity", "share"),
    [
        ("1000", "900", "0.1"),
        ("1000", "1000", "0"),
        ("1000", "1100", "0"),
        ("1000", "0", "1"),
        ("0", "0", "0"),
        ("-1", "5", "0"),
    ],
)
def test_a_loss_is_a_share_of_the_day_s_first_worth(opened: str, equity: str, share: str) -> None:
    assert loss_share(Decimal(opened), Decimal(equity)) == Decimal(share)


def test_a_daily_loss_at_its_limit_reduces() -> None:
    assert daily_loss(Decimal("0.09999"), LIMITS) is None
    assert daily_loss(Decimal("0.1"), LIMITS) == Halt(
        TradingMode.REDUCING, "daily loss 10% reached the limit of 10%"
    )


def test_what_has_no_price_is_named_beside_a_daily_loss() -> None:
    held = [Balance(f"COIN{number}", Decimal(5), ZERO) for number in range(5)]
    one, many = (daily_loss(Decimal("0.2"), LIMITS, some) for some in (held[:1], held))
    assert one is not None
    assert many is not None
    assert one.reason.endswith("; not counted: 5 COIN0, no price")
    assert many.reason.endswith("; not counted: 5 COIN0, 5 COIN1, 5 COIN2 and 2 more, no price")


@pytest.mark.fault("P14", "HALT")
def test_orders_at_twice_the_permitted_rate_are_a_runaway() -> None:
    halts = [halt for asked in (119, 120) if (halt := runaway(asked, LIMITS)) is not None]
    assert [halt.reason for halt in halts] == [
        "120 entries were asked for within a minute, at most 60 are permitted"
    ]
    fired(halts)


def test_a_reached_cap_names_the_instrument_and_every_cap() -> None:
    halt = capped("BTC/USDT", ("too many", "too much"))
    assert halt == Halt(
        TradingMode.REDUCING, "an entry in BTC/USDT was refused: too many; too much"
    )


@pytest.mark.parametrize("present", list(TradingMode))
@pytest.mark.parametrize("wanted", list(TradingMode))
def test_a_halt_is_loosened_by_every_mode_that_is_less_strict(
    present: TradingMode, wanted: TradingMode
) -> None:
    rising = ["active", "reducing", "halted", "halted_everything"]
    is_less = rising.index(wanted.value) < rising.index(present.value)
    is_halted = present in {TradingMode.HALTED, TradingMode.HALTED_EVERYTHING}
    assert is_loosened(present, wanted) is (is_less and is_halted)


@pytest.mark.parametrize("alert_id", ["cap:7", f"{PUT_BACK}:umbra.db", "safe_mode:7"])
def test_whoever_resumes_has_seen_what_asked_for_a_look(alert_id: str) -> None:
    assert AlertRaised(alert_id, Severity.CRIT, "look", NOON).topic in ASKING_FOR_A_LOOK


def test_a_halt_never_loosens_a_mode() -> None:
    halt = runaway(120, LIMITS)
    assert stricter(TradingMode.ACTIVE, halt) is halt
    assert stricter(TradingMode.REDUCING, halt) is None
    assert stricter(TradingMode.HALTED, halt) is None
    assert stricter(TradingMode.HALTED_EVERYTHING, halt) is None
    assert stricter(TradingMode.ACTIVE, None) is None


@pytest.mark.parametrize(("present", "asked"), list(product(TradingMode, TradingMode)))
def test_of_two_modes_the_stricter_one_holds(present: TradingMode, asked: TradingMode) -> None:
    rising = ("active", "reducing", "halted", "halted_everything")
    halt = Halt(asked, "asked for")
    is_stricter = rising.index(asked.value) > rising.index(present.value)
    assert stricter(present, halt) == (halt if is_stricter else None)


def test_an_older_copy_says_where_it_ends_and_what_it_lacks() -> None:
    at = datetime(2026, 11, 20, 12, 3, tzinfo=UTC)
    assert put_back(7, at).reason == (
        "SAFE MODE: an older copy of the database was put back: it ends at 2026-11-20 12:03 UTC, "
        "7 records after that are missing"
    )
    assert put_back(0, at).reason.endswith("it ends at 2026-11-20 12:03 UTC")
    assert "is gone, with 7 records" in put_back(7, None).reason


def test_orders_that_nobody_wrote_down_are_counted() -> None:
    assert "has an order of ours" in unknown_orders(1, None).reason
    assert "has 3 orders of ours" in unknown_orders(3, None).reason
