"""Cards about scores: a scan, one symbol in detail, and what its scores were worth in its past."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isnan

from bot.telegram.keyboards import does, fits, in_rows, shows
from bot.telegram.render.text import Card, Line, card_text, count, local, percent, price, span
from bot.telegram.render.watching import (
    ASKS,
    LEGEND,
    Row,
    points,
    scores_words,
    timeframe_names,
    without_lines,
)
from trading.domain.chat import Button
from trading.domain.instrument import Instrument
from trading.domain.time import from_ms
from trading.scanner.aftermath import HORIZONS_MS, Following
from trading.scanner.desk import ScoreReport
from trading.scanner.history import CANDLES_MIN
from trading.scanner.points import POINTS_MAX
from trading.scanner.scores import RankScore, ScoreSignal, Standing, TimeframeScore
from trading.scanner.walk_forward import BestThresholds

_LISTED_MAX = 12
_EPISODES_TRUSTED = 10
_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_STRONG = 0.5

Find = Callable[[str], Instrument | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """When a card is read, and in whose time zone."""

    timezone: str
    now: datetime

    def local(self, at_ms: int) -> str:
        """Write a moment for the reader."""
        return local(from_ms(at_ms), self.timezone, self.now)


def height(score: RankScore) -> float:
    """The higher of the two scores, -1 where nothing could be scored."""
    return max((each for each in (score.bull, score.bear) if each is not None), default=-1.0)


def scan_card(
    rows: Sequence[Row], missing: Sequence[str], find: Find, reading: Reading, as_picture: str
) -> Card:
    """Scores of this moment, the highest first; `missing` had no candles to score.

    `as_picture` is the command that answers the same with a picture.
    """
    found = [row for row in rows if row.score is not None]
    ranked = sorted(found, key=lambda row: -height(row.score) if row.score else 0)
    lines: list[Line] = []
    for row in ranked[:_LISTED_MAX]:
        lines += _scanned_lines(row, find)
    if len(ranked) > _LISTED_MAX:
        lines.append(f"and {len(ranked) - _LISTED_MAX} more: /post")
    unread = [row.interest.symbol for row in rows if row.score is None and row.missing]
    without = [symbol for symbol in missing if symbol not in unread]
    if unread:
        lines.append(f"Not read yet, see /monitoring: {_several(unread)}")
    if without:
        lines.append(f"No candles of {_several(without)}")
    if ranked and ranked[0].score is not None:
        lines.append(f"At {reading.local(ranked[0].score.at_ms)}")
    lines += LEGEND
    buttons = [
        does(f"📊 {row.interest.symbol}", f"/rank {row.interest.symbol}") for row in ranked[:6]
    ]
    title = f"🔎 {_headline(ranked[0])}" if ranked else "🔎 Nothing could be scored"
    picture = ((does("🗺 Heat map", as_picture),),) if ranked and fits(as_picture) else ()
    return Card(card_text(title, *lines), (*in_rows(buttons), *picture))


def _several(symbols: Sequence[str]) -> str:
    more = len(symbols) - _LISTED_MAX
    return ", ".join(symbols[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _headline(row: Row) -> str:
    """The symbol, its higher score, and what that asks for."""
    score = row.score
    if score is None or height(score) < 0:
        return f"{row.interest.symbol}: not scored yet"
    is_bear = (score.bear or 0) >= (score.bull or 0)
    asks = "" if row.asks is ScoreSignal.NONE else f", {ASKS[row.asks]}"
    value = f"{'bear' if is_bear else 'bull'} {points(height(score))}"
    return f"{row.interest.symbol} {value}{asks}"


def _scanned_lines(row: Row, find: Find) -> list[Line]:
    score = row.score
    if score is None:
        return []
    lines: list[Line] = [
        f"• {score.symbol} {_price(score.price, find(score.symbol))}",
        f"  {scores_words(score)}",
    ]
    if row.asks is not ScoreSignal.NONE:
        lines.append(f"  {ASKS[row.asks]}")
    if score.too_young:
        lines.append(f"  too young: {timeframe_names(score.too_young)}")
    return [*lines, *(f"  {line}" for line in without_lines(score, row.missing))]


def _price(value: float, instrument: Instrument | None) -> str:
    return price(Decimal(repr(value)), instrument)


def _signed(value: float | None) -> str:
    return "?" if value is None else percent(value / 100)


def _rank(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.0f}%" if value >= 10 else f"{value:.2g}%"


# ---------------------------------------------------------------- one symbol in detail


def rank_card(row: Row, instrument: Instrument | None, reading: Reading) -> Card:
    """Each candle length: what its running candle has done, how rare that is, and its points."""
    score = row.score
    symbol = row.interest.symbol
    if score is None:
        why = without_lines(None, row.missing) or ["There are no candles of it yet."]
        return Card(card_text(f"📊 {symbol}: nothing to score", *why))
    lines: list[Line] = [f"Price {_price(score.price, instrument)} at {reading.local(score.at_ms)}"]
    for each in score.timeframes:
        if each.standing is not Standing.UNREAD:
            lines += _timeframe_lines(each)
    lines += [f"• {line}" for line in without_lines(score, row.missing)]
    if score.scored:
        over = count(len(score.scored), "candle length")
        lines += [
            f"Average over {over}: {scores_words(score)}",
            f"Size of the move, rare either way: {points(score.change)}",
        ]
    lines += [
        "Rank: the share of past candles that went as far. Small is rare.",
        *([f"History: {' + '.join(row.history)}"] if row.history else []),
        *LEGEND,
    ]
    return Card(card_text(f"📊 {_headline(row)}", *lines), _rank_buttons(row))


def _timeframe_lines(each: TimeframeScore) -> list[Line]:
    name = each.timeframe.name
    if each.standing is Standing.TOO_YOUNG:
        return [f"• {name}: too young, {each.candles} of {CANDLES_MIN} candles"]
    if each.standing is not Standing.SCORED:
        return [f"• {name}: {each.standing.value}"]
    # Of a fall, how rare it is as a fall: among all changes it would be the most ordinary.
    rank = each.down_rank if (each.change or 0) < 0 else each.up_rank
    lines: list[Line] = [f"• {name}: {_signed(each.change)}, rank {_rank(rank)}"]
    side = "bear" if each.bear_points >= each.bull_points else "bull"
    earned = max(each.bear_points, each.bull_points)
    lines.append(f"  {side} {earned} of {POINTS_MAX}" if earned else "  ordinary: no points")
    return lines


def rarest_words(score: RankScore) -> str:
    """The move that earned most of a score, and how rare it is; empty where nothing was earned."""
    most = max(score.scored, key=lambda one: max(one.bear_points, one.bull_points), default=None)
    if most is None or not max(most.bear_points, most.bull_points):
        return ""
    rank = most.down_rank if (most.change or 0) < 0 else most.up_rank
    return f"{most.timeframe.name} {_signed(most.change)}, rank {_rank(rank)}"


def _rank_buttons(row: Row) -> tuple[tuple[Button, ...], ...]:
    symbol = row.interest.symbol
    lengths = [
        does(each.name, f"/rank {symbol} {each.name}")
        for each in row.interest.timeframes
        if fits(f"/rank {symbol} {each.name}")
    ]
    chart_length = row.interest.timeframes[-1].name
    as_picture = f"/rank {symbol} picture"
    return (
        *in_rows(lengths, 4),
        (
            does("📈 Chart", f"/chart {symbol} {chart_length}"),
            does("📜 Its past", f"/rank {symbol} history"),
        ),
        *(((does("🖼 Its scores", as_picture),),) if fits(as_picture) else ()),
        (shows("🔄 Refresh", f"/rank {symbol}"), does("👁 Watch", f"/watch {symbol}")),
    )


def timeframe_card(
    score: RankScore, each: TimeframeScore, instrument: Instrument | None, reading: Reading
) -> Card:
    """One candle length: all four ranks of its running candle."""
    title = f"📊 {score.symbol} {each.timeframe.name}"
    if each.standing is not Standing.SCORED:
        return Card(card_text(f"{title}: {each.standing.value}", *_timeframe_lines(each)[:1]))
    lines: list[Line] = [
        f"Price {_price(score.price, instrument)} at {reading.local(score.at_ms)}",
        f"Change {_signed(each.change)}, whole range {_unsigned(each.amplitude)}",
        f"Rank of the change {_rank(each.change_rank)}",
        f"Rank of the range {_rank(each.amplitude_rank)}",
        "It is no rise" if each.up_rank is None else f"Rank as a rise {_rank(each.up_rank)}",
        "It is no fall" if each.down_rank is None else f"Rank as a fall {_rank(each.down_rank)}",
        f"among {each.candles:,} past candles. Small is rare.",
        f"Bear {each.bear_points}, bull {each.bull_points} of {POINTS_MAX} points",
        f"Size of the move {each.change_points} of {POINTS_MAX} points",
    ]
    symbol = score.symbol
    row = (
        does("📈 Chart", f"/chart {symbol} {each.timeframe.name}"),
        shows("⬅ All lengths", f"/rank {symbol}"),
    )
    return Card(card_text(title, *lines), (row,))


def _unsigned(value: float | None) -> str:
    return "?" if value is None else percent(value / 100).lstrip("+-")


# ---------------------------------------------------------------- what scores were worth


def history_card(report: ScoreReport, auto: bool) -> Card:
    """What the best thresholds of a symbol were worth unseen, and what followed high scores."""
    days = report.candles * report.length_ms // _DAY_MS
    best = report.best
    lines: list[Line] = [
        *_best_lines(best),
        f"From {days:,} days of {span(report.length_ms // _MINUTE_MS)} candles",
        f"over {timeframe_names(report.timeframes)}",
        *_followed("bear", "+ means up", report.after_crashes, _limit(best, "bear")),
        *_followed("bull", "+ means down", report.after_rises, _limit(best, "bull")),
        "At best: left at the best moment. Times lie close: longer spans overlap.",
        "The past promises nothing.",
    ]
    label = "🎚 Use auto" if not auto else "🎚 Thresholds"
    command = f"/threshold {report.symbol} auto" if not auto else "/threshold"
    row = (does(label, command), does("📊 Now", f"/rank {report.symbol}"))
    return Card(card_text(f"📜 {report.symbol}: {_verdict(best)}", *lines), (row,))


def _verdict(best: BestThresholds | None) -> str:
    if best is None:
        return "nothing to choose by"
    if not best.is_trusted:
        return "too few to trust"
    return f"{percent(best.out_of_sample.profit)} unseen"


def _limit(best: BestThresholds | None, side: str) -> float:
    if best is None:
        return _STRONG
    return best.thresholds.bear if side == "bear" else best.thresholds.bull


def _followed(side: str, meaning: str, rows: Sequence[Following], limit: float) -> list[Line]:
    """One line per horizon over all scores from the limit on, weighted by their moments."""
    high = [one for one in rows if one.score >= limit - 1e-6]
    title = f"After {side} {points(limit)} and more"
    episodes = sum(one.episodes for one in high)
    if not episodes:
        return [title, "  it never was that high"]
    lines: list[Line] = [f"{title}, {count(episodes, 'time')}", f"  {meaning}"]
    for place, horizon_ms in enumerate(HORIZONS_MS):
        weights = [one.moments[place] for one in high]
        if sum(weights):
            final = _mean([one.final[place] for one in high], weights)
            best = _mean([one.best[place] for one in high], weights)
            name = span(horizon_ms // _MINUTE_MS)
            lines.append(f"  {name} {_signed(final)}, at best {_signed(best)}")
    if episodes < _EPISODES_TRUSTED:
        lines.append("  ⚠️ too few times to trust")
    return lines


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known if not isnan(value)) / total


def _best_lines(best: BestThresholds | None) -> list[Line]:
    if best is None:
        return ["No threshold made enough round trips to choose one by."]
    unseen = best.out_of_sample
    limits = f"bull {points(best.thresholds.bull)}, bear {points(best.thresholds.bear)}"
    return [
        f"Best thresholds: {limits}",
        f"  where they were chosen {percent(best.in_sample.profit)}",
        f"  on unseen data {percent(unseen.profit)}",
        f"  {count(unseen.round_trips, 'round trip')}: "
        + ("a fair sample" if best.is_trusted else "too few to trust"),
        f"  holding made {percent(best.held)}",
        "  after fees and slippage",
    ]
