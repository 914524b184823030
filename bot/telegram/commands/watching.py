"""Commands about what is watched: /watch, /drop, /threshold, /monitoring."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from bot.telegram import confirm
from bot.telegram.commands import removing
from bot.telegram.commands.context import (
    PAGE_MAX,
    Reply,
    Request,
    Services,
    asked,
    no_more,
    page_of,
    whole_number,
)
from bot.telegram.commands.lines import (
    Line,
    own_symbol,
    pairs_offered,
    read_line,
    read_threshold,
    refuse_strays,
)
from bot.telegram.render import watching as render
from bot.telegram.render.people import named
from bot.telegram.render.text import Card, age
from bot.telegram.words import quoted, shown
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged
from trading.domain.time import Timeframe
from trading.domain.watching import THRESHOLD, Interest, Wishes, checked
from trading.scanner.desk import Missing, MonitoredView, Readiness
from trading.scanner.scores import RankScore

# The action of the question whether the whole list is dropped.
DROP_ALL = "DropAll"
_CHANGES_MAX = 300
_WATCH = "/watch BTC/USDT 1h 4h"
_THRESHOLDS_BEFORE = "thresholds as before"


# ---------------------------------------------------------------- watch


async def watch(request: Request, services: Services) -> Reply:
    """Answer /watch, /watch PAGE, and /watch SYMBOL… [15m 1h …] [threshold 60|auto]."""
    words = request.words
    if not words or (len(words) == 1 and words[0].isascii() and words[0].isdigit()):
        page = whole_number(words, 0, 1, PAGE_MAX, ("the page", "/watch 1"))
        return Reply((_list_card(request.person, services, page),))
    refuse_strays("/watch", words)
    offer = pairs_offered("/watch", words, services)
    if offer is not None:
        return Reply((offer,), outcome="guided")
    line = read_line(words, lambda word: services.desk.instrument(word).symbol, _WATCH)
    refuse_lacking(line.timeframes, services)
    wishes = request.person.wishes
    wanted = [_interest(symbol, line, wishes, services) for symbol in line.symbols]
    changed = sum(wishes.interest(one.symbol) is not None for one in wanted)
    person = _with(request.person, wanted)
    refuse_too_many(person, services)
    rows = [_begun(one, services) for one in wanted]
    event = PersonChanged(person, f"watches {', '.join(line.symbols)}", request.now)
    sources = {one: services.scanner.source(one) for row in rows for one in row.interest.timeframes}
    undo = [_line_of(one) for one in _overwritten(wanted, wishes)] if len(wanted) == 1 else []
    card = render.watched_card(rows, changed, sources, "".join(undo))
    return Reply((card,), (event,), "done")


def _overwritten(wanted: Iterable[Interest], wishes: Wishes) -> list[Interest]:
    """What stood there before and was different."""
    found = [(one, wishes.interest(one.symbol)) for one in wanted]
    return [before for one, before in found if before is not None and before != one]


def _line_of(interest: Interest) -> str:
    """The line that watches exactly this."""
    names = render.timeframe_names(interest.timeframes)
    return f"/watch {interest.symbol} {names} threshold {interest.threshold or 'auto'}"


def refuse_lacking(timeframes: Iterable[Timeframe], services: Services) -> None:
    """Refuse lengths of which the exchange has no candles, nor any to make them of."""
    for timeframe in timeframes:
        if services.scanner.source(timeframe) is None:
            usual = tuple(each.name for each in services.scanner.timeframes(""))
            raise Refused(
                f"the exchange has no {timeframe.name} candles, nor any to make them of",
                wrong=timeframe.name,
                near=usual,
            )


def _interest(symbol: str, line: Line, wishes: Wishes, services: Services) -> Interest:
    """What was said, else what stood there before, else what is usual."""
    before = wishes.interest(symbol)
    usual = before.timeframes if before else services.scanner.timeframes(symbol)
    threshold = before.threshold if before else THRESHOLD
    if line.threshold:
        threshold = read_threshold(line.threshold, _WATCH)
    return Interest(symbol, line.timeframes or usual, threshold)


def _with(person: Person, wanted: Iterable[Interest]) -> Person:
    by_symbol = {one.symbol: one for one in person.wishes.interests}
    by_symbol |= {one.symbol: one for one in wanted}
    return _watching(person, tuple(by_symbol.values()))


def _watching(person: Person, interests: tuple[Interest, ...]) -> Person:
    return replace(person, wishes=checked(replace(person.wishes, interests=interests)))


def refuse_too_many(person: Person, services: Services) -> None:
    """Refuse a list beyond a person's own bound, or one that makes too much to scan in all."""
    most, most_in_all = (
        services.settings.watched_per_person_max,
        services.settings.watched_max,
    )
    own = {one.symbol for one in person.wishes.interests}
    if len(own) > most:
        raise Refused(
            f"at most {most} symbols can be watched, these would be {len(own)}. Drop some first",
            example="/drop",
        )
    others = [one for one in services.roster.active.values() if one.user_id != person.user_id]
    scanned = own | {each.symbol for one in others for each in one.wishes.interests}
    if len(scanned) > most_in_all:
        raise Refused(
            f"at most {most_in_all} symbols are scanned for everybody together, these would be "
            f"{len(scanned)}. Drop some first",
            example="/drop",
        )


