"""The end of a panic on its card: every sale with its sum, and what is left and why."""

from dataclasses import replace
from decimal import Decimal

from bot.telegram.render.closing import came_in, closing_card, worth
from bot.telegram.render.text import Card, columns, strip_markup
from tests.fakes.desk import START
from trading.domain.order import Intent, IntentState, Purpose, Side


def sale(symbol: str, quantity: str, filled: str, got: str, **changes: object) -> Intent:
    done = Intent(
        f"u:command:c1:{symbol}",
        symbol,
        Side.SELL,
        Purpose.PANIC,
        Decimal(1),
        START,
        quantity=Decimal(quantity),
        state=IntentState.DONE,
        filled_quantity=Decimal(filled),
        filled_notional=Decimal(got),
    )
    return replace(done, **changes)  # type: ignore[arg-type]


def lines_of(card: Card) -> list[str]:
    lines = strip_markup(card.text).splitlines()
    assert max(map(columns, lines)) <= 34
    return lines


def test_every_sale_is_listed_with_its_sum_and_what_came_in_that_is_not_sold_on() -> None:
    sales = [
        sale("BTC/USDC", "0.3", "0.3", "17999.997"),
        sale("BTC/USDT", "0.45", "0.45", "26999.9955"),
        sale("ETH/BTC", "3", "3", "0.14997"),
    ]
    card = closing_card(sales, "USDT", is_panic=True)
    assert lines_of(card) == [
        "👍 Panic is over: 3 sales done",
        "• 0.3 BTC = 18,000.00 USDC",
        "• 0.45 BTC = 27,000.00 USDT",
        "• 3 ETH = 0.14997 BTC",
        "In all 0.14997 BTC, 18,000.00",
        "USDC, 27,000.00 USDT before fees",
        "Comes in, is not sold on:",
        "• 0.14997 BTC",
        "• 18,000.00 USDC",
        "Anything else stays as it was.",
    ]


def test_while_a_sale_is_at_work_the_card_does_not_say_done() -> None:
    sales = [
        sale("BTC/USDT", "0.5", "0.5", "30000"),
        sale("ETH/USDT", "5", "2", "6000", state=IntentState.OPEN),
        sale("SOL/USDT", "9", "0", "0", state=IntentState.BLOCKED, reason="there are no bids"),
    ]
    assert lines_of(closing_card(sales, "USDT", is_panic=True)) == [
        "⏳ Panic: 1 of 3 sales over",
        "• 0.5 BTC = 30,000.00 USDT",
        "• 2 ETH = 6,000.00 USDT",
        "In all 36,000.00 USDT before fees",
        "Still at work:",
        "• 3 ETH",
        "• 9 SOL: BLOCKED, there are no",
        "bids",
    ]


def test_what_was_not_sold_stands_with_its_reason() -> None:
    sales = [
        sale("BTC/USDT", "0.5", "0.5", "30000"),
        sale("SOL/USDT", "9", "0", "0", state=IntentState.DUST, reason="9 is too little"),
        sale("ADA/USDT", "7", "0", "0", state=IntentState.CLOSED_EXTERNAL),
    ]
    assert lines_of(closing_card(sales, "USDT", is_panic=False)) == [
        "⚠️ Closing is over: NOT all was",
        "sold",
        "• 0.5 BTC = 30,000.00 USDT",
        "before fees",
        "Not sold, stays:",
        "• 9 SOL: 9 is too little",
        "• 7 ADA: closed external",
    ]


def test_where_more_may_be_managed_nothing_looks_done() -> None:
    sales = [sale("BTC/USDT", "0.5", "0.5", "30000")]
    lines = lines_of(closing_card(sales, "USDT", is_panic=True, is_in_doubt=True))
    assert " ".join(lines).startswith(
        "⚠️ Panic of what is known is over IT IS NOT KNOWN WHAT IS MANAGED"
    )
    assert "• 0.5 BTC = 30,000.00 USDT" in lines


def test_of_many_sales_the_first_are_listed_and_all_are_counted() -> None:
    sales = [sale(f"COIN{number}/USDT", "1", "1", "10") for number in range(40)]
    lines = lines_of(closing_card(sales, "USDT", is_panic=True))
    assert lines[0] == "👍 Panic is over: 40 sales done"
    assert lines[26:28] == ["and 15 more", "In all 400.00 USDT before fees"]


def test_a_part_of_a_coin_keeps_the_digits_that_money_does_not_need() -> None:
    assert [worth(Decimal(value), "BTC") for value in ("0.15", "1.23456", "12.3456")] == [
        *("0.15 BTC", "1.23456 BTC", "12.35 BTC"),
    ]
    assert worth(None, "USDT") == "?"


def test_proceeds_without_a_price_are_named_without_a_sum() -> None:
    assert came_in([("ETH/BTC", Decimal(1)), ("ADA/BTC", None)], "USDT")[1:] == ["• ? BTC"]
    assert came_in([("ETH/USDT", Decimal(1))], "USDT") == []
