"""Commands about when somebody is told: digest, reports, quiet hours, mute; help and start."""

import re
import zoneinfo
from dataclasses import replace
from datetime import datetime, timedelta

from bot.telegram.access import may_use
from bot.telegram.commands.context import CommandEntry, Letter, Reply, Request, Services
from bot.telegram.commands.users import known, who_row
from bot.telegram.keyboards import does, in_rows
from bot.telegram.render.people import named
from bot.telegram.render.text import Card, Code, Line, card_text, local, span
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged
from trading.domain.watching import REPORT_EVERY_MIN, checked

_HOUR = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_SPAN = re.compile(r"([1-9][0-9]?)([hm])", re.ASCII)
_INTERVAL = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_MINUTES = {"m": 1, "h": 60, "d": 1440}
_INTERVAL_MAX_MIN = 7 * 1440


def _changed(request: Request, person: Person, reason: str, *lines: str) -> Reply:
    event = PersonChanged(person, reason, request.now)
    return Reply((Card(card_text(*lines)),), (event,), "done")


async def digest(request: Request, _services: Services) -> Reply:
    """Answer /digest, /digest daily 09:00 [Europe/Berlin], /digest every 4h, /digest off.

    `daily off` and `every off` end one of the two, `off` alone both.
    """
    words = [word.lower() for word in request.words]
    person = request.person
    match words:
        case []:
            return Reply((_digest_card(person),))
        case ["off"]:
            quiet = replace(person.wishes, report_every_min=None)
            changed = replace(person, digest_at=None, wishes=quiet)
            lines = ("🗞 Digest and reports are off", "Alerts go on: /alerts")
            return _changed(request, changed, "digest off", *lines)
        case ["daily", "off"]:
            changed = replace(person, digest_at=None)
            return _changed(request, changed, "daily digest off", "🗞 The daily digest is off")
        case ["every", interval]:
            return _reports(request, interval)
        case ["daily", hour] | ["daily", hour, _] if _HOUR.fullmatch(hour):
            timezone = _timezone(request.words[2]) if len(words) == 3 else person.timezone
            changed = replace(person, digest_at=hour, timezone=timezone)
            said = f"🗞 Digest daily at {hour} {timezone}"
            return _changed(request, changed, f"digest {hour}", said)
    raise Refused(
        f"the digest should be like daily 09:00 or every 4h, was {' '.join(words)[:40]!r}",
        example="/digest every 4h" if words[0] == "every" else "/digest daily 09:00",
    )


def _digest_card(person: Person) -> Card:
    every = person.wishes.report_every_min
    at = f"daily at {person.digest_at} {person.timezone}" if person.digest_at else "off"
    lines: list[Line] = [
        f"Reports every {span(every)}" if every else "Reports off",
        "A report is the scores of what you watch, as card, picture and file.",
        "Change it:",
        Code("/digest daily 09:00"),
        Code("/digest every 4h"),
    ]
    buttons = (
        *(does(f"Every {each}", f"/digest every {each}") for each in ("1h", "4h", "12h")),
        does("Reports off", "/digest every off"),
    )
    return Card(card_text(f"🗞 Digest {at}", *lines), in_rows(buttons))


def _reports(request: Request, interval: str) -> Reply:
    person, example = request.person, "/digest every 4h"
    if interval == "off":
        changed = replace(person, wishes=replace(person.wishes, report_every_min=None))
        return _changed(request, changed, "reports off", "🗞 Reports are off")
    match = _INTERVAL.fullmatch(interval)
    minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
    if not REPORT_EVERY_MIN <= minutes <= _INTERVAL_MAX_MIN:
        raise Refused(
            f"reports come every {REPORT_EVERY_MIN}m to 7d, or off, was {interval[:24]!r}", example
        )
    changed = replace(person, wishes=checked(replace(person.wishes, report_every_min=minutes)))
    lines = [f"🗞 A report every {span(minutes)}"]
    if not person.wishes.interests:
        lines.append("You watch nothing yet: /watch")
    return _changed(request, changed, f"report every {interval}", *lines)


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


async def mute(request: Request, services: Services) -> Reply:
    """Answer /mute 4h and /mute off; the owner silences others: /mute ID 4h."""
    if len(request.words) == 2 and request.words[0].isdigit():
        return _mute_other(request, services)
    until, text = _mute_until(request, request.words, "/mute 4h")
    changed = replace(request.person, muted_until=until)
    if until is None:
        return _changed(request, changed, "mute off", "🔔 Not muted any more")
    return _changed(
        request,
        changed,
        f"mute {text}",
        f"🔕 Silent until {local(until, request.person.timezone, request.now)}",
        "Critical alerts still ring.",
    )


def _mute_until(
    request: Request, words: tuple[str, ...], example: str
) -> tuple[datetime | None, str]:
    """Return until when, None for `off`, and the word that said it."""
    text = words[0].lower() if len(words) == 1 else ""
    if text == "off":
        return None, text
    match = _SPAN.fullmatch(text)
    if match is None:
        said = " ".join(request.words)[:40]
        raise Refused(f"mute should be like 4h, 30m or off, was {said!r}", example=example)
    return request.now + timedelta(minutes=int(match[1]) * _MINUTES[match[2]]), text


def _mute_other(request: Request, services: Services) -> Reply:
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner silences others", example="/mute 4h")
    person = known(request.words[0], services, "/mute")
    until, text = _mute_until(request, request.words[1:], f"/mute {person.user_id} 4h")
    if not person.is_active:
        raise Refused(f"{named(person)} is told nothing anyway", example="/users")
    changed = PersonChanged(
        replace(person, muted_until=until), f"silenced by the owner: {text}", request.now
    )
    if until is None:
        mine, theirs = "is not silent any more", "🔔 The owner has ended your silence"
    else:
        mine = f"is silent until {local(until, request.person.timezone, request.now)}"
        at = local(until, person.timezone, request.now)
        theirs = f"🔕 The owner has made this silent until {at}"
    sign = "🔔" if until is None else "🔕"
    card = Card(
        card_text(f"{sign} {named(person)} {mine}", "Critical alerts still ring."),
        (who_row(person),),
    )
    letters = (Letter(person.chat_id, Card(card_text(theirs, "Messages still come."))),)
    own = person.user_id == request.by
    return Reply((card,), (changed,), "done", letters=() if own else letters)


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
        does("👁 Watch", "/watch"),
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
    forms = FORMS.get(entry.name, ())
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
FORMS = {
    "track": TRACK_FORMS,
    "tracker": TRACKER_FORMS,
    "watch": ("/watch BTC/USDT ETH/USDT", "/watch BTC/USDT 1h threshold 70"),
    "drop": ("/drop BTC/USDT 1h", "/drop all"),
    "threshold": ("/threshold 60", "/threshold auto", "/threshold BTC/USDT auto"),
    "alerts": ("/alerts rises off", "/alerts sounds 6", "/alerts pinned on"),
    "scan": ("/scan picture", "/scan BTC/USDT 15m 1h"),
    "rank": ("/rank BTC/USDT 1h", "/rank BTC/USDT history", "/rank BTC/USDT picture 30d"),
    "post": ("/post json",),
    "digest": ("/digest every 4h", "/digest daily 09:00 Europe/Berlin", "/digest off"),
    "mute": ("/mute off", "/mute 123456789 4h"),
    "invite": ("/invite trader", "/invite withdraw"),
    "users": ("/users 123456789",),
}
