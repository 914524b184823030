"""Commands about when and how loud somebody is told: /alerts, /digest, /quiet, /mute."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from difflib import get_close_matches

from bot.telegram.commands.context import Letter, Reply, Request, Services, no_more
from bot.telegram.commands.meaning import (
    HOUR,
    hour_meant,
    read_span,
    read_timezone,
    spans_meant,
)
from bot.telegram.commands.users import known, who_row
from bot.telegram.keyboards import does
from bot.telegram.render import loudness as render
from bot.telegram.render.people import named
from bot.telegram.render.text import Card, card_text, local, span
from bot.telegram.words import quoted, shown
from trading.domain.chat import Person, Role
from trading.domain.errors import Refused
from trading.domain.events import PersonChanged
from trading.domain.watching import REPORT_EVERY_MIN, AlertType, Loudness, Wishes, checked

_INTERVAL_MAX_MIN = 7 * 1440
_SILENCE_MAX_MIN = 30 * 1440
_DAILY, _EVERY = "/digest daily 09:00", "/digest every 4h"
_QUIET = "/quiet 23:00-07:00"
_MUTE = "/mute 4h"


def _changed(
    request: Request, person: Person, reason: str, *lines: str, undo: Sequence[str] = ()
) -> Reply:
    """Answer a change; each of `undo` is a command that takes back a part of it."""
    event = PersonChanged(person, reason, request.now)
    rows = (tuple(does(f"↩️ {render.undo_words(each)}", each) for each in undo),) if undo else ()
    return Reply((Card(card_text(*lines), rows),), (event,), "done")


# ---------------------------------------------------------------- digest and reports


async def digest(request: Request, _services: Services) -> Reply:
    """Answer /digest, /digest daily 09:00 [Europe/Berlin], /digest every 4h, /digest off.

    `daily off` and `every off` end one of the two, `off` alone both.
    """
    words = [word.lower() for word in request.words]
    person = request.person
    match words:
        case []:
            return Reply((render.digest_card(person),))
        case ["off"]:
            quiet = replace(person.wishes, report_every_min=None)
            changed = replace(person, digest_at=None, wishes=quiet)
            lines = ("🗞 Digest and reports are off", "Alerts go on: /alerts")
            undo = (*render.daily_before(person), *render.every_before(person))
            return _changed(request, changed, "digest off", *lines, undo=undo)
        case ["daily", "off"]:
            changed = replace(person, digest_at=None)
            said = "🗞 The daily digest is off"
            undo = render.daily_before(person)
            return _changed(request, changed, "daily digest off", said, undo=undo)
        case ["every", interval]:
            return _reports(request, interval)
        case ["daily", hour] | ["daily", hour, _] if HOUR.fullmatch(hour):
            return _daily(request, hour)
    raise _digest_refused(request.words)


def _daily(request: Request, hour: str) -> Reply:
    words, person = request.words, request.person
    timezone = read_timezone(words[2], f"/digest daily {hour}") if words[2:] else person.timezone
    changed = replace(person, digest_at=hour, timezone=timezone)
    lines = (f"🗞 Digest daily at {hour} {timezone}", "It comes when there is something to tell.")
    undo = render.daily_before(person) or ("/digest daily off",)
    return _changed(request, changed, f"digest {hour}", *lines, undo=undo)


def _reports(request: Request, interval: str) -> Reply:
    person = request.person
    undo = render.every_before(person)
    if interval == "off":
        changed = replace(person, wishes=replace(person.wishes, report_every_min=None))
        return _changed(request, changed, "reports off", "🗞 Reports are off", undo=undo)
    minutes = read_span(interval, REPORT_EVERY_MIN, _INTERVAL_MAX_MIN)
    if minutes is None:
        raise Refused(
            f"reports come every {REPORT_EVERY_MIN}m to 7d, or off, was {shown(interval)}",
            _EVERY,
            wrong=request.words[1],
            near=spans_meant(interval, REPORT_EVERY_MIN, _INTERVAL_MAX_MIN),
        )
    changed = replace(person, wishes=checked(replace(person.wishes, report_every_min=minutes)))
    lines = [f"🗞 A report every {span(minutes)}"]
    if not person.wishes.interests:
        lines.append("You watch nothing yet: /watch")
    undo = undo or ("/digest every off",)
    return _changed(request, changed, f"report every {interval}", *lines, undo=undo)


def _digest_refused(words: Sequence[str]) -> Refused:
    """What is wrong with a line about the digest, and the line that was probably meant."""
    first, *rest = words
    said = f"the digest should be like daily 09:00 or every 4h, was {quoted(words)}"
    if not rest and (hour := hour_meant(first)) and not first.isdigit():
        return Refused(said, f"/digest daily {hour}")
    spans = spans_meant(first, REPORT_EVERY_MIN, _INTERVAL_MAX_MIN)
    if not rest and spans and not first.isdigit():
        return Refused(said, f"/digest every {spans[0]}")
    if first.lower() == "every":
        return Refused(f"one length should follow every, was {quoted(rest)}", _EVERY)
    if first.lower() == "daily":
        was = shown(rest[0]) if rest else "nothing"
        near = [hour] if rest and (hour := hour_meant(rest[0])) else []
        wrong = rest[0] if near else ""
        if rest and HOUR.fullmatch(rest[0]):
            return Refused(f"this was not understood: {shown(rest[2])}", _DAILY)
        return Refused(f"the hour should be like 09:00, was {was}", _DAILY, wrong=wrong, near=near)
    near = get_close_matches(first.lower(), ("daily", "every", "off"), n=1, cutoff=0.7)
    return Refused(said, _DAILY, wrong=first, near=near)


# ---------------------------------------------------------------- quiet hours


async def quiet(request: Request, _services: Services) -> Reply:
    """Answer /quiet, /quiet 23:00-07:00 [Europe/Berlin] and /quiet off."""
    words, person = request.words, request.person
    if not words:
        return Reply((render.quiet_card(person),))
    text = words[0].lower()
    if text == "off" and len(words) == 1:
        changed = replace(person, quiet_hours=None)
        said = "🔔 Quiet hours are off" if person.quiet_hours else "🔔 Quiet hours were off already"
        undo = render.quiet_before(person) if person.quiet_hours else ()
        return _changed(request, changed, "quiet off", said, undo=undo)
    first, dash, last = text.partition("-")
    if len(words) > 2 or not dash or not all(map(HOUR.fullmatch, (first, last))):
        raise _quiet_refused(words)
    if first == last:
        raise Refused(f"quiet hours should end at another time than they begin, was {text}", _QUIET)
    timezone = read_timezone(words[1], f"/quiet {text}") if words[1:] else person.timezone
    changed = replace(person, quiet_hours=text, timezone=timezone)
    return _changed(
        request,
        changed,
        f"quiet {text}",
        f"🔕 Silent {text} {timezone}",
        "Messages still come, without a sound. Critical alerts still ring.",
        undo=render.quiet_before(person),
    )


def _quiet_refused(words: Sequence[str]) -> Refused:
    text = " ".join(words).lower()
    said = f"quiet hours should be like 23:00-07:00, was {quoted(words)}"
    if not any(each.isdigit() for each in text):
        near = get_close_matches(text, ("off",), cutoff=0.6)
        return Refused(said, _QUIET, wrong=words[0], near=near)
    for dash in ("–", "—", " to ", " until ", " - "):  # noqa: RUF001 - as phones write a dash
        text = text.replace(dash, "-")
    parts = text.split("-") if "-" in text else text.split()
    hours = [hour for part in parts if (hour := hour_meant(part))]
    is_whole = len(parts) == len(hours) == 2 and hours[0] != hours[1]
    return Refused(said, f"/quiet {hours[0]}-{hours[1]}" if is_whole else _QUIET)


# ---------------------------------------------------------------- mute


async def mute(request: Request, services: Services) -> Reply:
    """Answer /mute, /mute 4h and /mute off; the owner silences others: /mute ID 4h."""
    words, person = request.words, request.person
    if not words:
        return Reply((render.mute_card(person, request.now),))
    if len(words) == 2 and _names_somebody(words, services):
        return _mute_other(request, services)
    until, text = _silent_until(request, words, _MUTE)
    was_muted = person.muted_until is not None and request.now < person.muted_until
    changed = replace(person, muted_until=until)
    if until is None and person.silenced_until is not None and person.is_silenced(request.now):
        at = local(person.silenced_until, person.timezone, request.now)
        if not was_muted:
            raise Refused(
                f"the owner has made this silent until {at}: it ends then, or by the owner", "/mute"
            )
        said = f"🔕 Still silent until {at}, by the owner"
        return _changed(request, changed, "mute off", said, "Your own silence has ended.")
    if until is None:
        said = "🔔 Not muted any more" if was_muted else "🔔 You were not muted"
        return _changed(request, changed, "mute off", said)
    return _changed(
        request,
        changed,
        f"mute {text}",
        f"🔕 Silent until {local(_later(changed, until), person.timezone, request.now)}",
        "Messages still come, without a sound. Critical alerts still ring.",
        undo=("/mute off",),
    )


def _later(person: Person, until: datetime) -> datetime:
    """The end of one's own silence, or of that which the owner has put on somebody."""
    return until if person.silenced_until is None else max(until, person.silenced_until)


