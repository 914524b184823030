"""The card of what the archive of candles holds."""

from collections.abc import Sequence

from bot.telegram.holdings import HeldSeries
from bot.telegram.keyboards import pager
from bot.telegram.render.text import Card, Code, Line, card_text, count
from trading.domain.time import from_ms

_UNITS = ("kB", "MB", "GB", "TB")


def data_card(series: Sequence[HeldSeries], total: int, page: int, pages: int) -> Card:
    """Series by series: from when to when, what is missing, how much room it takes."""
    if not total:
        text = card_text(
            "🗄 No candles are kept yet", "On the machine:", Code("umbra data download --help")
        )
        return Card(text)
    lines: list[Line] = []
    for one in series:
        lines += _series_lines(one)
    if pages > 1:
        lines.append(f"page {page} of {pages}")
    title = f"🗄 {total} series of candles"
    return Card(card_text(title, *lines), pager("/data", page, pages))


def _series_lines(one: HeldSeries) -> list[Line]:
    lines: list[Line] = [f"• {one.exchange} {one.symbol} {one.timeframe}"]
    if one.first_ms is None or one.last_ms is None:
        return [*lines, "  holds no candle"]
    lines.append(f"  {from_ms(one.first_ms):%Y-%m-%d} to {from_ms(one.last_ms):%Y-%m-%d}")
    lines.append(f"  {one.candles:,} candles, {size(one.size_bytes)}")
    if one.gaps:
        lines.append(f"  {count(one.gaps, 'gap')}, {one.missing:,} missing")
    if one.damaged:
        lines.append(f"  ⚠️ {count(one.damaged, 'month')} damaged")
    return lines


def size(in_bytes: int) -> str:
    """Write a size: `812 kB`, `1.4 MB`."""
    value, unit = in_bytes / 1000, _UNITS[0]
    for following in _UNITS[1:]:
        if value < 1000:
            break
        value, unit = value / 1000, following
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
