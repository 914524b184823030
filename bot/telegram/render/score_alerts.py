"""Cards of what scores did: one alert, a burst of them, and the rest that made no sound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal

from bot.telegram.keyboards import Rows, does, fits, in_rows
from bot.telegram.render.text import (
    CAPTION_LENGTH_MAX,
    Card,
    Line,
    card_text,
    count,
    percent,
    price,
)
from bot.telegram.render.watching import points
from trading.domain.chat import Button
from trading.domain.instrument import Instrument
from trading.domain.time import from_ms
from trading.domain.watching import AlertKind, Attention, ScoreAlert, ScoreKind
from trading.scanner.scores import RankScore, TimeframeScore

_LISTED_MAX = 12
_CANDLES_MAX = 6
_MISSED_MAX = 3
_WORDS = {ScoreKind.BULL: ("📈", "rise", "bull"), ScoreKind.BEAR: ("📉", "crash", "bear")}
_OTHER = {ScoreKind.BULL: "bear", ScoreKind.BEAR: "bull"}
_UNDECIDED = "🌊"
_GOES_ON = {ScoreKind.BULL: "rises on", ScoreKind.BEAR: "falls on"}
_ASKS = {
    ScoreKind.BULL: "It asks to SELL.",
    ScoreKind.BEAR: "It asks to BUY.",
}
_BOTH_WAYS = "Both ways: undecided, it asks for nothing."
_MEANING = "A score says how rare this is, not what follows."

InstrumentOf = Callable[[str], Instrument | None]


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest score of one kind that was told of a symbol, a share in [0, 1], and when."""

    symbol: str
    kind: ScoreKind
    score: float
    at_ms: int


def alert_card(
    alerts: Sequence[ScoreAlert], scores: Mapping[str, RankScore], instrument: InstrumentOf
) -> Card:
    """One alert with its candles, or a burst as a list; the most urgent comes first."""
    if len(alerts) > 1:
        return _burst_card(alerts, instrument)
    (alert,) = alerts
    symbol = alert.symbol
    lines: list[Line] = [f"Price {_price(alert, instrument)}{_since_told(alert, instrument)}"]
    score = scores.get(symbol)
    if score is not None:
        lines += _candle_lines(score, alert)
    if alert.too_young:
        lines.append(f"Too young: {' '.join(each.name for each in alert.too_young)}")
    if score is not None and score.unread:
        lines.append(f"Scored without {' '.join(each.name for each in score.unread)}: /watch")
    lines.append(f"Your threshold is {points(alert.threshold)}.")
    lines.append(f"{_BOTH_WAYS if alert.is_undecided else _ASKS[alert.kind]} {_MEANING}")
    text = card_text(_title(alert), *lines, length_max=CAPTION_LENGTH_MAX)
    return Card(text, _buttons(symbol))


def _title(alert: ScoreAlert) -> str:
    if alert.is_undecided:
        return f"{_UNDECIDED} {alert.symbol} both ways: {_scores(alert)}"
    emoji, what, _ = _WORDS[alert.kind]
    before = f" (was {points(alert.before)})" if alert.reason is AlertKind.ROSE else ""
    what = _GOES_ON[alert.kind] if alert.reason is AlertKind.FURTHER else what
    return f"{emoji} {alert.symbol} {what}: {_scores(alert)}{before}"


def _scores(alert: ScoreAlert) -> str:
    """The score that is told; where both are at their thresholds both, the higher first."""
    told = f"{_WORDS[alert.kind][2]} {points(alert.score)}"
    if alert.against is None:
        return told
    other = f"{_OTHER[alert.kind]} {points(alert.against)}"
    return f"{told}, {other}" if alert.score >= alert.against else f"{other}, {told}"


def rest_card(attention: Attention, instrument: InstrumentOf) -> Card:
    """What the hour's sounds did not cover, in one card that is edited."""
    alerts = attention.folded
    title = f"🔕 {len(alerts) + attention.more} more without sound"
    lines: list[Line] = [_row(alert, instrument) for alert in alerts]
    if attention.more:
        lines.append(f"and {attention.more} older ones")
    lines.append("/alerts changes how many may ring.")
    return Card(card_text(title, *lines), ((does("📡 My scores", "/scan"),),))


