"""Pictures of scores on demand: the heat map of a scan, and the recorded scores of one symbol."""

import asyncio
import re
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from bot.charts.heat_map import heat_map_of
from bot.charts.score_chart import score_chart_of
from bot.charts.worker import Picture
from bot.telegram.commands.context import Reply, Request, Services
from bot.telegram.render import pictures as render
from bot.telegram.render.score_reports import report_caption
from bot.telegram.render.scores import Reading
from bot.telegram.render.text import Card, span
from bot.telegram.render.watching import Row
from bot.telegram.words import shown
from trading.domain.errors import NotInTime, Refused
from trading.domain.instrument import Instrument
from trading.domain.time import from_ms, to_ms
from trading.domain.watching import Interest

WORD = "picture"
_DEADLINE_S = 30.0
_SPAN_LIKE = re.compile(r"([1-9][0-9]{0,3})([hd])", re.ASCII)
_MINUTES = {"h": 60, "d": 1440}
_USUAL_MIN = 7 * 1440
# As long as scores are kept where nothing else is set.
_LONGEST_MIN = 400 * 1440


async def heat_map(
    rows: Sequence[Row], missing: Sequence[str], request: Request, services: Services
) -> Reply:
    """Draw what a scan has found; there is at least one score."""
    scores = [row.score for row in rows if row.score is not None]
    newest = from_ms(max(score.at_ms for score in scores))
    at = newest.astimezone(ZoneInfo(request.person.timezone))
    picture = heat_map_of(scores, at, is_simulated=services.desk.is_simulated)
    path = await _drawn(picture, request, services)
    caption = report_caption(scores, at, missing, render.unread_lines(rows))
    return Reply((Card(caption, render.heat_map_buttons(scores), picture=path),))


async def score_history(
    interest: Interest,
    instrument: Instrument,
    word: str,
    request: Request,
    services: Services,
) -> Reply:
    """Draw the scores of a symbol as they were recorded, as far back as a word such as 30d says."""
    symbol = interest.symbol
    minutes = read_span(word, f"/rank {symbol} {WORD} 30d") if word else _USUAL_MIN
    try:
        async with asyncio.timeout(_DEADLINE_S):
            line = await services.scanner.line(interest, to_ms(request.now) - minutes * 60_000)
    except TimeoutError as error:
        raise NotInTime("reading the recorded scores took too long") from error
    if not len(line.at_ms):
        raise _nothing_recorded(symbol, minutes, services)
    thresholds = services.scanner.thresholds(interest)
    picture = score_chart_of(
        line,
        thresholds,
        instrument.price_tick,
        ZoneInfo(request.person.timezone),
        is_simulated=services.desk.is_simulated,
    )
    path = await _drawn(picture, request, services)
    reading = Reading(request.person.timezone, request.now)
    caption = render.score_history_caption(line, interest, thresholds, instrument, reading)
    return Reply((Card(caption, render.score_history_buttons(symbol), picture=path),))


def read_span(word: str, example: str) -> int:
    """Read how far back, such as `12h` or `30d`, in minutes; raises Refused."""
    match = _SPAN_LIKE.fullmatch(word.lower())
    minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
    if not 0 < minutes <= _LONGEST_MIN:
        longest = span(_LONGEST_MIN).replace(" ", "")
        raise Refused(f"a picture goes back from 1h to {longest}, was {shown(word)}", example)
    return minutes


async def _drawn(picture: Picture, request: Request, services: Services) -> str:
    path = services.data_dir / "charts" / f"{request.cause.replace(':', '-')}.png"
    return str(await services.charts.draw(picture, path))


def _nothing_recorded(symbol: str, minutes: int, services: Services) -> Refused:
    nothing = f"no score of {symbol} was recorded in the last {span(minutes)}"
    if any(view.symbol == symbol for view in services.scanner.monitored()):
        return Refused(f"{nothing}. The first comes once its past is read", f"/scan {symbol}")
    return Refused(
        f"{nothing}. Scores are recorded each minute while somebody watches", f"/watch {symbol}"
    )
