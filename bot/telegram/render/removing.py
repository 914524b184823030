"""What is said of candles that are deleted: the question, and that it is done."""

from collections.abc import Sequence

from bot.telegram.holdings import Removable
from bot.telegram.keyboards import does
from bot.telegram.render.text import Card, Line, card_text

EXAMPLE = "/drop BTC/USDT 1m database"


def question_text(going: Sequence[Removable], minutes: str) -> str:
    """The question before candles are deleted: how many of which lengths go."""
    return card_text(
        f"🗑 Delete the history of {going[0].symbol}?",
        *_lines(going),
        f"In all {_sum(going):,} candles of {going[0].exchange}, for good. "
        "Only umbra data download brings them back.",
        f"Answer within {minutes}.",
    )


def removed_card(symbol: str, gone: Sequence[Removable]) -> Card:
    """What was deleted just now."""
    title = f"🗑 {symbol}: {_sum(gone):,} candles deleted"
    return Card(card_text(title, *_lines(gone)), ((does("🗄 What is kept", "/data"),),))


def _lines(series: Sequence[Removable]) -> list[Line]:
    return [f"• {one.timeframe}: {one.candles:,} candles" for one in series]


def _sum(series: Sequence[Removable]) -> int:
    return sum(one.candles for one in series)
