"""Commands of the owner about others: who there is, their roles, their silence, their end."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches

from bot.telegram import confirm
from bot.telegram.commands.context import Letter, Reply, Request, Services, asked, no_more
from bot.telegram.commands.watching import row_of
from bot.telegram.keyboards import does, in_rows, shows
from bot.telegram.looks import sender_of
from bot.telegram.render import people as render
from bot.telegram.render.text import Card, Code, Line, age, card_text, count
from bot.telegram.render.watching import threshold_words
from bot.telegram.words import quoted, shown
from trading.domain.chat import Button, Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged, UpdateReceived
from trading.ports.storage import Recorded

# The action of the question whether somebody is given a role.
ADMIT = "Admit"
# The action of the question whether somebody may do nothing any more.
REVOKE = "Revoke"
_ROLES = (Role.VIEWER.value, Role.TRADER.value, "none")
_ROLE = "/role 123456789 viewer"
_UPDATES_MAX = 300
_PICKS_MAX = 12


async def users(request: Request, services: Services) -> Reply:
    """Answer /users, and /users ID: who there is, and what one of them gets."""
    no_more(request.words, 1, f"/users {request.words[0]}" if request.words else "/users")
    updates = await services.journal.latest(_UPDATES_MAX, (UpdateReceived.__name__,))
    seen = last_seen(updates)
    if request.words:
        person = known(request.words[0], services, "/users")
        return Reply((_person_card(person, seen, request, services),))
    revoked = [one for one in services.roster.everybody if not one.is_active]
    card = render.people_card(list(services.roster.active.values()), revoked, seen, request.now)
    return Reply((card,))


def _person_card(
    person: Person, seen: dict[int, datetime], request: Request, services: Services
) -> Card:
    thresholds = {
        one.symbol: threshold_words(row_of(one, services)) for one in person.wishes.interests
    }
    return render.person_card(
        person, seen.get(person.user_id), thresholds, request.person, request.now
    )


def last_seen(updates: Iterable[Recorded]) -> dict[int, datetime]:
    """When each person last wrote or tapped, as far as the newest updates tell; newest first."""
    found: dict[int, datetime] = {}
    for row in updates:
        if isinstance(row.event, UpdateReceived):
            sender = sender_of(row.event.update.payload)
            if sender is not None:
                found.setdefault(sender, row.event.at)
    return found


def known(word: str, services: Services, command: str, after: Sequence[str] = ()) -> Person:
    """Find somebody by number among those whom the roster knows; raises Refused with the others.

    `after` follows the number in the example.
    """
    others = [one for one in services.roster.everybody if one.role is not Role.OWNER]
    near = [str(one.user_id) for one in others]
    example = " ".join((command, near[-1], *after)) if near else "/users"
    if not (word.isascii() and word.isdigit() and len(word) <= 15):
        name = word.lstrip("@").lower()
        called = [str(one.user_id) for one in others if one.name.lower() == name]
        raise Refused(
            f"people are named by number, was {shown(word)}", example, wrong=word, near=called
        )
    person = services.roster.get(int(word))
    if person is None:
        raise Refused(
            f"nobody here has the number {word}", example, wrong=word, near=near[:_PICKS_MAX]
        )
    return person


# ---------------------------------------------------------------- roles


async def role(request: Request, services: Services) -> Reply:
    """Answer /role ID trader|viewer|none: the owner admits, changes or revokes somebody.

    Without a role it shows whom there is to give one to.
    """
    words = [word.lower() for word in request.words]
    if not words:
        return Reply((_roles_card(services),))
    if len(words) == 1 and words[0] not in _ROLES:
        known(request.words[0], services, "/role", after=(Role.VIEWER.value,))
        return await users(request, services)
    user_id = _role_of_whom(request.words, services)
    if words[1] == Role.OWNER.value:
        raise Refused("there is one owner, whom the settings of the machine name", "/users")
    if words[1] not in _ROLES:
        raise Refused(
            f"a role is trader, viewer or none, was {shown(request.words[1])}",
            f"/role {user_id} viewer",
            wrong=request.words[1],
            near=tuple(get_close_matches(words[1], _ROLES, n=1, cutoff=0.5)) or _ROLES,
        )
    if user_id == request.by:
        raise Refused("the owner's own role cannot be changed from chat", example="/users")
    if words[1] == "none":
        return _asked_to_revoke(_somebody(services, user_id), request, services)
    there = services.roster.active.get(user_id)
    if there is not None and there.role.value == words[1]:
        raise Refused(f"{render.named(there)} is {words[1]} already", f"/users {user_id}")
    return _asked_to_admit(request, services, user_id, Role(words[1]))


def _role_of_whom(words: Sequence[str], services: Services) -> int:
    """Read the number of a line that gives a role; raises Refused with the line that was meant."""
    first, *rest = words
    if first.lower() in _ROLES:
        line = f"/role {rest[0] if rest else '123456789'} {first.lower()}"
        raise Refused(f"the number comes first, then the role, was {quoted(words)}", line)
    if not (first.isascii() and first.isdigit() and len(first) <= 15):
        known(first, services, "/role", after=rest[:1])
    no_more(tuple(words), 2, f"/role {first} {rest[0].lower()}")
    return int(first)


def _roles_card(services: Services) -> Card:
    people = list(services.roster.active.values())
    lines: list[Line] = [_person_words(person) for person in people]
    buttons = [
        shows(f"🎚 {render.named(one)[:24]}", f"/users {one.user_id}")
        for one in people
        if one.role is not Role.OWNER
    ]
    invite = (does("🎟 Invite", "/invite"),)
    text = card_text("👥 People", *lines, "Change:", Code(_ROLE))
    return Card(text, (*in_rows(buttons[:_PICKS_MAX], 1), invite))


def _person_words(person: Person) -> str:
    name = "" if person.name.lower() == person.role.value else f" {person.name}"
    return f"{person.user_id} {person.role.value}{name}"


def _somebody(services: Services, user_id: int) -> Person:
    return services.roster.get(user_id) or Person(user_id, user_id, "", Role.VIEWER)


def _asked_to_admit(request: Request, services: Services, user_id: int, role: Role) -> Reply:
    """Ask before a right is given: a wrong digit is a stranger."""
    seconds = services.settings.safe_answer_s
    question = confirm.Question(ADMIT, f"{user_id} {role.value}", seconds)
    text = card_text(
        f"👥 {user_id} as {role.value}?",
        render.MAY[role],
        f"Answer within {age(seconds)}.",
    )
    return asked(question, text, request, services)


async def admitted(request: Request, services: Services, payload: str) -> Reply:
    """Give somebody the role that the owner has just confirmed; raises Refused."""
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner gives roles", example="/status")
    number, _, role = payload.partition(" ")
    before = _somebody(services, int(number))
    changed = replace(before, role=Role(role), is_active=True)
    event = PersonChanged(changed, f"role {role}", request.now)
    was_there = before.user_id in services.roster.active
    undo = before.role.value if was_there else "none"
    row = (does("↩️ Undo", f"/role {number} {undo}"), *who_row(changed))
    # Whom only a number names may never have opened this chat: nothing can be sent there.
    is_known = services.roster.get(before.user_id) is not None
    said = "They were told." if is_known else "They can write to this bot now."
    card = Card(card_text(f"👥 {number} is {role} now", said), (row,))
    told = (Letter(changed.chat_id, render.role_told_card(changed.role)),) if is_known else ()
    return Reply((card,), (event,), "done", letters=told)


async def revoke(request: Request, services: Services) -> Reply:
    """Answer /revoke ID with a question; without a number it offers whom."""
    if not request.words:
        return _pick(services)
    if len(request.words) > 1:
        said = f"people are revoked one by one, was {quoted(request.words)}"
        raise Refused(said, f"/revoke {request.words[0]}")
    person = known(request.words[0], services, "/revoke")
    if person.user_id == request.by or (person.is_active and person.role is Role.OWNER):
        raise Refused("the owner cannot be revoked from chat", example="/users")
    if not person.is_active:
        raise Refused(f"{render.named(person)} was revoked before", example="/users")
    return _asked_to_revoke(person, request, services)


def _pick(services: Services) -> Reply:
    others = [one for one in services.roster.active.values() if one.role is not Role.OWNER]
    if not others:
        raise Refused("there is nobody but you", example="/invite viewer")
    buttons = [
        does(f"🚪 {render.named(one)[:24]}", f"/revoke {one.user_id}")
        for one in others[:_PICKS_MAX]
    ]
    lines = ("It is asked once more. Whom it hits is told.",)
    return Reply((Card(card_text("🚪 Revoke whom?", *lines), in_rows(buttons, 1)),))


def _asked_to_revoke(person: Person, request: Request, services: Services) -> Reply:
    """Ask before somebody is put out: a wrong digit hits another, whose list would be gone."""
    seconds = services.settings.safe_answer_s
    watched = len(person.wishes.interests)
    emptied = f"They watch {count(watched, 'symbol')}: that list is emptied."
    text = card_text(
        f"🚪 Revoke {render.named(person)}?",
        "They may do nothing any more, and are told.",
        *([emptied] if watched else []),
        f"Answer within {age(seconds)}.",
    )
    question = confirm.Question(REVOKE, str(person.user_id), seconds)
    return asked(question, text, request, services)


async def revoked(request: Request, services: Services, payload: str) -> Reply:
    """Put out whom the owner has just confirmed; raises Refused."""
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner revokes", example="/status")
    person = _somebody(services, int(payload))
    known_one = services.roster.get(person.user_id)
    if known_one is not None and not known_one.is_active:
        raise Refused(f"{render.named(person)} was revoked before", example="/users")
    return _revoked(person, request, services)


def _revoked(person: Person, request: Request, services: Services) -> Reply:
    """End somebody's rights and watch list; their open questions end with the next look at them."""
    changed = person.put_out()
    services.typed_next.pop(person.user_id, None)
    services.step_up.waiting.pop(person.user_id, None)
    back = person.role.value if person.role is not Role.OWNER else Role.VIEWER.value
    card = Card(
        card_text(
            f"🚪 {render.named(person)} may do nothing now",
            "Their open questions end, and nothing is scanned for them any more.",
            f"Undo asks once, and lets them in as {back} again; their watch list stays empty.",
        ),
        ((does("↩️ Undo", f"/role {person.user_id} {back}"), does("👥 People", "/users")),),
    )
    told = Card(
        card_text("🚪 You were removed", "The owner has ended your access. Nothing is read here.")
    )
    is_there = person.user_id in services.roster.active
    letters = (Letter(person.chat_id, told),) if is_there else ()
    return Reply(
        (card,), (PersonChanged(changed, "revoked", request.now),), "done", letters=letters
    )


def who_row(person: Person) -> tuple[Button, ...]:
    """A way to somebody's card."""
    return (shows("👤 What they get", f"/users {person.user_id}"),)
