"""Captions and buttons of pictures of scores: the numbers, so that the picture is optional."""

from collections.abc import Sequence
from decimal import Decimal
from math import isnan

from bot.telegram.keyboards import Rows, does, fits, in_rows
from bot.telegram.render.scores import Reading, height
from bot.telegram.render.text import CAPTION_LENGTH_MAX, Line, card_text, count, percent
from bot.telegram.render.text import price as price_text
from bot.telegram.render.watching import LEGEND, Row, points, timeframe_names, without_lines
from trading.domain.instrument import Instrument
from trading.domain.watching import Interest
from trading.scanner.desk import ScoreLine
from trading.scanner.metrics import Floats
from trading.scanner.scores import RankScore, Thresholds

_BUTTONS_MAX = 4
_UNREAD_MAX = 3
_SPANS = ("24h", "7d", "30d", "365d")


def heat_map_buttons(scores: Sequence[RankScore]) -> Rows:
    """A closer look at each of the most unusual, and the same in words."""
    ranked = sorted(scores, key=lambda score: -height(score))[:_BUTTONS_MAX]
    closer = [does(f"📊 {score.symbol}", f"/rank {score.symbol}") for score in ranked]
    return (*in_rows(closer), (does("🔎 In words", "/scan"), does("👁 My list", "/watch")))


def unread_lines(rows: Sequence[Row]) -> list[str]:
    """Which cells of a heat map have no candle behind them, and why; one line for each symbol."""
    lines = [
        f"{row.interest.symbol} {line}"
        for row in rows
        if row.score is not None
        for line in without_lines(row.score, row.missing)
    ]
    more = len(lines) - _UNREAD_MAX
    return [*lines[:_UNREAD_MAX], *([f"and {more} more: /monitoring"] if more > 0 else [])]


def score_history_caption(
    line: ScoreLine,
    interest: Interest,
    thresholds: Thresholds,
    instrument: Instrument | None,
    reading: Reading,
) -> str:
    """The newest scores first, then the highest of each and when; there is at least one moment."""
    newest = {"bull": line.bull[-1], "bear": line.bear[-1]}
    higher_first = sorted(newest, key=lambda name: isnan(newest[name]) or -newest[name])
    title = " ".join(
        (f"📊 {line.symbol}", *(f"{name} {_points(newest[name])}" for name in higher_first))
    )
    first, last = float(line.price[0]), float(line.price[-1])
    change = percent(last / first - 1) if first else "?"
    lines: list[Line] = [
        f"Price {_price(last, instrument)}, {change} in all",
        *_highest("bull", line.bull, thresholds.bull, line, reading),
        *_highest("bear", line.bear, thresholds.bear, line, reading),
        f"{count(len(line.at_ms), 'scan')} since {reading.local(int(line.at_ms[0]))}",
        *_over(line, interest, reading),
        *LEGEND,
    ]
    return card_text(title, *lines, length_max=CAPTION_LENGTH_MAX)


def _over(line: ScoreLine, interest: Interest, reading: Reading) -> list[Line]:
    """Over which candle lengths the scores are."""
    over = f"over {timeframe_names(interest.timeframes)}"
    if not line.united:
        return [f"Scores {over}"]
    if line.united >= len(line.at_ms):
        return ["Scores over all that was watched here: an older version recorded no more."]
    since = reading.local(int(line.at_ms[line.united]))
    return [f"Scores {over} since {since}, before that over all that was watched here."]


def score_history_buttons(symbol: str) -> Rows:
    """The same over other lengths of time, and what belongs to it."""
    wanted = [(one, f"/rank {symbol} picture {one}") for one in _SPANS]
    spans = tuple(does(label, command) for label, command in wanted if fits(command))
    return (
        spans,
        (does("📊 Now", f"/rank {symbol}"), does("📜 Its past", f"/rank {symbol} history")),
    )


def _highest(
    name: str, shares: Floats, threshold: float, line: ScoreLine, reading: Reading
) -> list[Line]:
    """The highest score of one kind and its moment, beside the threshold."""
    known = [(share, place) for place, share in enumerate(shares.tolist()) if not isnan(share)]
    if not known:
        return [f"No {name} score: too young"]
    # Of equal ones the newest.
    share, place = max(known)
    return [
        f"Highest {name} {points(share)} at {reading.local(int(line.at_ms[place]))}",
        f"  you are told from {points(threshold)} on",
    ]


def _points(share: float) -> str:
    return "?" if isnan(share) else points(float(share))


def _price(value: float, instrument: Instrument | None) -> str:
    return price_text(Decimal(repr(value)), instrument)
