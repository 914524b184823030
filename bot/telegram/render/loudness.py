"""Cards about when and how loud somebody is told, and the commands that bring back what was."""

from datetime import datetime

from bot.telegram.keyboards import does, in_rows, shows
from bot.telegram.render.text import Card, Code, Line, card_text, count, local, span
from trading.domain.chat import Button, Person
from trading.domain.watching import AlertType, Loudness, Wishes
from trading.scanner.attention import kept_for_held

_SOUNDS = (0, 3, 6, 12)
_NEXT = {Loudness.ON: Loudness.SILENT, Loudness.SILENT: Loudness.OFF, Loudness.OFF: Loudness.ON}
_SIGNS = {Loudness.ON: "🔔", Loudness.SILENT: "🔕", Loudness.OFF: "🚫"}


def digest_card(person: Person) -> Card:
    """When the digest and the reports come, and other times to tap."""
    every = person.wishes.report_every_min
    at = f"daily at {person.digest_at} {person.timezone}" if person.digest_at else "off"
    lines: list[Line] = [
        f"Reports every {span(every)}" if every else "Reports off",
        "A report is the scores of what you watch, as card, picture and file.",
        "A digest is what happened since you looked; it is not sent when nothing did.",
        "Change it:",
        Code("/digest daily 09:00 Europe/Berlin"),
        Code("/digest every 4h"),
    ]
    daily = tuple(does(f"Daily {each}", f"/digest daily {each}") for each in ("07:00", "21:00"))
    reports = tuple(does(f"Every {each}", f"/digest every {each}") for each in ("1h", "4h", "12h"))
    rows = (
        (*daily, does("Daily off", "/digest daily off")),
        reports,
        (does("Reports off", "/digest every off"),),
    )
    return Card(card_text(f"🗞 Digest {at}", *lines), rows)


def quiet_card(person: Person) -> Card:
    """When it is quiet, and other hours to tap."""
    hours = f"{person.quiet_hours} {person.timezone}" if person.quiet_hours else "off"
    lines: list[Line] = [
        "Messages still come, without a sound. Critical alerts still ring.",
        "Change them:",
        Code("/quiet 23:00-07:00 Europe/Berlin"),
    ]
    wanted = [does(each, f"/quiet {each}") for each in ("22:00-07:00", "23:00-08:00")]
    return Card(
        card_text(f"🔕 Quiet hours {hours}", *lines),
        in_rows([*wanted, does("🔔 Off", "/quiet off")]),
    )


def mute_card(person: Person, now: datetime) -> Card:
    """Until when it is silent, and how long to tap."""
    until = person.silent_until(now)
    is_muted = until is not None and not person.is_silenced(now)
    title = "🔔 You are not muted"
    if until is not None:
        by = ", by the owner" if person.is_silenced(now) else ""
        title = f"🔕 Silent until {local(until, person.timezone, now)}{by}"
    lines: list[Line] = [
        "Messages still come, without a sound. Critical alerts still ring.",
        "Silent for a while:",
        Code("/mute 4h"),
    ]
    wanted = tuple(does(f"🔕 {each}", f"/mute {each}") for each in ("1h", "4h", "8h", "1d"))
    off = ((does("🔔 Unmute", "/mute off"),),) if is_muted else ()
    return Card(card_text(title, *lines), (wanted, *off))


# ---------------------------------------------------------------- what was before


def daily_before(person: Person) -> tuple[str, ...]:
    """The command that brings back a person's daily digest; none where there was none."""
    if person.digest_at is None:
        return ()
    return (f"/digest daily {person.digest_at} {person.timezone}",)


def every_before(person: Person) -> tuple[str, ...]:
    """The command that brings back a person's reports; none where there were none."""
    minutes = person.wishes.report_every_min
    return (
        ()
        if minutes is None
        else (f"/digest every {span(minutes).replace(' min', 'm').replace(' ', '')}",)
    )


def quiet_before(person: Person) -> tuple[str, ...]:
    """The command that brings back a person's quiet hours, or that there were none."""
    if person.quiet_hours is None:
        return ("/quiet off",)
    return (f"/quiet {person.quiet_hours} {person.timezone}",)


def undo_words(command: str) -> str:
    """What a button says that takes something back."""
    name, *rest = command.split()
    words = {"/mute off": "Unmute", "/quiet off": "No quiet hours"}
    return words.get(command) or ("Undo" if rest[-1] == "off" else _back_to(name, rest))


def _back_to(name: str, rest: list[str]) -> str:
    shown = rest[0] if name == "/quiet" else " ".join(rest[:2])
    return f"Back to {shown}"


# ---------------------------------------------------------------- types, sounds, the pinned card


def alerts_card(wishes: Wishes) -> Card:
    """How loud each type is; a tap on one turns it to its next."""
    lines: list[Line] = [
        f"{_SIGNS[wishes.loud(kind)]} {kind.value.capitalize()} {wishes.loud(kind).value}"
        for kind in AlertType
    ]
    lines += [
        f"📌 Pinned card {'on' if wishes.is_pinned else 'off'}",
        *_sound_lines(wishes.audible_per_hour),
        "Critical alerts always ring: they cannot be turned down or off.",
    ]
    pinned = shows("📌 Pinned card", f"/alerts pinned {'off' if wishes.is_pinned else 'on'}")
    rows = in_rows([*_cycles(wishes), pinned])
    return Card(card_text("🔔 What rings", *lines), (*rows, _sounds(wishes)))


def _sound_lines(per_hour: int) -> list[Line]:
    """What makes a sound of rises and crashes; the rest is not lost."""
    if not per_hour:
        return ["Rises and crashes make no sound; they wait on one card."]
    kept = kept_for_held(per_hour)
    share = f"{kept} of them kept for coins you hold" if kept else "the most urgent first"
    return [
        f"Rises and crashes make at most {count(per_hour, 'sound')} an hour, {share}.",
        "Of many in a minute, some wait for what comes later and matters more.",
        "When they are spent, a move twice as far as all that rang still rings.",
        "The rest waits on one card, the most urgent on top.",
    ]


def _cycles(wishes: Wishes) -> list[Button]:
    return [
        shows(
            f"{_SIGNS[now]} {kind.value.capitalize()}", f"/alerts {kind.value} {_NEXT[now].value}"
        )
        for kind in AlertType
        for now in (wishes.loud(kind),)
    ]


def _sounds(wishes: Wishes) -> tuple[Button, ...]:
    return tuple(
        shows(
            f"{'• ' if each == wishes.audible_per_hour else ''}{each}/h", f"/alerts sounds {each}"
        )
        for each in _SOUNDS
    )