def seen_card(attention: Attention, instrument: InstrumentOf) -> Card:
    """The card of the rest once its person has looked: it keeps its lines, and gets no new ones."""
    seen = len(attention.folded) + attention.more
    lines: list[Line] = [_row(alert, instrument) for alert in attention.folded]
    if attention.more:
        lines.append(f"and {attention.more} older ones")
    lines.append("New ones come on a new card.")
    return Card(card_text(f"🔕 Seen: {seen} without sound", *lines))


def missed_lines(highest: Sequence[Highest], timezone: tzinfo) -> list[Line]:
    """What scores were told while somebody was away, the highest first."""
    if not highest:
        return []
    lines: list[Line] = [f"{count(len(highest), 'score')} told since you looked:"]
    for one in highest[:_MISSED_MAX]:
        emoji, _, name = _WORDS[one.kind]
        at = from_ms(one.at_ms).astimezone(timezone)
        lines.append(f"{emoji} {one.symbol} {name} {points(one.score)}, {at:%a %H:%M}")
    if len(highest) > _MISSED_MAX:
        lines.append(f"and {len(highest) - _MISSED_MAX} more")
    return lines


def _burst_card(alerts: Sequence[ScoreAlert], instrument: InstrumentOf) -> Card:
    symbols = {alert.symbol for alert in alerts}
    kinds = {alert.kind for alert in alerts}
    is_one_way = len(kinds) == 1 and not any(alert.is_undecided for alert in alerts)
    emoji, what, _ = _WORDS[alerts[0].kind] if is_one_way else (_UNDECIDED, "moves", "")
    plural = {"rise": "rising", "crash": "crashing", "moves": "moving"}[what]
    title = f"{emoji} {len(symbols)} symbols are {plural}"
    lines: list[Line] = [_row(alert, instrument) for alert in alerts[:_LISTED_MAX]]
    if len(alerts) > _LISTED_MAX:
        lines.append(f"and {len(alerts) - _LISTED_MAX} more")
    rows = (
        (does("📡 My scores", "/scan"), does("🔕 Mute 1h", "/mute 1h")),
        (does("🗂 CSV", "/post"),),
    )
    return Card(card_text(title, *lines, length_max=CAPTION_LENGTH_MAX), rows)


def _row(alert: ScoreAlert, instrument: InstrumentOf) -> str:
    emoji = _UNDECIDED if alert.is_undecided else _WORDS[alert.kind][0]
    moved = "" if alert.move is None else f"{percent(alert.move / 100, places=1)} "
    return f"{emoji} {alert.symbol} {moved}{_scores(alert)} at {_price(alert, instrument)}"


def _candle_lines(score: RankScore, alert: ScoreAlert) -> list[Line]:
    """The candles that make what is told, the most unusual of each way first."""
    if not alert.is_undecided:
        return _moved_lines(score, alert.kind, _CANDLES_MAX)
    return [line for kind in ScoreKind for line in _moved_lines(score, kind, _CANDLES_MAX // 2)]


def _moved_lines(score: RankScore, kind: ScoreKind, most: int) -> list[Line]:
    def given(one: TimeframeScore) -> int:
        return one.bull_points if kind is ScoreKind.BULL else one.bear_points

    moved = sorted((one for one in score.scored if given(one)), key=given, reverse=True)
    return [_candle_line(one, kind) for one in moved[:most]]


def _candle_line(one: TimeframeScore, kind: ScoreKind) -> str:
    rank = one.up_rank if kind is ScoreKind.BULL else one.down_rank
    change = percent(None if one.change is None else one.change / 100, places=1)
    if rank is None:
        return f"{one.timeframe.name} {change}"
    return f"{one.timeframe.name} {change}, rarest {max(rank, 0.1):.1f}%"


def _price(alert: ScoreAlert, instrument: InstrumentOf) -> str:
    return price(Decimal(repr(alert.price)), instrument(alert.symbol))


def _since_told(alert: ScoreAlert, instrument: InstrumentOf) -> str:
    if alert.before_price is None:
        return ""
    told = price(Decimal(repr(alert.before_price)), instrument(alert.symbol))
    return f", was {told} when told"


def _buttons(symbol: str) -> Rows:
    wanted = (
        ("📈 Chart", f"/chart {symbol} 1h"),
        ("🏅 Ranks", f"/rank {symbol}"),
        ("🎯 Track", f"/track {symbol}"),
        ("🗂 CSV", f"/post {symbol}"),
        ("🔕 Mute 1h", "/mute 1h"),
    )
    buttons: list[Button] = [does(label, text) for label, text in wanted if fits(text)]
    return in_rows(buttons)
