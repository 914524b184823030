"""Commands about what is watched: /watch, /drop, /threshold, /monitoring, /alerts."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.telegram import confirm
from bot.telegram.commands.context import Reply, Request, Services, asked, no_more, whole_number
from bot.telegram.keyboards import fits
from bot.telegram.render import watching as render
from bot.telegram.render.people import named
from bot.telegram.render.text import Card, age
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged
from trading.domain.time import Timeframe
from trading.domain.watching import THRESHOLD, AlertType, Interest, Loudness, Wishes, checked
from trading.scanner.scores import RankScore

# The action of the question whether the whole list is dropped.
DROP_ALL = "DropAll"
TIMEFRAMES_MAX = 8
_PAGE_MAX = 1000
_CHANGES_MAX = 300
_OFFERED_MAX = 6
_TIMEFRAME_LIKE = re.compile(r"[0-9]+[a-zA-Z]", re.ASCII)
_QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")
_WATCH = "/watch BTC/USDT 1h 4h"


@dataclass(frozen=True, slots=True)
class Line:
    """A line about symbols: what was named, over which candles (none said: empty), from where on.

    `threshold` is text as it was typed, empty where none was.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[Timeframe, ...] = ()
    threshold: str = ""


def read_line(words: Sequence[str], find: Callable[[str], str], example: str) -> Line:
    """Read symbols, candle lengths and `threshold N`, in any order; raises Refused."""
    symbols: list[str] = []
    timeframes: list[Timeframe] = []
    threshold = ""
    rest = iter(words)
    for word in rest:
        if word.lower() in {"threshold", "from"}:
            threshold = next(rest, "")
            read_threshold(threshold, example)
        elif _TIMEFRAME_LIKE.fullmatch(word):
            timeframes.append(Timeframe.parse(word))
        else:
            symbols.append(find(word))
    if not symbols:
        raise Refused("the symbol is missing", example)
    lengths = sorted(set(timeframes), key=lambda one: one.length_ms)
    if len(lengths) > TIMEFRAMES_MAX:
        raise Refused(
            f"at most {TIMEFRAMES_MAX} candle lengths can be watched, were {len(lengths)}", example
        )
    return Line(tuple(dict.fromkeys(symbols)), tuple(lengths), threshold)


def read_threshold(word: str, example: str) -> int | None:
    """Read 1 to 100, or `auto` as None; raises Refused."""
    if word.lower() == "auto":
        return None
    is_number = word.isascii() and word.isdigit() and len(word) <= 9
    if not is_number or not 1 <= int(word) <= 100:
        raise Refused(
            f"a threshold should be between 1 and 100, or auto, was {word[:24]!r}", example
        )
    return int(word)


# ---------------------------------------------------------------- watch


async def watch(request: Request, services: Services) -> Reply:
    """Answer /watch, /watch PAGE, and /watch SYMBOL… [15m 1h …] [threshold 60|auto]."""
    words = request.words
    if not words or (len(words) == 1 and words[0].isascii() and words[0].isdigit()):
        page = whole_number(words, 0, 1, _PAGE_MAX, ("the page", "/watch 1"))
        return Reply((_list_card(request.person, services, page),))
    offer = pairs_offered("/watch", words, services)
    if offer is not None:
        return Reply((offer,), outcome="guided")
    line = read_line(words, lambda word: services.desk.instrument(word).symbol, _WATCH)
    wishes = request.person.wishes
    wanted = [_interest(symbol, line, wishes, services) for symbol in line.symbols]
    changed = sum(wishes.interest(one.symbol) is not None for one in wanted)
    person = _with(request.person, wanted)
    refuse_too_many(person, services)
    rows = [row_of(one, services) for one in wanted]
    event = PersonChanged(person, f"watches {', '.join(line.symbols)}", request.now)
    return Reply((render.watched_card(rows, changed),), (event,), "done")


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


def pairs_offered(
    command: str, words: Sequence[str], services: Services, most: int | None = None
) -> Card | None:
    """Where one of the first `most` words is a coin, its pairs, each as the whole line it makes.

    Raises Refused at the first word that is neither coin nor symbol: near misses take time to find.
    """
    for place, word in enumerate(words[:most]):
        if not word.isalnum() or _TIMEFRAME_LIKE.fullmatch(word):
            continue
        if word.lower() in {"threshold", "from"}:
            # A number or `auto` follows, and no symbol has to.
            return None
        line = {
            pair: " ".join((command, *words[:place], pair, *words[place + 1 :]))
            for pair in _pairs_of(word, services)
        }
        fitting = {pair: text for pair, text in line.items() if fits(text)}
        if fitting:
            return render.pairs_card(word.upper()[:12], fitting)
    return None