def _names_somebody(words: Sequence[str], services: Services) -> bool:
    """Whether the first of two words is a person: by number, or by a name that is refused."""
    if spans_meant(" ".join(words), 1, _SILENCE_MAX_MIN):
        return False
    names = {one.name.lower() for one in services.roster.everybody}
    return words[0].isdigit() or words[0].lstrip("@").lower() in names


def _silent_until(
    request: Request, words: Sequence[str], example: str
) -> tuple[datetime | None, str]:
    """Return until when, None for `off`, and the word that said it."""
    text = words[0].lower() if len(words) == 1 else " ".join(words).lower()
    if text == "off":
        return None, text
    minutes = read_span(text, 1, _SILENCE_MAX_MIN)
    if minutes is None:
        near = spans_meant(text, 1, _SILENCE_MAX_MIN)
        near = near or get_close_matches(text, ("off",), cutoff=0.6)
        command = example.rpartition(" ")[0]
        raise Refused(
            f"mute should be like 30m, 4h or 2d, at most 30d, or off, was {quoted(words)}",
            f"{command} {near[0]}" if near else example,
            wrong=words[-1] if len(words) == 1 else "",
            near=near,
        )
    return request.now + timedelta(minutes=minutes), text


def _mute_other(request: Request, services: Services) -> Reply:
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner silences others", example=_MUTE)
    person = known(request.words[0], services, "/mute", after=request.words[1:])
    until, text = _silent_until(request, request.words[1:], f"/mute {person.user_id} 4h")
    if not person.is_active:
        raise Refused(f"{named(person)} is told nothing anyway", example="/users")
    if person.user_id == request.by:
        after = replace(person, muted_until=until)
    elif until is None and not person.is_silenced(request.now):
        raise Refused(f"you have not silenced {named(person)}", f"/users {person.user_id}")
    else:
        after = replace(person, silenced_until=until)
    changed = PersonChanged(after, f"silenced by the owner: {text}", request.now)
    if until is None:
        mine, theirs = "is not silent any more", "🔔 The owner has ended your silence"
    else:
        mine = f"is silent until {local(until, request.person.timezone, request.now)}"
        at = local(until, person.timezone, request.now)
        theirs = f"🔕 The owner has made this silent until {at}"
    sign = "🔔" if until is None else "🔕"
    undo = (does("🔔 Unmute", f"/mute {person.user_id} off"),) if until is not None else ()
    card = Card(
        card_text(f"{sign} {named(person)} {mine}", "Critical alerts still ring."),
        ((*undo, *who_row(person)),),
    )
    letters = (Letter(person.chat_id, Card(card_text(theirs, "Messages still come."))),)
    own = person.user_id == request.by
    return Reply((card,), (changed,), "done", letters=() if own else letters)


