"""Commands that score: /scan, /rank, /post, and /data for what the scores are made of."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from bot.handed_out import keep_newest
from bot.telegram.commands import pictures
from bot.telegram.commands.context import Reply, Request, Services, no_more, page_of
from bot.telegram.commands.lines import (
    is_length,
    pairs_offered,
    read_line,
    refuse_order,
    refuse_strays,
)
from bot.telegram.commands.watching import refuse_lacking, row_of
from bot.telegram.keyboards import does, fits, in_rows
from bot.telegram.render import archive
from bot.telegram.render import scores as render
from bot.telegram.render.score_files import scores_csv
from bot.telegram.render.score_json import scores_json
from bot.telegram.render.text import Card, Code, card_text, count
from bot.telegram.render.watching import Row, scores_words
from bot.telegram.words import quoted, shown
from trading.domain.chat import Person
from trading.domain.errors import NotInTime, Refused
from trading.domain.instrument import Instrument
from trading.domain.time import Timeframe
from trading.domain.watching import Interest
from trading.scanner.scores import RankScore

SCANNED_MAX = 10
_DEADLINE_S = 30.0
_HISTORY_DEADLINE_S = 120.0
_SERIES_PER_PAGE = 5
_PICKS_MAX = 8
_SCAN = "/scan BTC/USDT"
_RANK = "/rank BTC/USDT"
_LOOKS = ("history", pictures.WORD)
_FORMS = ("csv", "json")
_FORMS_LIKE = frozenset({*_FORMS, "xml", "xls", "xlsx", "excel", "html", "txt", "pdf", "file"})
# What is done with candles on the machine alone.
# Of this folder, which tables of the journal are made in as well.
_FILES_KEPT = 20
_ON_THE_MACHINE = ("download", "list", "verify", "repair", "export", "import")


async def scan(request: Request, services: Services) -> Reply:
    """Answer /scan for what one watches, also over [15m 1h …], and /scan SYMBOL… for anything.

    With `picture` behind it the answer is a heat map.
    """
    is_picture = request.words[-1:] != () and request.words[-1].lower() == pictures.WORD
    words = request.words[:-1] if is_picture else request.words
    if all(map(is_length, words)) and request.person.wishes.interests:
        interests = _own(words, request.person, services)
    elif not words:
        raise Refused("you watch nothing yet, so name what to scan", _SCAN)
    else:
        _refuse_meant_otherwise(words, request, services)
        offer = pairs_offered("/scan", words, services)
        if offer is not None:
            return Reply((offer,), outcome="guided")
        interests = _named(words, request, services)
    scores = await _scanned(interests, services)
    missing = [one.symbol for one in interests if one.symbol not in scores]
    # An older score that is known is none of this moment.
    rows = [replace(row_of(one, services), score=scores.get(one.symbol)) for one in interests]
    if is_picture and scores:
        return await pictures.heat_map(rows, missing, request, services)
    reading = render.Reading(request.person.timezone, request.now)
    again = " ".join(("/scan", *words, pictures.WORD))
    card = render.scan_card(rows, missing, lambda one: _find(one, services), reading, again)
    return Reply((card,))


def _own(words: Sequence[str], person: Person, services: Services) -> tuple[Interest, ...]:
    """What somebody watches, over other lengths where some are named."""
    named = {Timeframe.parse(word) for word in words}
    refuse_lacking(named, services)
    lengths = tuple(sorted(named, key=lambda one: one.length_ms))
    interests = person.wishes.interests
    return tuple(replace(one, timeframes=lengths) for one in interests) if lengths else interests


def _refuse_meant_otherwise(words: Sequence[str], request: Request, services: Services) -> None:
    if pictures.WORD in [word.lower() for word in words]:
        others = [word for word in words if word.lower() != pictures.WORD]
        # What nobody knows is told as such: the line with it would be refused, too.
        pairs_offered("/scan", others, services)
        line = " ".join(("/scan", *others, pictures.WORD))
        raise Refused(f"{pictures.WORD} comes last, was {quoted(request.words)}", line)
    refuse_strays("/scan", words)


def _named(words: Sequence[str], request: Request, services: Services) -> tuple[Interest, ...]:
    line = read_line(words, lambda word: services.desk.instrument(word).symbol, _SCAN)
    refuse_lacking(line.timeframes, services)
    if line.threshold:
        raise Refused(
            "a threshold is for /watch and /threshold", " ".join(("/scan", *line.symbols))
        )
    if len(line.symbols) > SCANNED_MAX:
        raise Refused(
            f"at most {SCANNED_MAX} symbols are scanned at once, were {len(line.symbols)}",
            " ".join(("/scan", *line.symbols[:SCANNED_MAX])),
        )
    return tuple(_interest(symbol, line.timeframes, request, services) for symbol in line.symbols)


def _interest(
    symbol: str, timeframes: tuple[Timeframe, ...], request: Request, services: Services
) -> Interest:
    """What was named; what is watched of it otherwise, and what is usual else."""
    known = request.person.wishes.interest(symbol) or Interest(
        symbol, services.scanner.timeframes(symbol)
    )
    return Interest(symbol, timeframes or known.timeframes, known.threshold)


async def _scanned(interests: Sequence[Interest], services: Services) -> dict[str, RankScore]:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            scores = await services.scanner.scan(interests)
    except TimeoutError as error:
        raise NotInTime("the scan took too long") from error
    return {score.symbol: score for score in scores}


def _find(symbol: str, services: Services) -> Instrument | None:
    try:
        return services.desk.instrument(symbol)
    except Refused:
        return None


async def rank(request: Request, services: Services) -> Reply:
    """Answer /rank SYMBOL, /rank SYMBOL 1h, /rank SYMBOL history, /rank SYMBOL picture [30d]."""
    if not request.words:
        return _pick_rank(request)
    refuse_order("/rank", request.words)
    if request.words[0].lower() in _LOOKS:
        raise Refused("the symbol is missing", f"{_RANK} {request.words[0].lower()}")
    offer = pairs_offered("/rank", request.words, services, most=1)
    if offer is not None:
        return Reply((offer,), outcome="guided")
    instrument = services.desk.instrument(request.words[0])
    symbol = instrument.symbol
    word, *more = *request.words[1:], ""
    if word.lower() == pictures.WORD:
        no_more(request.words, 3, f"/rank {symbol} {pictures.WORD} 30d")
        interest = _interest(symbol, (), request, services)
        return await pictures.score_history(interest, instrument, more[0], request, services)
    no_more(request.words, 2, f"/rank {symbol} 1h")
    if word.lower() == "history":
        return await _history(symbol, request, services)
    timeframes = (_length(word, symbol),) if word else ()
    refuse_lacking(timeframes, services)
    interest = _interest(symbol, timeframes, request, services)
    score = (await _scanned((interest,), services)).get(symbol)
    reading = render.Reading(request.person.timezone, request.now)
    if word and score is not None and score.timeframes:
        card = render.timeframe_card(score, score.timeframes[0], instrument, reading)
    else:
        card = render.rank_card(row_of(interest, services, score), instrument, reading)
    return Reply((card,))


def _pick_rank(request: Request) -> Reply:
    """What is watched, to tap."""
    symbols = [one.symbol for one in request.person.wishes.interests[:_PICKS_MAX]]
    if not symbols:
        raise Refused("the symbol is missing", _RANK)
    buttons = [does(f"📊 {symbol}", f"/rank {symbol}") for symbol in symbols]
    text = card_text("📊 The ranks of which symbol?", "Tap one, or send it:", Code(_RANK))
    return Reply((Card(text, in_rows(buttons)),), outcome="guided")


def _length(word: str, symbol: str) -> Timeframe:
    """Read what follows the symbol, where it is none of the words that may."""
    if not is_length(word):
        close = get_close_matches(word.lower(), _LOOKS, n=1, cutoff=0.6)
        raise Refused(
            f"a candle length, history or picture follows the symbol, was {shown(word)}",
            f"/rank {symbol} 1h",
            wrong=word,
            near=close or ("1h", *_LOOKS),
        )
    return Timeframe.parse(word)


async def _history(symbol: str, request: Request, services: Services) -> Reply:
    interest = _interest(symbol, (), request, services)
    try:
        async with asyncio.timeout(_HISTORY_DEADLINE_S):
            report = await services.scanner.report(interest)
    except TimeoutError as error:
        raise NotInTime("the past takes too long to replay") from error
    watched = request.person.wishes.interest(symbol)
    is_auto = watched is None or watched.threshold is None
    return Reply((render.history_card(report, is_auto),))


async def post(request: Request, services: Services) -> Reply:
    """Answer /post [csv|json]: the newest scores of what one watches, as a file.

    With a symbol, watched or not, its card comes with the file: /post SYMBOL [csv|json].
    """
    if request.words and not _is_form(request.words[0]):
        return await _post_one(request, services)
    no_more(request.words, 1, "/post json")
    form = _form(request.words[0] if request.words else "csv", "/post json")
    rows = [row_of(one, services) for one in request.person.wishes.interests]
    if not rows:
        raise Refused("you watch nothing yet", "/watch BTC/USDT 1h 4h")
    scores = [row.score for row in rows if row.score is not None]
    if not scores:
        raise Refused("nothing is scored yet, their past is still being read", "/scan")
    path = await _filed(scores, form, request, services)
    return Reply((_post_card(rows, scores, form, path, request),))


async def _post_one(request: Request, services: Services) -> Reply:
    offer = pairs_offered("/post", request.words, services, most=1)
    if offer is not None:
        return Reply((offer,), outcome="guided")
    instrument = services.desk.instrument(request.words[0])
    symbol = instrument.symbol
    no_more(request.words, 2, f"/post {symbol} json")
    form = _form(request.words[1] if request.words[1:] else "csv", f"/post {symbol} json")
    interest = _interest(symbol, (), request, services)
    score = (await _scanned((interest,), services)).get(symbol)
    if score is None:
        raise Refused(f"there is no score of {symbol} yet: no candles of it come", "/monitoring")
    path = await _filed((score,), form, request, services)
    reading = render.Reading(request.person.timezone, request.now)
    card = render.rank_card(row_of(interest, services, score), instrument, reading)
    other = "json" if form == "csv" else "csv"
    again = f"/post {symbol} {other}"
    row = ((does(f"🗂 As {other.upper()}", again),),) if fits(again) else ()
    return Reply((replace(card, buttons=(*row, *card.buttons), document=str(path)),))


def _is_form(word: str) -> bool:
    """Whether a kind of file is meant, be it one that there is or not, and no symbol."""
    return word.lower() in _FORMS_LIKE or bool(get_close_matches(word.lower(), _FORMS, 1, 0.8))


def _form(word: str, example: str) -> str:
    if word.lower() not in _FORMS:
        raise Refused(
            f"scores come as csv or json, was {shown(word)}", example, wrong=word, near=_FORMS
        )
    return word.lower()


async def _filed(
    scores: Sequence[RankScore], form: str, request: Request, services: Services
) -> Path:
    write = scores_json if form == "json" else scores_csv
    name = f"scores-{request.by}-{request.now:%Y%m%d-%H%M%S}.{form}"
    path = services.data_dir / "exports" / name
    await asyncio.to_thread(_write, path, write(scores))
    return path


def _write(path: Path, text: str) -> None:
    keep_newest(path.parent, _FILES_KEPT)
    path.write_text(text, encoding="utf-8")


def _post_card(
    rows: Sequence[Row], scores: Sequence[RankScore], form: str, path: Path, request: Request
) -> Card:
    best = max(scores, key=render.height)
    reading = render.Reading(request.person.timezone, request.now)
    text = card_text(
        f"🗂 {count(len(scores), 'symbol')} as {form.upper()}",
        f"Highest: {best.symbol} {scores_words(best)}",
        f"At {reading.local(best.at_ms)}",
        *([f"Not scored yet: {len(rows) - len(scores)}"] if len(scores) < len(rows) else []),
    )
    other = "json" if form == "csv" else "csv"
    row = (does(f"🗂 As {other.upper()}", f"/post {other}"), does("🔎 Scan now", "/scan"))
    return Card(text, (row,), document=str(path))


async def show_data(request: Request, services: Services) -> Reply:
    """Answer /data [page]: what the archive holds; never where."""
    word = request.words[0].lower() if request.words else ""
    if word in _ON_THE_MACHINE:
        raise Refused(f"/data only shows what is there; on the machine: umbra data {word}", "/data")
    page = page_of(request)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            series, combined = await services.archive.counts()
            pages = max(-(-(series + combined) // _SERIES_PER_PAGE), 1)
            page = min(page, pages)
            first = (page - 1) * _SERIES_PER_PAGE
            held = await services.archive.held(first, _SERIES_PER_PAGE)
    except TimeoutError as error:
        raise NotInTime("reading the archive took too long") from error
    return Reply((archive.data_card(held, (series, combined), page, pages),))