def _pairs_of(word: str, services: Services) -> list[str]:
    coin = word.upper()
    try:
        services.desk.instrument(word)
    except Refused as error:
        near = [one for one in error.near if one.startswith(f"{coin}/")]
        if not near:
            raise
    else:
        return []
    quotes = dict.fromkeys((services.desk.account().currency, *_QUOTES))
    usual = [f"{coin}/{quote}" for quote in quotes if _is_listed(f"{coin}/{quote}", services)]
    return list(dict.fromkeys((*usual, *near)))[:_OFFERED_MAX]


def _is_listed(symbol: str, services: Services) -> bool:
    try:
        return services.desk.instrument(symbol).symbol == symbol
    except Refused:
        return False


def _list_card(person: Person, services: Services, page: int = 1) -> Card:
    rows = [row_of(one, services) for one in person.wishes.interests]
    return render.list_card(rows, page, services.settings.watched_per_person_max)


def row_of(interest: Interest, services: Services, score: RankScore | None = None) -> render.Row:
    """What is watched beside a score of this moment, or the newest that is known."""
    scanner = services.scanner
    return render.Row(interest, score or scanner.score(interest), scanner.thresholds(interest))


# ---------------------------------------------------------------- drop


async def drop(request: Request, services: Services) -> Reply:
    """Answer /drop SYMBOL… [1h], /drop all, and /drop undo [SYMBOL]."""
    words, person = request.words, request.person
    first = words[0].lower() if words else ""
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
    line = read_line(words, lambda word: own_symbol(word, person), f"/drop {interests[0].symbol}")
    if line.threshold:
        raise Refused("a threshold is not dropped but changed", "/threshold 60")
    left = tuple(kept for one in interests if (kept := _without(one, line)) is not None)
    names = " ".join((*line.symbols, *(each.name for each in line.timeframes)))
    if left == interests:
        raise Refused(f"{names} is not watched", f"/drop {interests[0].symbol}")
    event = PersonChanged(_watching(person, left), f"drops {names}", request.now)
    undo = f"/drop undo {line.symbols[0]}" if len(line.symbols) == 1 else "/drop undo"
    return Reply((render.dropped_card(f"Dropped {names}", undo, len(left)),), (event,), "done")


def own_symbol(word: str, person: Person) -> str:
    """Match what was typed against a person's own list, also when it is traded no longer."""
    wanted = word.upper().replace("-", "/").replace("_", "/")
    symbols = [one.symbol for one in person.wishes.interests]
    for symbol in symbols:
        if wanted in {symbol, symbol.replace("/", "")}:
            return symbol
    raise Refused(
        f"{word[:24]} is not on your list", "/watch", wrong=word, near=symbols[:_OFFERED_MAX]
    )


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


def dropped_all(request: Request, _services: Services, _payload: str) -> Reply:
    """Empty the list of whoever has just confirmed it."""
    dropped = len(request.person.wishes.interests)
    event = PersonChanged(_watching(request.person, ()), "drops all", request.now)
    card = render.dropped_card(f"Dropped all {dropped}", "/drop undo", 0)
    return Reply((card,), (event,), "done")


async def _undone(request: Request, services: Services) -> Reply:
    """Watch again what the person's own newest change of that kind has taken away."""
    no_more(request.words, 2, "/drop undo")
    wanted = request.words[1].upper() if len(request.words) == 2 else ""
    recorded = await services.journal.latest(_CHANGES_MAX, (PersonChanged.__name__,))
    own = [
        row.event.person.wishes
        for row in recorded
        if isinstance(row.event, PersonChanged) and row.event.person.user_id == request.by
    ]
    for after, before in pairwise(own):
        lost = [one for one in _lost(before, after) if wanted in {"", one.symbol}]
        if lost:
            # A second tap finds it watched again, and goes no further back.
            missing = _lost(Wishes(tuple(lost)), request.person.wishes)
            if missing:
                return _watched_again(missing, request, services)
            break
    raise Refused("there is nothing to undo", "/watch")


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
    rows = [row_of(one, services) for one in gone]
    names = ", ".join(one.symbol for one in gone)
    event = PersonChanged(person, f"watches {names} again", request.now)
    return Reply((render.watched_card(rows, 0),), (event,), "done")


