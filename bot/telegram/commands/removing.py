"""/drop SYMBOL [1h] database: the owner deletes candles that nobody watches any more."""

import json
from collections.abc import Sequence

from bot.telegram import confirm
from bot.telegram.commands.context import Reply, Request, Services, asked
from bot.telegram.commands.lines import is_length
from bot.telegram.holdings import Removable
from bot.telegram.render import removing as render
from bot.telegram.render.people import named
from bot.telegram.render.text import age
from bot.telegram.words import quoted
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.time import Timeframe

# The action of the question whether candles are deleted.
REMOVE = "RemoveHistory"
WORDS = frozenset({"database", "history"})


async def ask_to_remove(request: Request, services: Services) -> Reply:
    """Answer /drop SYMBOL [1h …] database: say what would go, and ask."""
    words = request.words[:-1]
    _refuse_others(request)
    symbols = [word for word in words if not is_length(word)]
    lengths = [Timeframe.parse(word).name for word in words if is_length(word)]
    if len(symbols) != 1:
        said = quoted(request.words)
        raise Refused(f"one symbol's candles are deleted at a time, was {said}", render.EXAMPLE)
    found = await services.remover.found(symbols[0], tuple(dict.fromkeys(lengths)))
    _refuse_watched(found, request, services)
    seconds = services.settings.safe_answer_s
    payload = json.dumps([found[0].symbol, *(one.timeframe for one in found)])
    text = render.question_text(found, age(seconds))
    return asked(confirm.Question(REMOVE, payload, seconds), text, request, services)


def said(payload: str) -> str:
    """The command that a question whether candles are deleted asked for."""
    return " ".join(("/drop", *json.loads(payload), "database"))


async def removed(request: Request, services: Services, payload: str) -> Reply:
    """Delete what the owner has just confirmed, as far as it is still there; raises Refused."""
    _refuse_others(request)
    symbol, *timeframes = json.loads(payload)
    found = [
        one for one in await services.remover.found(symbol) if one.timeframe in set(timeframes)
    ]
    _refuse_watched(found, request, services)
    await services.remover.remove(found)
    return Reply((render.removed_card(symbol, found),), outcome="done")


def _refuse_others(request: Request) -> None:
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner deletes candles: others may rank against them", "/watch")


def _refuse_watched(found: Sequence[Removable], request: Request, services: Services) -> None:
    """Refuse while somebody is told scores over these candles, or over such as are made of them."""
    going = {one.timeframe for one in found}
    people = services.roster.active.values()
    watching = [
        one for one in people for symbol in found[:1] if _watches(one, symbol, going, services)
    ]
    if not watching:
        return
    symbol = found[0].symbol
    is_own = any(one.user_id == request.by for one in watching)
    who = [
        "you watch" if one.user_id == request.by else f"{named(one)} watches" for one in watching
    ]
    raise Refused(
        f"{', '.join(who)} {symbol}: its candles are deleted when nobody does",
        f"/drop {symbol}" if is_own else f"/users {watching[0].user_id}",
    )


def _watches(person: Person, one: Removable, going: set[str], services: Services) -> bool:
    interest = person.wishes.interest(one.symbol)
    if interest is None:
        return False
    sources = [services.scanner.source(length) for length in interest.timeframes]
    read = {each.name for each in (*interest.timeframes, *sources) if each is not None}
    return bool(read & going)