def _list_card(person: Person, services: Services, page: int = 1) -> Card:
    rows = [row_of(one, services) for one in person.wishes.interests]
    return render.list_card(rows, page, services.settings.watched_per_person_max)


def row_of(interest: Interest, services: Services, score: RankScore | None = None) -> render.Row:
    """What is watched beside a score of this moment, or the newest that is known."""
    scanner = services.scanner
    return render.Row(
        interest,
        score or scanner.score(interest),
        scanner.thresholds(interest),
        scanner.unjudged(interest),
        scanner.missing(interest),
        scanner.history(interest),
    )


def _begun(interest: Interest, services: Services) -> render.Row:
    """What is watched from this command on: pasts that nobody knows yet are read now."""
    row = row_of(interest, services)
    told = {one.timeframe for one in row.missing}
    unread = () if row.score is None else row.score.unread
    begun = [Missing(one, Readiness.WARMING.value) for one in unread if one not in told]
    return replace(row, missing=(*row.missing, *begun))


# ---------------------------------------------------------------- drop


async def drop(request: Request, services: Services) -> Reply:
    """Answer /drop SYMBOL… [1h], /drop all, /drop undo [SYMBOL], /drop SYMBOL [1h] database."""
    words, person = request.words, request.person
    first = words[0].lower() if words else ""
    if words and words[-1].lower() in removing.WORDS:
        return await removing.ask_to_remove(request, services)
    if first == "undo":
        return await _undone(request, services)
    interests = person.wishes.interests
    if not interests:
        raise Refused("you watch nothing", _WATCH)
    if not words:
        return Reply((_list_card(person, services),))
    if first == "all":
        no_more(words, 1, "/drop all")
        return _asked_to_drop_all(request, services)
    _refuse_meant_otherwise(words)
    line = read_line(words, lambda word: own_symbol(word, person), f"/drop {interests[0].symbol}")
    left = tuple(kept for one in interests if (kept := _without(one, line)) is not None)
    names = " ".join((*line.symbols, *(each.name for each in line.timeframes)))
    if left == interests:
        known = person.wishes.interest(line.symbols[0])
        over = render.timeframe_names(known.timeframes) if known else ""
        raise Refused(
            f"{names} is not watched, {line.symbols[0]} is over {over}", f"/drop {line.symbols[0]}"
        )
    event = PersonChanged(_watching(person, left), f"drops {names}", request.now)
    undo = f"/drop undo {line.symbols[0]}" if len(line.symbols) == 1 else "/drop undo"
    return Reply((render.dropped_card(f"Dropped {names}", undo, len(left)),), (event,), "done")


