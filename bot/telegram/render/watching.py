"""Cards about what is watched: a person's list, their thresholds, all that is scanned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.telegram.keyboards import does, fits, in_rows, pager, shows
from bot.telegram.render.text import Card, Code, Line, age, card_text, count
from trading.domain.time import Timeframe
from trading.domain.watching import Interest
from trading.scanner.desk import Missing, MonitoredView, Readiness
from trading.scanner.scores import RankScore, ScoreSignal, Thresholds, signal

PAGE = 6
LEGEND: tuple[Line, ...] = ("High bear: a crash, asks to BUY.", "High bull: a rise, asks to SELL.")
ASKS = {
    ScoreSignal.BUY: "asks to BUY",
    ScoreSignal.SELL: "asks to SELL",
    ScoreSignal.INDECISION: "both ways: undecided",
    ScoreSignal.NONE: "asks for nothing",
}
_READY = {
    Readiness.WARMING: "⏳ its past is being read",
    Readiness.LIVE: "live",
    Readiness.STALE: "⚠️ its candles do not come",
}
_UNREAD = "its past could not be read"
_CHOICES = ("40", "50", "60", "70", "80", "auto")
_SUGGESTED = ("BTC/USDT", "ETH/USDT")


@dataclass(frozen=True, slots=True)
class Row:
    """One watched symbol beside its newest score; `score` is None before the first scan."""

    interest: Interest
    score: RankScore | None
    thresholds: Thresholds
    unjudged: str = ""
    """Why `auto` stands for the usual threshold; empty where it does not."""
    missing: Sequence[Missing] = ()
    """Which candle lengths are not read yet, and why."""
    history: Sequence[str] = ()
    """Of which exchanges its past is, where of several."""

    @property
    def asks(self) -> ScoreSignal:
        """What the newest score asks this person for."""
        return asked_by(self.score, self.thresholds)


def asked_by(score: RankScore | None, thresholds: Thresholds) -> ScoreSignal:
    """What a score asks for."""
    return ScoreSignal.NONE if score is None else signal(score.bull, score.bear, thresholds)


def points(share: float | None) -> str:
    """A score as people see it: 0 to 100."""
    return "?" if share is None else f"{100 * share:.0f}"


def scores_words(score: RankScore | None, between: str = " · ") -> str:
    """Both scores, the higher one first."""
    if score is None:
        return "no score yet"
    if score.bull is None or score.bear is None:
        return "too young to score"
    pair = [f"bear {points(score.bear)}", f"bull {points(score.bull)}"]
    return between.join(pair if score.bear >= score.bull else reversed(pair))


def timeframe_names(timeframes: Sequence[Timeframe]) -> str:
    """Candle lengths in a row."""
    return " ".join(each.name for each in timeframes)


def threshold_words(row: Row) -> str:
    """From which score on somebody is told, `auto` with what it means now or what it lacks."""
    if row.interest.threshold is not None:
        return f"from {row.interest.threshold} on"
    if row.unjudged:
        return f"auto: still {points(row.thresholds.bear)}, {row.unjudged}"
    return f"auto: bull {points(row.thresholds.bull)}, bear {points(row.thresholds.bear)}"


def without_lines(score: RankScore | None, missing: Sequence[Missing]) -> list[str]:
    """Which candle lengths take no part in a score, and why: one line for each reason."""
    known = {one.timeframe: one for one in missing}
    names: dict[str, list[str]] = {}
    for timeframe in known if score is None else score.unread:
        why = missing_words(known[timeframe]) if timeframe in known else _UNREAD
        names.setdefault(why, []).append(timeframe.name)
    return [f"without {' '.join(several)}: {why}" for why, several in names.items()]


def missing_words(missing: Missing) -> str:
    """Why the past of a candle length is not there, and when it is asked for again."""
    if missing.retry_s is None:
        return missing.why
    return f"{missing.why}, asked again in {age(max(missing.retry_s, 1.0) // 1)}"


# ---------------------------------------------------------------- one's own list


def list_card(rows: Sequence[Row], page: int, most: int) -> Card:
    """What a person watches, with scores and a way to drop each."""
    if not rows:
        return _empty_card()
    shown, page, pages = part(rows, page)
    lines: list[Line] = []
    for row in shown:
        lines += _row_lines(row)
    if pages > 1:
        lines.append(f"page {page} of {pages}")
    lines += LEGEND
    drops = [shows(f"✖️ {one.interest.symbol}", f"/drop {one.interest.symbol}") for one in shown]
    foot = (
        does("🔎 Scan now", "/scan"),
        does("🗺 Heat map", "/scan picture"),
        does("🎚 Thresholds", "/threshold"),
    )
    title = f"👁 You watch {len(rows)} of at most {most}"
    return Card(card_text(title, *lines), (*in_rows(drops), *pager("/watch", page, pages), foot))


def _empty_card() -> Card:
    buttons = tuple(does(f"👁 {one}", f"/watch {one}") for one in _SUGGESTED)
    text = card_text(
        "👁 You watch nothing yet",
        "Send what to look at; you are told when it moves as it rarely does:",
        Code("/watch BTC/USDT 1h 4h"),
    )
    return Card(text, (buttons,))


def _row_lines(row: Row) -> list[Line]:
    interest = row.interest
    lines: list[Line] = [
        f"• {interest.symbol} {scores_words(row.score)}",
        f"  {timeframe_names(interest.timeframes)}",
        f"  {threshold_words(row)}",
        *(f"  {line}" for line in without_lines(row.score, row.missing)),
    ]
    if row.asks is not ScoreSignal.NONE:
        lines.insert(1, f"  {ASKS[row.asks]}")
    if row.score is not None and row.score.too_young:
        lines.append(f"  too young: {timeframe_names(row.score.too_young)}")
    return lines


def part(rows: Sequence[Row], page: int) -> tuple[Sequence[Row], int, int]:
    """Return the rows of a page, its number where there is one, and how many there are."""
    pages = max(-(-len(rows) // PAGE), 1)
    page = min(page, pages)
    return rows[(page - 1) * PAGE : page * PAGE], page, pages


def watched_card(
    rows: Sequence[Row],
    changed: int,
    sources: Mapping[Timeframe, Timeframe | None] | None = None,
    undo: str = "",
) -> Card:
    """What was put on the list just now; `changed` of them were on it before.

    `sources` says of which candles each length is made; `undo` brings back what was overwritten.
    """
    names = ", ".join(row.interest.symbol for row in rows)
    lines: list[Line] = []
    for row in rows[:PAGE]:
        lines += _row_lines(row)
    if len(rows) > PAGE:
        lines.append(f"and {len(rows) - PAGE} more: /watch")
    if changed:
        lines.append(f"{count(changed, 'symbol')} watched before, now like this.")
    lines += _made_lines(sources or {})
    lines += LEGEND
    buttons = (does("🔎 Scan now", "/scan"), does("👁 My list", "/watch"))
    symbol = rows[0].interest.symbol
    ways = [does(f"✖️ Drop {symbol}", f"/drop {symbol}")] if len(rows) == 1 else []
    ways += [does("↩️ Undo", undo)] if undo and fits(undo) else []
    return Card(
        card_text(f"👁 Watching {names}", *lines), (buttons, *((tuple(ways),) if ways else ()))
    )


def _made_lines(sources: Mapping[Timeframe, Timeframe | None]) -> list[Line]:
    """What the exchange lacks, and what that is made of."""
    return [
        f"The exchange has no {one.name} candles: made of {source.name}."
        if source is not None
        else f"⚠️ The exchange has no {one.name} candles: left out."
        for one, source in sources.items()
        if source != one
    ]


def pairs_card(coin: str, lines_by_symbol: Mapping[str, str]) -> Card:
    """A coin alone: which of its pairs is meant; each button sends the whole line."""
    buttons = [does(symbol, line) for symbol, line in lines_by_symbol.items()]
    text = card_text(
        f"👁 Which pair of {coin}?",
        "Tap one, or send it:",
        Code(next(iter(lines_by_symbol.values()))),
    )
    return Card(text, in_rows(buttons))


def dropped_card(said: str, undo: str, left: int) -> Card:
    """Something was taken off the list, with the way back."""
    rest = f"You watch {count(left, 'symbol')} now." if left else "You watch nothing now."
    buttons = (does("↩️ Undo", undo), does("👁 My list", "/watch"))
    return Card(card_text(f"✖️ {said}", rest), (buttons,))


def drop_all_text(interests: Sequence[Interest], minutes: str) -> str:
    """The question before the whole list is dropped."""
    names = ", ".join(one.symbol for one in interests)
    return card_text(f"✖️ Drop all {len(interests)}?", names, f"Answer within {minutes}.")


# ---------------------------------------------------------------- thresholds


def thresholds_card(rows: Sequence[Row], of: Sequence[str] = (), undo: str = "") -> Card:
    """From which score on each symbol is told; the buttons are for those of `of`, else for all.

    `undo` is the command that takes a change back which was just made.
    """
    lines: list[Line] = [f"• {row.interest.symbol} {threshold_words(row)}" for row in rows]
    lines += [
        "From 1 to 100. auto: what paid best in a symbol's own past.",
        Code(f"/threshold {rows[0].interest.symbol} 70"),
        f"For {', '.join(of)}:" if of else "For all of them:",
    ]
    wanted = [(each, " ".join(("/threshold", *of, each))) for each in _CHOICES]
    buttons = [shows(label, command) for label, command in wanted if fits(command)]
    rest = ((does("↩️ Undo", undo),),) if undo else ()
    return Card(card_text("🎚 From which score you are told", *lines), (*in_rows(buttons, 3), *rest))


# ---------------------------------------------------------------- everything that is scanned


def monitoring_card(
    views: Sequence[MonitoredView], watchers: Mapping[str, Sequence[str]] | None, page: int
) -> Card:
    """All that is scanned; `watchers` are names by symbol for the owner, None for others."""
    if not views:
        nothing = "Nothing is scanned" if watchers is not None else "Nothing is scanned for you"
        text = card_text(f"🔭 {nothing}", "Begin with:", Code("/watch BTC/USDT 1h 4h"))
        return Card(text, ((does("👁 My list", "/watch"),),))
    pages = -(-len(views) // PAGE)
    page = min(page, pages)
    lines: list[Line] = []
    for view in views[(page - 1) * PAGE : page * PAGE]:
        lines += _view_lines(view, watchers)
    if pages > 1:
        lines.append(f"page {page} of {pages}")
    late = sum(view.readiness is not Readiness.LIVE for view in views)
    title = f"🔭 {count(len(views), 'symbol')} scanned" + (f", {late} not ready" if late else "")
    foot = (shows("🔄 Refresh", f"/monitoring {page}"), does("👁 My list", "/watch"))
    return Card(card_text(title, *lines), (*pager("/monitoring", page, pages), foot))


def _view_lines(view: MonitoredView, watchers: Mapping[str, Sequence[str]] | None) -> list[Line]:
    # Where lengths wait, what they wait for says more than that the symbol does.
    is_told = view.missing and view.readiness is Readiness.WARMING
    ready = "" if is_told else f", {_READY[view.readiness]}"
    lines: list[Line] = [
        f"• {view.symbol} {scores_words(view.score)}",
        f"  {timeframe_names(view.timeframes)}{ready}",
    ]
    if view.young:
        lines.append(f"  too young: {timeframe_names(view.young)}")
    lines += [f"  {line}" for line in without_lines(None, view.missing)]
    if watchers is not None:
        lines.append(f"  watched by {', '.join(watchers.get(view.symbol, ())) or 'nobody'}")
    return lines