# ---------------------------------------------------------------- thresholds and loudness


async def threshold(request: Request, services: Services) -> Reply:
    """Answer /threshold, /threshold 60|auto for all, and /threshold SYMBOL… 60|auto."""
    words, person = request.words, request.person
    interests = person.wishes.interests
    if not interests:
        raise Refused("you watch nothing yet, so there is no threshold", _WATCH)
    if not words:
        return Reply((_thresholds_card(person, services),))
    example = f"/threshold {interests[0].symbol} 70"
    symbols = {own_symbol(word, person) for word in words[:-1]}
    value = read_threshold(words[-1], example)
    changed = tuple(
        replace(one, threshold=value) if not symbols or one.symbol in symbols else one
        for one in interests
    )
    person = _watching(person, changed)
    of = f" for {', '.join(sorted(symbols))}" if symbols else ""
    event = PersonChanged(person, f"is told from {value or 'auto'}{of}", request.now)
    return Reply((_thresholds_card(person, services),), (event,), "done")


def _thresholds_card(person: Person, services: Services) -> Card:
    return render.thresholds_card([row_of(one, services) for one in person.wishes.interests])


async def alerts(request: Request, _services: Services) -> Reply:
    """Answer /alerts, /alerts rises on|silent|off, /alerts sounds 6, and /alerts pinned on|off."""
    words, person = [word.lower() for word in request.words], request.person
    no_more(request.words, 2, "/alerts rises silent")
    if not words:
        return Reply((render.alerts_card(person.wishes),))
    wishes = _wished(words, person.wishes)
    changed = PersonChanged(
        replace(person, wishes=wishes), f"alerts {' '.join(words)}", request.now
    )
    return Reply((render.alerts_card(wishes),), (changed,), "done")


def _wished(words: Sequence[str], wishes: Wishes) -> Wishes:
    word = words[1] if len(words) == 2 else ""
    match words[0]:
        case "critical":
            raise Refused("critical alerts always ring: they cannot be turned down", "/alerts")
        case "sounds":
            return _with_sounds(word, wishes)
        case "pinned":
            if word not in {"on", "off"}:
                raise Refused(
                    f"the pinned card is on or off, was {word[:24]!r}", "/alerts pinned on"
                )
            return replace(wishes, is_pinned=word == "on")
        case kind:
            return _turned(kind, word, wishes)


def _with_sounds(word: str, wishes: Wishes) -> Wishes:
    example = "/alerts sounds 6"
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        raise Refused(f"sounds per hour should be a number, was {word[:24]!r}", example)
    try:
        return checked(replace(wishes, audible_per_hour=int(word)))
    except Refused as error:
        raise Refused(str(error), example) from error


def _turned(name: str, word: str, wishes: Wishes) -> Wishes:
    kinds = {kind.value: kind for kind in AlertType}
    if name not in kinds:
        raise Refused(
            f"alerts are {', '.join(kinds)}, sounds or pinned, was {name[:24]!r}",
            "/alerts rises silent",
            wrong=name,
            near=tuple(kinds),
        )
    loudness = {each.value: each for each in Loudness}
    if word not in loudness:
        raise Refused(
            f"{name} can be on, silent or off, was {word[:24]!r}",
            f"/alerts {name} silent",
            wrong=word,
            near=tuple(loudness),
        )
    turned = {**dict(wishes.loudness), kinds[name]: loudness[word]}
    return replace(wishes, loudness=tuple(turned.items()))


# ---------------------------------------------------------------- everything that is scanned


async def monitoring(request: Request, services: Services) -> Reply:
    """Answer /monitoring [page]: the owner sees all of it and for whom, others what is theirs."""
    no_more(request.words, 1, "/monitoring")
    page = whole_number(request.words, 0, 1, _PAGE_MAX, ("the page", "/monitoring 1"))
    views = services.scanner.monitored()
    if request.person.role is not Role.OWNER:
        own = [view for view in views if request.person.wishes.interest(view.symbol) is not None]
        return Reply((render.monitoring_card(own, None, page),))
    watchers: dict[str, list[str]] = {}
    for person in services.roster.active.values():
        for interest in person.wishes.interests:
            watchers.setdefault(interest.symbol, []).append(named(person))
    return Reply((render.monitoring_card(views, watchers, page),))