def _refuse_meant_otherwise(words: Sequence[str]) -> None:
    lower = [word.lower() for word in words]
    if "threshold" in lower or "from" in lower:
        raise Refused("a threshold is not dropped but changed", "/threshold 60")
    if "all" in lower:
        raise Refused(f"all stands alone, was {quoted(words)}", "/drop all")
    if lower[0] in {"everything", "*", "al"}:
        word = words[0]
        raise Refused(f"{shown(word)} is not understood", wrong=word, near=("all",))


def _without(interest: Interest, line: Line) -> Interest | None:
    if interest.symbol not in line.symbols:
        return interest
    left = tuple(one for one in interest.timeframes if one not in line.timeframes)
    return replace(interest, timeframes=left) if line.timeframes and left else None


def _asked_to_drop_all(request: Request, services: Services) -> Reply:
    seconds = services.settings.safe_answer_s
    question = confirm.Question(DROP_ALL, "/drop all", seconds)
    text = render.drop_all_text(request.person.wishes.interests, age(seconds))
    return asked(question, text, request, services)


async def dropped_all(request: Request, _services: Services, _payload: str) -> Reply:
    """Empty the list of whoever has just confirmed it."""
    dropped = len(request.person.wishes.interests)
    event = PersonChanged(_watching(request.person, ()), "drops all", request.now)
    card = render.dropped_card(f"Dropped all {dropped}", "/drop undo", 0)
    return Reply((card,), (event,), "done")


async def _undone(request: Request, services: Services) -> Reply:
    """Watch again what the person's own newest change of that kind has taken away."""
    no_more(request.words, 2, "/drop undo")
    wanted = request.words[1].upper() if len(request.words) == 2 else ""
    own = [one.person.wishes for one in await _own_changes(request, services)]
    for after, before in pairwise(own):
        lost = [one for one in _lost(before, after) if wanted in {"", one.symbol}]
        if lost:
            # A second tap finds it watched again, and goes no further back.
            missing = _lost(Wishes(tuple(lost)), request.person.wishes)
            if missing:
                return _watched_again(missing, request, services)
            break
    raise Refused("there is nothing to undo", "/watch")


async def _own_changes(request: Request, services: Services) -> list[PersonChanged]:
    """What was changed of whoever asks, by whomever, the newest first."""
    recorded = await services.journal.latest(_CHANGES_MAX, (PersonChanged.__name__,))
    return [
        row.event
        for row in recorded
        if isinstance(row.event, PersonChanged) and row.event.person.user_id == request.by
    ]


def _lost(before: Wishes, after: Wishes) -> list[Interest]:
    """What was watched before and is not any more, or over fewer candle lengths."""
    return [
        one
        for one in before.interests
        if (now := after.interest(one.symbol)) is None or set(one.timeframes) > set(now.timeframes)
    ]


def _watched_again(gone: Sequence[Interest], request: Request, services: Services) -> Reply:
    person = _with(request.person, gone)
    refuse_too_many(person, services)
    rows = [_begun(one, services) for one in gone]
    names = ", ".join(one.symbol for one in gone)
    event = PersonChanged(person, f"watches {names} again", request.now)
    return Reply((render.watched_card(rows, 0),), (event,), "done")


# ---------------------------------------------------------------- thresholds


async def threshold(request: Request, services: Services) -> Reply:
    """Answer /threshold, /threshold 60|auto for all, and /threshold SYMBOL… [60|auto]; and undo."""
    words, person = request.words, request.person
    interests = person.wishes.interests
    if not interests:
        raise Refused("you watch nothing yet, so there is no threshold", _WATCH)
    if not words:
        return Reply((_thresholds_card(person, services),))
    if words[0].lower() == "undo":
        return await _threshold_undone(request, services)
    _refuse_swapped(words)
    if "/" in words[-1] or _is_own(words[-1], person):
        named_ones = tuple(dict.fromkeys(own_symbol(word, person) for word in words))
        return Reply((_thresholds_card(person, services, named_ones),))
    symbols = {own_symbol(word, person) for word in words[:-1]}
    of = " ".join(sorted(symbols)) or interests[0].symbol
    value = read_threshold(words[-1], f"/threshold {of} 70")
    changed = tuple(
        replace(one, threshold=value) if not symbols or one.symbol in symbols else one
        for one in interests
    )
    person = _watching(person, changed)
    said = f" for {', '.join(sorted(symbols))}" if symbols else ""
    event = PersonChanged(person, f"is told from {value or 'auto'}{said}", request.now)
    undo = "" if changed == interests else "/threshold undo"
    return Reply((_thresholds_card(person, services, undo=undo),), (event,), "done")


