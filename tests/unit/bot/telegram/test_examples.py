"""What to send instead fits: the symbol and the tracker that were typed, and what was right."""

import pytest

from bot.telegram import grammar
from bot.telegram.commands.context import whole_number
from bot.telegram.examples import fitting
from tests.fakes.desk import find, instrument
from trading.domain.errors import Refused

_RESISTANCE = "2026-11-01T00:00 0.5 2026-11-18T00:00 0.5 trail 1.5% all"
_LINES = (
    "/track BTC/USDT lines 2026-11-01T00:00 9 2026-11-18T00:00 9 / "
    "2026-11-01T00:00 5 2026-11-18T00:00 5 trail 1% all"
)


@pytest.mark.parametrize(
    ("typed", "example"),
    [
        ("/track ADA/USDC stop 0.3 all then foo", "/track ADA/USDC stop 0.3 all then once"),
        (
            "/track BTC/USDT stop 1 all confirm 0 ticks",
            "/track BTC/USDT stop 1 all confirm 3 ticks",
        ),
        ("/track BTC/USDT stop 1 all price foo", "/track BTC/USDT stop 1 all price last"),
        ("/track ETH/USDT trail 2.5 atr 7m all", "/track ETH/USDT trail 2.5 atr 1h all"),
        (
            "/track BTC/USDT stop line 2026-13-01 1 2026-11-02 2 all",
            "/track BTC/USDT stop line 2026-11-01T00:00 58000 2026-11-18T00:00 58000 all",
        ),
        (
            "/track BTC/USDT buy below 55000 trail 250% 500 USDT",
            "/track BTC/USDT buy below 55000 trail 2% 500 USDT",
        ),
        ("/track ETH/USDT foo", "/track ETH/USDT trail 2% all"),
        (
            "/track ADA/USDC lines T1 0.3 T2 0.4",
            "/track ADA/USDC lines 2026-11-01T00:00 0.4 2026-11-18T00:00 0.4 / " + _RESISTANCE,
        ),
        (
            "/track ADA/USDC lines 2026-11-01 0.3 2026-11-18 0.4 / T1 0.5",
            "/track ADA/USDC lines 2026-11-01 0.3 2026-11-18 0.4 / " + _RESISTANCE,
        ),
        ("/track ADA/USDC stop 0.5 500 EUR", "/track ADA/USDC stop 0.5 10 USDC"),
        ("/track BTC/USDT stop 50000 0.1 ETH", "/track BTC/USDT stop 50000 10 USDT"),
        ("/track BTC/USDT stop 50000 0.1 eth then once", "/track BTC/USDT stop 50000 10 USDT"),
        ("/track BTC/USDT stop 50000 0.1 confrim touch", "/track BTC/USDT stop 50000 0.1"),
        ("/buy BTC/USDT 500 EUR", "/buy BTC/USDT 100 USDT"),
        ("/tracker 2 amount 500 EUR", "/tracker 2 amount 50%"),
        ("/buy ADA/USDC 1e9", "/buy ADA/USDC 100 USDC"),
        ("/sell ETH/USDT -5", "/sell ETH/USDT 50%"),
        ("/trade ADA/USDC hold 5", "/trade ADA/USDC buy 100 USDC"),
        ("/close ETH/USDT half", "/close ETH/USDT 50%"),
        ("/buy BTC/USTD 5", "/buy BTC/USDT 100 USDT"),
        ("/close BTC/USTD", "/close BTC/USDT 50%"),
        ("/tracker 2 trail 250%", "/tracker 2 trail 2%"),
        ("/tracker 2 foo", "/tracker 2 stop 5%"),
        ("/tracker 2 stop", "/tracker 2 stop 2%"),
        ("/tracker 2 level x", "/tracker 2 stop 5%"),
        ("/tracker x trail 2%", "/tracker 3 stop 59000"),
    ],
)
def test_an_example_keeps_what_was_right_and_can_be_sent(typed: str, example: str) -> None:
    with pytest.raises(Refused) as refused:
        grammar.parse(typed, find)
    assert refused.value.example == example
    grammar.parse(example, find)


@pytest.mark.parametrize("rest", ["stop", "stop x all", "sell above", "stop line T1", "lines T1 1"])
def test_an_example_of_a_coin_whose_price_is_unknown_names_no_price(rest: str) -> None:
    with pytest.raises(Refused) as refused:
        grammar.parse(f"/track SOL/USDT {rest}", lambda _: instrument("SOL/USDT"))
    assert refused.value.example == "/track SOL/USDT trail 2% all"


def test_an_amount_in_a_third_coin_is_told_in_which_it_may_be() -> None:
    with pytest.raises(Refused, match="the amount should be in BTC or USDT, was in 'ETH'"):
        grammar.parse("/track BTC/USDT stop 50000 0.1 ETH", find)
    with pytest.raises(Refused, match="the amount should be without a unit, was in 'USDT'"):
        grammar.parse("/tracker 2 amount 500 USDT", find)


