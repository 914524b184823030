"""Commands about oneself and others: digest hour, quiet hours, mute, roles; help and start."""

import re
import zoneinfo
from dataclasses import replace
from datetime import timedelta

from bot.telegram import confirm
from bot.telegram.access import may_use
from bot.telegram.commands.context import CommandEntry, Reply, Request, Services, asked
from bot.telegram.keyboards import does, in_rows
from bot.telegram.render.text import Card, Code, Line, age, card_text
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged

_HOUR = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
# The action of the question whether somebody is given a role.
ADMIT = "Admit"
_MAY = {
    Role.TRADER: "A trader arms, buys, sells and halts with your money.",
    Role.VIEWER: "A viewer sees balances, trackers and alerts, and changes nothing.",
}
_SPAN = re.compile(r"([1-9][0-9]?)([hm])", re.ASCII)


def _changed(request: Request, person: Person, reason: str, *lines: str) -> Reply:
    event = PersonChanged(person, reason, request.now)
    return Reply((Card(card_text(*lines)),), (event,), "done")


async def digest(request: Request, _services: Services) -> Reply:
    """Answer /digest, /digest daily 09:00 [Europe/Berlin], /digest off."""
    words = [word.lower() for word in request.words]
    person = request.person
    example = "/digest daily 09:00"
    if not words:
        at = f"daily at {person.digest_at} {person.timezone}" if person.digest_at else "off"
        return Reply((Card(card_text(f"🗞 Digest {at}", "Change it:", Code(example))),))
    if words == ["off"]:
        return _changed(request, replace(person, digest_at=None), "digest off", "🗞 Digest is off")
    if len(words) not in {2, 3} or words[0] != "daily" or not _HOUR.fullmatch(words[1]):
        raise Refused(
            f"the digest should be like daily 09:00, was {' '.join(words)[:40]!r}", example=example
        )
    timezone = _timezone(request.words[2]) if len(words) == 3 else person.timezone
    changed = replace(person, digest_at=words[1], timezone=timezone)
    return _changed(
        request, changed, f"digest {words[1]}", f"🗞 Digest daily at {words[1]} {timezone}"
    )


def _timezone(text: str) -> str:
    if text.isascii() and len(text) <= 40:
        try:
            return zoneinfo.ZoneInfo(text).key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise Refused(
        f"the time zone should be like Europe/Berlin or UTC, was {text[:40]!r}",
        example="/digest daily 09:00 Europe/Berlin",
    )


async def quiet(request: Request, _services: Services) -> Reply:
    """Answer /quiet 23:00-07:00 and /quiet off."""
    example = "/quiet 23:00-07:00"
    person = request.person
    if not request.words:
        hours = person.quiet_hours or "off"
        return Reply((Card(card_text(f"🔕 Quiet hours {hours}", "Change them:", Code(example))),))
    text = request.words[0].lower()
    if text == "off" and len(request.words) == 1:
        changed = replace(person, quiet_hours=None)
        return _changed(request, changed, "quiet off", "🔔 Quiet hours are off")
    first, dash, last = text.partition("-")
    if len(request.words) != 1 or not dash or not all(map(_HOUR.fullmatch, (first, last))):
        raise Refused(f"quiet hours should be like 23:00-07:00, was {text[:40]!r}", example=example)
    changed = replace(person, quiet_hours=f"{first}-{last}")
    return _changed(
        request,
        changed,
        f"quiet {first}-{last}",
        f"🔕 Silent {first}-{last} {person.timezone}",
        "Critical alerts still ring.",
    )


async def mute(request: Request, _services: Services) -> Reply:
    """Answer /mute 4h and /mute off."""
    example = "/mute 4h"
    person = request.person
    text = request.words[0].lower() if len(request.words) == 1 else ""
    if text == "off":
        changed = replace(person, muted_until=None)
        return _changed(request, changed, "mute off", "🔔 Not muted any more")
    match = _SPAN.fullmatch(text)
    if match is None:
        raise Refused(
            f"mute should be like 4h, 30m or off, was {' '.join(request.words)[:40]!r}",
            example=example,
        )
    unit = "hours" if match[2] == "h" else "minutes"
    until = request.now + timedelta(**{unit: int(match[1])})
    return _changed(
        request,
        replace(person, muted_until=until),
        f"mute {text}",
        f"🔕 Silent until {until:%H:%M} UTC",
        "Critical alerts still ring.",
    )


