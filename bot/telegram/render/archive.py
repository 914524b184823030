"""The card of what the archive of candles holds."""

from collections.abc import Sequence

from bot.telegram.holdings import Held, HeldCombination, HeldSeries
from bot.telegram.keyboards import pager
from bot.telegram.render.text import Card, Code, Line, card_text, count
from trading.domain.time import from_ms

_UNITS = ("kB", "MB", "GB", "TB")


def data_card(held: Sequence[Held], counts: tuple[int, int], page: int, pages: int) -> Card:
    """Series by series, then combined ones: from when to when, and what is missing.

    `counts` is how many there are of both.
    """
    series, combined = counts
    if not series + combined:
        text = card_text(
            "🗄 No candles are kept yet", "On the machine:", Code("umbra data download --help")
        )
        return Card(text)
    lines: list[Line] = []
    for one in held:
        lines += _series_lines(one) if isinstance(one, HeldSeries) else _combined_lines(one)
    if pages > 1:
        lines.append(f"page {page} of {pages}")
    title = (
        f"🗄 {series} series, {combined} combined" if combined else f"🗄 {series} series of candles"
    )
    return Card(card_text(title, *lines), pager("/data", page, pages))


def _series_lines(one: HeldSeries) -> list[Line]:
    lines: list[Line] = [f"• {one.exchange} {one.symbol} {one.timeframe}"]
    if one.first_ms is None or one.last_ms is None:
        lines.append("  holds no candle")
    else:
        lines.append(_days(one.first_ms, one.last_ms))
        lines.append(f"  {one.candles:,} candles, {size(one.size_bytes)}")
    if one.gaps:
        lines.append(f"  {count(one.gaps, 'gap')}, {one.missing:,} missing")
    if one.damaged:
        lines.append(f"  ⚠️ {count(one.damaged, 'month')} damaged")
    if one.lost:
        lines.append(f"  ⚠️ lost: {one.lost}")
    if one.set_aside:
        lines.append(f"  ⚠️ damaged, in quarantine, not back: {one.set_aside}")
    if one.replaced:
        lines.append(f"  damaged once, held again: {one.replaced}")
    return lines


def _combined_lines(one: HeldCombination) -> list[Line]:
    lines: list[Line] = [f"• combined {one.symbol} {one.timeframe}"]
    if one.problem:
        return [*lines, f"  ⚠️ {one.problem}"]
    lines.append(_days(one.first_ms, one.last_ms))
    (leader, own), *others = one.parts
    lines.append(f"  {own:,} candles of {leader}, which leads")
    lines += [f"  {share:,} of {label}" for label, share in others]
    return lines


def _days(first_ms: int, last_ms: int) -> str:
    return f"  {from_ms(first_ms):%Y-%m-%d} to {from_ms(last_ms):%Y-%m-%d}"


def size(in_bytes: int) -> str:
    """Write a size: `812 kB`, `1.4 MB`."""
    value, unit = in_bytes / 1000, _UNITS[0]
    for following in _UNITS[1:]:
        if value < 1000:
            break
        value, unit = value / 1000, following
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