def test_an_unknown_candle_length_is_not_taken_for_the_amount() -> None:
    with pytest.raises(Refused, match=r"timeframe should be one of .*, was '7m'"):
        grammar.parse("/track BTC/USDT trail 2.5 atr 7m all", find)


@pytest.mark.parametrize(
    ("typed", "part", "example"),
    [
        ("/track BTC/USDT stop 5 100", "0.4", "/track BTC/USDT stop 5 0.4"),
        (
            "/track BTC/USDT buy below 5 trail 1% 900 USDT",
            "40",
            "/track BTC/USDT buy below 5 trail 1% 40 USDT",
        ),
        (
            "/track BTC/USDT buy below 5 trail 1% 900 USDT",
            "40 USDT",
            "/track BTC/USDT buy below 5 trail 1% 40 USDT",
        ),
        ("/tracker 2 amount 900 quote", "40 USDT", "/tracker 2 amount 40 quote"),
        ("/track BTC/USDT stop 5 200%", "50%", "/track BTC/USDT stop 5 50%"),
        ("/track BTC/USDT stop 5 9", "all", "/track BTC/USDT stop 5 all"),
        ("/track BTC/USDT stop 90000 all", "level 57000", "/track BTC/USDT stop 57000 all"),
        (
            "/track BTC/USDT sell above 9 trail 1% all stop 8",
            "stop 7",
            "/track BTC/USDT sell above 9 trail 1% all stop 7",
        ),
        ("/track BTC/USDT trail 1 atr all", "trail 2%", "/track BTC/USDT trail 2% all"),
        (
            "/track BTC/USDT trail 1% all then swing 1%",
            "then swing 4%",
            "/track BTC/USDT trail 1% all then swing 4%",
        ),
        (
            "/track BTC/USDT stop 5 all confirm 3 ticks",
            "confirm 5s",
            "/track BTC/USDT stop 5 all confirm 5s",
        ),
        (
            "/track BTC/USDT stop 5 all backstop 5%",
            "backstop 4",
            "/track BTC/USDT stop 5 all backstop 4",
        ),
        (
            "/track BTC/USDT stop 5 all backstop 4",
            "backstop 10%",
            "/track BTC/USDT stop 5 all backstop 10%",
        ),
        (
            "/track BTC/USDT sell above 9 trail 1% all stop 8",
            "stop 5%",
            "/track BTC/USDT sell above 9 trail 1% all stop 5%",
        ),
        (
            "/track BTC/USDT stop 5 all slippage 9%",
            "slippage 0.5%",
            "/track BTC/USDT stop 5 all slippage 0.5%",
        ),
        ("/tracker 2 slippage 9%", "slippage 0.5%", "/tracker 2 slippage 0.5%"),
        (_LINES, "lines", _LINES.replace(" 9", " x").replace(" 5", " 9").replace(" x", " 5")),
        ("/tracker 2 amount 100", "0.4", "/tracker 2 amount 0.4"),
        ("/tracker 2 amount 100", "100 USDT", "/tracker 2 amount 100 quote"),
        (
            "/track BTC/USDT stop 58000 500",
            "500 USDT",
            "/track BTC/USDT stop 58000 500 USDT",
        ),
        ("/tracker 2 then swing 1%", "then swing 4%", "/tracker 2 then swing 4%"),
        (
            "/track BTC/USDT stop 5 all then swing",
            "trail 2% then swing 4%",
            "/track BTC/USDT stop 5 trail 2% all then swing 4%",
        ),
        ("/tracker 2 trail 1%", "then once", "/tracker 2 then once"),
        ("/tracker 2 level 90000", "level 57000", "/tracker 2 level 57000"),
        ("/tracker 2 stop 90000", "level 57000", "/tracker 2 stop 57000"),
        ("/tracker 2 stop 90000 level 50000", "level 57000", "/tracker 2 level 57000"),
        ("/buy BTC/USDT 100 USDT", "/buy BTC/USDT 50%", "/buy BTC/USDT 50%"),
    ],
)
def test_a_part_of_an_example_becomes_the_whole_command(
    typed: str, part: str, example: str
) -> None:
    command = grammar.parse(typed.replace("200%", "100%"), find)
    assert fitting(Refused("no", part), command).example == example
    assert fitting(Refused("no"), command).example is None


def test_a_wrong_number_comes_with_an_example() -> None:
    with pytest.raises(Refused, match="the page should be between 1 and 9, was 'x'") as refused:
        whole_number(("x",), 0, 1, 9, ("the page", "/orders 1"))
    assert refused.value.example == "/orders 1"
