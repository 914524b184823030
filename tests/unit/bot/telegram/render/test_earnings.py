"""What exits earned is told in the currency it was earned in, and what it does not count."""

from dataclasses import replace
from decimal import Decimal

from bot.telegram.outbox import strip_markup
from bot.telegram.render.earnings import exit_lines, profit_lines, trip_lines
from bot.telegram.render.status import history_card, positions_card
from bot.telegram.render.text import WIDTH, columns
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import SettableClock
from trading.domain.order import Fees
from trading.domain.position import RoundTrip


def trip(
    symbol: str, profit: str, *unpriced: tuple[str, str], fees: str = "0", is_known: bool = True
) -> RoundTrip:
    """A finished exit of one unit."""
    return RoundTrip(
        symbol,
        f"{symbol}:{profit}",
        Decimal(1),
        Decimal(100) if is_known else None,
        Decimal(90),
        Decimal(profit),
        Decimal(fees),
        START,
        START,
        tuple((asset, Decimal(amount)) for asset, amount in unpriced),
    )


def test_profits_of_two_currencies_are_two_numbers() -> None:
    lost = [trip("ETH/BTC", "-0.00823"), trip("BTC/USDT", "-271.74"), trip("ADA/USDT", "1.5")]
    assert exit_lines(lost) == ["3 exits, -0.00823 BTC, -270.24 USDT after fees"]
    # The coins' own currency is no rounding of the other one.
    assert exit_lines([trip("ETH/BTC", "1.23456789")]) == ["1 exit, +1.23457 BTC after fees"]


def test_fees_without_a_price_are_named_instead_of_after_fees() -> None:
    paid = trip("BTC/USDT", "-1300.01", ("BNB", "0.0734"))
    assert profit_lines(paid) == ["P&L -1,300.01 USDT", "+ 0.0734 BNB fees not counted"]
    assert exit_lines([paid, paid, trip("ETH/USDT", "1")]) == [
        "3 exits, -2,599.02 USDT",
        "+ 0.1468 BNB fees not counted",
    ]


def test_what_nobody_knows_is_no_zero() -> None:
    unknown = trip("BTC/USDT", "0", is_known=False)
    assert profit_lines(unknown) == ["P&L not known"]
    assert exit_lines([unknown]) == ["1 exit, P&L not known"]
    assert exit_lines([unknown, trip("BTC/USDT", "5")]) == [
        "2 exits, +5.00 USDT after fees",
        "P&L of 1 not known",
    ]


def test_each_number_of_an_exit_has_its_currency() -> None:
    assert trip_lines(trip("ETH/BTC", "-0.00823", ("XYZ", "2"), fees="0.0002")) == [
        f"{START:%b %d %H:%M} ETH/BTC -0.00823 BTC",
        "  1: 100 to 90",
        "  fees 0.0002 BTC",
        "  + 2 XYZ fees not counted",
    ]


def test_the_history_fits_a_phone_and_adds_what_has_one_currency() -> None:
    exits = [trip("ETH/BTC", "-0.00823"), trip("BTC/USDT", "-271.74", ("BNB", "0.0734"))]
    lines = strip_markup(history_card(exits, 1, 20).text).splitlines()
    assert " ".join(lines[:3]) == (
        "📜 2 exits, -0.00823 BTC, -271.74 USDT + 0.0734 BNB fees not counted"
    )
    assert all(columns(line) <= WIDTH for line in lines)


def test_an_open_position_names_the_fees_that_its_cost_lacks() -> None:
    desk = FakeDesk(SettableClock(START))
    [view] = desk.positions()
    fees = Fees(unpriced=(("XYZ", Decimal("0.4")),))
    paid = replace(view, position=replace(view.position, fees=fees))
    lines = strip_markup(positions_card([paid]).text).splitlines()
    assert "+ 0.4 XYZ fees not counted" in lines
    assert not any("fees not" in line for line in positions_card([view]).text.splitlines())
