"""The line that a refusal shows to send instead: one that the desk would take now."""

from typing import Final

from bot.telegram import examples, grammar
from bot.telegram.commands import asking, trackers
from bot.telegram.commands.context import Services
from bot.telegram.render.trading import corrected
from trading.domain.chat import Person
from trading.domain.errors import AuthLost, Refused, Retryable

# What is refused leads to what would do: a level to the grid, its amount to what is held, …
_TRIES_MAX: Final = 6
# With no more words than these a command shows something, or asks for the next word.
_LOOKING_WORDS: Final = {"tracker": 1, "track": 1, "buy": 1, "sell": 1, "trade": 2, "close": 0}


async def with_line_that_is_taken(
    error: Refused, person: Person, services: Services, said: str = ""
) -> Refused:
    """Return the refusal with an example that is taken, as far as anybody can tell now.

    A line of the grammar may still break a rule of the present: then what that refusal shows is
    tried in its turn. No slip of the finger leads to another command that acts. So it is with what
    was `said` and each word that would do in the place of its wrong one.
    """
    meant = corrected(error, said)
    near = [word for word, line in meant.items() if not await _leads_on(line, person, services)]
    if near:
        return Refused(str(error), error.example, wrong=error.wrong, near=near)
    line = next(iter(meant.values()), error.example or "")
    name = _acting(line)
    for _ in range(_TRIES_MAX):
        following = await _leads_on(line, person, services)
        if following is None:
            break
        line = following if _acting(following) in {"", name} else _leading_on(line, name)
    else:
        line = _leading_on(line, name)
    return Refused(str(error), line or None)


def _leading_on(line: str, name: str) -> str:
    """What to look at where no line of a kind would be taken now."""
    numbered = line.split()[:2]
    return " ".join(numbered) if name == "tracker" and len(numbered) > 1 else f"/help {name}"


def _acting(line: str) -> str:
    """The name of the command that a line acts with; empty for one that only looks or guides."""
    first, *rest = line.split() or [""]
    name = first[1:] if first.startswith("/") else ""
    return name if name in grammar.ACTING and len(rest) > _LOOKING_WORDS.get(name, -1) else ""


async def _leads_on(line: str, person: Person, services: Services) -> str | None:
    """Return what to send instead of a line that acts and would be refused; else None."""
    return await _refused_for(line, person, services) if _acting(line) else None


async def _refused_for(line: str, person: Person, services: Services) -> str | None:
    """Return what to send instead of a line, None where it is taken or nobody says what to send."""
    desk = services.desk
    try:
        command = grammar.parse(line, desk.instrument)
        command = trackers.on_its_kind(command, desk)
        asking.refuse_unseen(services, command)
    except Refused as error:
        return error.example
    try:
        await desk.propose(command, person.user_id)
    except Refused as error:
        return examples.fitting(error, command).example
    except (Retryable, AuthLost):
        # What was wrong with the line that was sent is told all the same.
        return None
    return None
