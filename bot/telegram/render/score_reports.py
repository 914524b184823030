"""The caption of a report: what is most unusual, in numbers, so that the picture is optional."""

from collections.abc import Sequence
from datetime import datetime

from bot.telegram.render.scores import rarest_words
from bot.telegram.render.text import CAPTION_LENGTH_MAX, Line, card_text
from bot.telegram.render.watching import scores_words
from trading.scanner.scores import RankScore

_LISTED_MAX = 12
# Of so many the move is told besides the score: a caption is short.
_MOVES_MAX = 4


def report_caption(
    scores: Sequence[RankScore],
    at: datetime,
    missing: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """List the most unusual symbols first, with both scores; `missing` could not be scored."""
    ranked = sorted(scores, key=lambda one: (-max(one.bull or 0, one.bear or 0), one.symbol))
    top = ranked[0]
    title = f"📡 {at:%H:%M} {_row(top)}"
    lines: list[Line] = [f"  {words}"] if (words := rarest_words(top)) else []
    for number, one in enumerate(ranked[1:_LISTED_MAX], start=1):
        lines.append(_row(one))
        if number < _MOVES_MAX and (words := rarest_words(one)):
            lines.append(f"  {words}")
    if len(ranked) > _LISTED_MAX:
        lines.append(f"and {len(ranked) - _LISTED_MAX} calmer ones")
    lines += notes
    if missing:
        lines.append(f"Not scored: {', '.join(missing)}")
    return card_text(title, *lines, length_max=CAPTION_LENGTH_MAX)


def _row(score: RankScore) -> str:
    if score.bull is None and score.bear is None:
        return f"{score.symbol} too young"
    return f"{score.symbol} {scores_words(score, between=' ')}"