# ---------------------------------------------------------------- types, sounds, the pinned card


async def alerts(request: Request, _services: Services) -> Reply:
    """Answer /alerts, /alerts rises on|silent|off, /alerts sounds 6, and /alerts pinned on|off."""
    words, person = [word.lower() for word in request.words], request.person
    if not words:
        return Reply((render.alerts_card(person.wishes),))
    no_more(request.words, 2, " ".join(("/alerts", *words[:2])))
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
                    f"the pinned card is on or off, was {quoted(words[1:])}", "/alerts pinned on"
                )
            return replace(wishes, is_pinned=word == "on")
        case kind:
            return _turned(kind, word, wishes)


def _with_sounds(word: str, wishes: Wishes) -> Wishes:
    example = "/alerts sounds 6"
    if not (word.isascii() and word.isdigit() and len(word) <= 9):
        was = shown(word) if word else "nothing"
        raise Refused(f"sounds per hour should be a number from 0 to 60, was {was}", example)
    try:
        return checked(replace(wishes, audible_per_hour=int(word)))
    except Refused as error:
        raise Refused(str(error), example) from error


def _turned(name: str, word: str, wishes: Wishes) -> Wishes:
    kinds = {kind.value: kind for kind in AlertType}
    if name not in kinds:
        raise _kind_refused(name, word)
    now = wishes.loud(kinds[name]).value
    if not word:
        raise Refused(f"{name} can be on, silent or off, now {now}", f"/alerts {name} silent")
    loudness = {each.value: each for each in Loudness}
    if word not in loudness:
        close = get_close_matches(word, loudness, n=1, cutoff=0.6)
        raise Refused(
            f"{name} can be on, silent or off, was {shown(word)}",
            f"/alerts {name} silent",
            wrong=word,
            near=tuple(dict.fromkeys((*close, "silent", "off", "on"))),
        )
    turned = {**dict(wishes.loudness), kinds[name]: loudness[word]}
    return replace(wishes, loudness=tuple(turned.items()))


def _kind_refused(name: str, word: str) -> Refused:
    names = [kind.value for kind in AlertType]
    near = get_close_matches(name, (*names, "sounds", "pinned"), n=2, cutoff=0.6)
    example = "/alerts rises silent"
    if name.isascii() and name.isdigit():
        example = f"/alerts sounds {name if int(name[:9]) <= 60 and len(name) < 3 else 6}"
    elif name in {"on", "silent", "off"}:
        example = f"/alerts rises {name}"
    elif word in {"on", "silent", "off"}:
        example = f"/alerts rises {word}"
    return Refused(
        f"alerts are {', '.join(names)}, sounds or pinned, was {shown(name)}",
        example,
        wrong=name,
        near=near,
    )