def _is_own(word: str, person: Person) -> bool:
    try:
        own_symbol(word, person)
    except Refused:
        return False
    return True


def _refuse_swapped(words: Sequence[str]) -> None:
    """Refuse a threshold in front of its symbols, and a second one."""
    values = [
        word for word in words if (word.isascii() and word.isdigit()) or word.lower() == "auto"
    ]
    if len(values) > 1:
        others = [word for word in words if word not in values]
        line = " ".join(("/threshold", *others, values[-1]))
        raise Refused(f"one threshold can be said at a time, were {quoted(values)}", line)
    if values and words[-1] != values[0]:
        others = [word for word in words if word != values[0]]
        line = " ".join(("/threshold", *others, values[0]))
        raise Refused(f"the threshold comes last, was {quoted(words)}", line)


def _thresholds_card(
    person: Person, services: Services, of: Sequence[str] = (), undo: str = ""
) -> Card:
    interests = [one for one in person.wishes.interests if not of or one.symbol in of]
    rows = [row_of(one, services) for one in interests]
    return render.thresholds_card(rows, of, undo)


async def _threshold_undone(request: Request, services: Services) -> Reply:
    """Give the symbols of the newest change of thresholds those that they had before it."""
    no_more(request.words, 1, "/threshold undo")
    person = request.person
    for after, before in pairwise(await _own_changes(request, services)):
        if after.reason == _THRESHOLDS_BEFORE:
            # A second tap goes no further back.
            break
        interests = tuple(
            _as_before(one, after.person.wishes, before.person.wishes)
            for one in person.wishes.interests
        )
        if interests != person.wishes.interests:
            person = _watching(person, interests)
            event = PersonChanged(person, _THRESHOLDS_BEFORE, request.now)
            return Reply((_thresholds_card(person, services),), (event,), "done")
    raise Refused("there is no change of thresholds to undo", "/threshold")


def _as_before(interest: Interest, after: Wishes, before: Wishes) -> Interest:
    changed, was = after.interest(interest.symbol), before.interest(interest.symbol)
    if changed is None or was is None or changed.threshold == was.threshold:
        return interest
    is_newest = interest.threshold == changed.threshold
    return replace(interest, threshold=was.threshold) if is_newest else interest


# ---------------------------------------------------------------- everything that is scanned


async def monitoring(request: Request, services: Services) -> Reply:
    """Answer /monitoring [page]: the owner sees all of it and for whom, others what is theirs."""
    page = page_of(request)
    views = services.scanner.monitored()
    if request.person.role is not Role.OWNER:
        own = [
            _own_view(view, interest, services)
            for view in views
            if (interest := request.person.wishes.interest(view.symbol)) is not None
        ]
        return Reply((render.monitoring_card(own, None, page),))
    watchers: dict[str, list[str]] = {}
    for person in services.roster.active.values():
        for interest in person.wishes.interests:
            name = "you" if person.user_id == request.by else named(person)
            watchers.setdefault(interest.symbol, []).append(name)
    return Reply((render.monitoring_card(views, watchers, page),))


def _own_view(view: MonitoredView, interest: Interest, services: Services) -> MonitoredView:
    """What is scanned of a symbol over one's own lengths, with the score over these."""
    lengths = tuple(one for one in view.timeframes if one in interest.timeframes)
    young = tuple(one for one in view.young if one in interest.timeframes)
    missing = tuple(services.scanner.missing(interest))
    score = services.scanner.score(interest)
    return replace(view, timeframes=lengths, young=young, missing=missing, score=score)