async def role(request: Request, services: Services) -> Reply:
    """Answer /role ID trader|viewer|none: the owner admits, changes or revokes somebody."""
    example = "/role 123456789 viewer"
    words = [word.lower() for word in request.words]
    if not words:
        lines: list[Line] = [_person_words(person) for person in services.roster.active.values()]
        return Reply((Card(card_text("👥 People", *lines, "Change:", Code(example))),))
    is_wrong = len(words) != 2 or not (words[0].isascii() and words[0].isdigit())
    if is_wrong or len(words[0]) > 15 or words[1] not in {"trader", "viewer", "none"}:
        raise Refused(
            f"a role is given as number and trader, viewer or none, was {' '.join(words)[:40]!r}",
            example=example,
        )
    user_id = int(words[0])
    if user_id == request.by:
        raise Refused("the owner's own role cannot be changed from chat", example=example)
    if words[1] == "none":
        changed = replace(_known(services, user_id), is_active=False)
        return _changed(request, changed, "revoked", f"👥 {user_id} may do nothing now")
    return _asked_to_admit(request, services, user_id, Role(words[1]))


def _person_words(person: Person) -> str:
    name = "" if person.name.lower() == person.role.value else f" {person.name}"
    return f"{person.user_id} {person.role.value}{name}"


def _known(services: Services, user_id: int) -> Person:
    return services.roster.get(user_id) or Person(user_id, user_id, "", Role.VIEWER)


def _asked_to_admit(request: Request, services: Services, user_id: int, role: Role) -> Reply:
    """Taking a right away acts at once; giving one is asked, for a wrong digit is a stranger."""
    seconds = services.settings.safe_answer_s
    question = confirm.Question(ADMIT, f"{user_id} {role.value}", seconds)
    text = card_text(
        f"👥 {user_id} as {role.value}?",
        _MAY[role],
        f"Answer within {age(seconds)}.",
    )
    return asked(question, text, request, services)


def admitted(request: Request, services: Services, payload: str) -> Reply:
    """Give somebody the role that the owner has just confirmed; raises Refused."""
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner gives roles", example="/status")
    number, _, role = payload.partition(" ")
    changed = replace(_known(services, int(number)), role=Role(role), is_active=True)
    return _changed(request, changed, f"role {role}", f"👥 {number} is {role} now")


async def start(_request: Request, _services: Services) -> Reply:
    """Answer /start."""
    text = card_text(
        "👋 Umbra keeps your stops private",
        "Nothing rests on the exchange until a stop fires; then it sells once.",
        "Start with:",
        Code("/track BTC/USDT stop 58000 all"),
    )
    buttons = (
        does("📊 Status", "/status"),
        does("🎯 Track", "/track"),
        does("📍 Trackers", "/trackers"),
        does("❔ Help", "/help"),
    )
    return Reply((Card(text, in_rows(buttons)),))


def help_card(entries: tuple[CommandEntry, ...], person_role: Role) -> Card:
    """Every command somebody may use, one example each."""
    lines: list[Line] = []
    for entry in entries:
        if may_use(entry.name, person_role):
            lines.append(entry.about)
            lines.append(Code(entry.example))
    return Card(card_text("❔ What you can send", *lines))


def command_help_card(entry: CommandEntry) -> Card:
    """One command with its example."""
    lines: list[Line] = [entry.about, "Example:", Code(entry.example)]
    forms = _FORMS.get(entry.name, ())
    lines.extend(Code(line) for line in forms if line != entry.example)
    return Card(card_text(f"❔ /{entry.name}", *lines))


TRACK_FORMS = (
    "/track BTC/USDT stop 58000 trail 2% 0.5",
    "/track BTC/USDT trail 3% all",
    "/track BTC/USDT sell above 65000 trail 2% all",
    "/track BTC/USDT buy below 55000 trail 1% 500 USDT then once",
    "/track BTC/USDT buy stop 66000 500 USDT",
    (
        "/track ADA/USDC lines 2026-11-01T00:00 0.41 2026-11-18T00:00 0.44 / "
        "2026-11-01T00:00 0.52 2026-11-18T00:00 0.50 trail 1.5% all then swing 4% stop 0.36"
    ),
    "/track BTC/USDT stop 58000 all confirm 3 ticks max 1% backstop 55000 slippage 0.5% price bid",
)
TRACKER_FORMS = (
    "/tracker 3 trail 1.5%",
    "/tracker 3 level 66000",
    "/tracker 3 amount 50%",
    "/tracker 3 confirm 3 ticks max 1%",
    "/tracker 3 then once",
    "/tracker 3 then cooldown",
    "/tracker 3 then swing 4%",
    "/tracker 3 backstop 50000",
    "/tracker 3 backstop off",
    "/tracker 3 slippage 0.5%",
    "/tracker 3 slippage off",
    "/tracker 3 price bid",
    "/tracker 3 pause",
    "/tracker 3 resume",
    "/tracker 3 cancel",
)
_FORMS = {"track": TRACK_FORMS, "tracker": TRACKER_FORMS}
