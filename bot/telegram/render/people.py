"""Cards about people: who there is, and what each of them gets."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.telegram.keyboards import Rows, does, in_rows, shows
from bot.telegram.render.text import Card, Code, Line, card_text, count, local, since, span
from trading.domain.chat import ConfirmationAnswer, Person, Role
from trading.domain.events import InvitationMade
from trading.domain.watching import AlertType, Interest, Loudness

_LISTED_MAX = 12
_REVOKED_MAX = 6
_SILENCE = "4h"
_JUST = timedelta(seconds=10)


def named(person: Person) -> str:
    """Somebody by name and number; the number alone where the name says no more."""
    is_known = person.name and person.name.lower() != person.role.value
    return f"{person.name} ({person.user_id})" if is_known else str(person.user_id)


def people_card(
    people: Sequence[Person], revoked: Sequence[Person], seen: Mapping[int, datetime], now: datetime
) -> Card:
    """Everybody who may pass, the owner first, with a way to each."""
    ranked = sorted(people, key=lambda one: (-one.role.rank, one.user_id))
    lines: list[Line] = []
    for person in ranked[:_LISTED_MAX]:
        mark = " 🔕" if person.is_silenced(now) else ""
        lines.append(f"• {named(person)}{mark}")
        lines.append(f"  {person.role.value}, watches {len(person.wishes.interests)}")
        if person.user_id in seen:
            lines.append(f"  seen {_ago(seen[person.user_id], now)}")
    if len(ranked) > _LISTED_MAX:
        lines.append(f"and {len(ranked) - _LISTED_MAX} more: /users NUMBER")
    if revoked:
        numbers = ", ".join(str(one.user_id) for one in revoked[:_REVOKED_MAX])
        more = " …" if len(revoked) > _REVOKED_MAX else ""
        lines.append(f"Revoked: {numbers}{more}")
    buttons = [
        shows(f"👤 {(person.name or str(person.user_id))[:16]}", f"/users {person.user_id}")
        for person in ranked[:_LISTED_MAX]
    ]
    title = f"👥 {len(ranked)} {'person' if len(ranked) == 1 else 'people'}"
    return Card(card_text(title, *lines), (*in_rows(buttons), (does("🎟 Invite", "/invite"),)))


def person_card(
    person: Person,
    seen: datetime | None,
    thresholds: Mapping[str, str],
    reader: Person,
    now: datetime,
) -> Card:
    """One person: role, what they watch and from where on, how loud, when. Times are `reader`'s."""
    role = person.role.value if person.is_active else "revoked"
    lines: list[Line] = [
        f"Seen {_ago(seen, now)}" if seen else "Not seen lately",
        *_watched(person.wishes.interests, thresholds),
        *_told(person, reader, now),
    ]
    return Card(card_text(f"👤 {named(person)}, {role}", *lines), _person_buttons(person, now))


def _watched(interests: Sequence[Interest], thresholds: Mapping[str, str]) -> list[Line]:
    lines: list[Line] = [f"Watches {count(len(interests), 'symbol')}"]
    for interest in interests[:_LISTED_MAX]:
        names = " ".join(each.name for each in interest.timeframes)
        lines.append(f"• {interest.symbol} {names}")
        lines.append(f"  {thresholds.get(interest.symbol, '?')}")
    if len(interests) > _LISTED_MAX:
        lines.append(f"and {len(interests) - _LISTED_MAX} more")
    return lines


def _told(person: Person, reader: Person, now: datetime) -> list[Line]:
    wishes = person.wishes
    reports, digest = wishes.report_every_min, person.digest_at
    lines: list[Line] = [
        f"Reports every {span(reports)}" if reports else "No reports",
        f"Digest daily at {digest} {person.timezone}" if digest else "No daily digest",
        f"Quiet {person.quiet_hours} {person.timezone}" if person.quiet_hours else "No quiet hours",
    ]
    until = person.silent_until(now)
    if until is not None:
        by = "by the owner" if person.is_silenced(now) else "by themselves"
        lines.append(f"🔕 Silent until {local(until, reader.timezone, now)}, {by}")
    turned = [
        f"{kind.value} {wishes.loud(kind).value}"
        for kind in AlertType
        if wishes.loud(kind) is not Loudness.ON
    ]
    if turned:
        lines.append(f"Turned down: {', '.join(turned)}")
    lines.append(f"At most {count(wishes.audible_per_hour, 'sound')} an hour")
    return lines


def _ago(at: datetime, now: datetime) -> str:
    # Who asks has just been seen.
    return "just now" if now - at < _JUST else f"{since(at, now)} ago"


def _person_buttons(person: Person, now: datetime) -> Rows:
    number = person.user_id
    back = (shows("⬅ People", "/users"),)
    if person.role is Role.OWNER and person.is_active:
        return (back,)
    if not person.is_active:
        again = (does("👁 As viewer", f"/role {number} viewer"),)
        return (again, back)
    other = Role.TRADER if person.role is Role.VIEWER else Role.VIEWER
    silence = (
        does("🔔 Unmute", f"/mute {number} off")
        if person.is_silenced(now)
        else does(f"🔕 Silence {_SILENCE}", f"/mute {number} {_SILENCE}")
    )
    return (
        (does(f"🎚 Make {other.value}", f"/role {number} {other.value}"), silence),
        (does("🚪 Revoke", f"/revoke {number}"), *back),
    )


# ---------------------------------------------------------------- coming in

MAY = {
    Role.TRADER: "A trader arms, buys, sells and halts with your money.",
    Role.VIEWER: "A viewer sees balances, trackers and alerts, and changes nothing.",
}
_ANSWERED = {
    ConfirmationAnswer.CONFIRMED: ("👋 You are in", "What you can send:"),
    ConfirmationAnswer.CANCELLED: ("✖️ The owner said no", "Nothing more is read here."),
    ConfirmationAnswer.EXPIRED: ("⌛ The owner did not answer", "Ask for a new invitation."),
}


def paired_card() -> Card:
    """To whoever sent the code of the start."""
    return Card(card_text("🔑 Paired: you are the owner", "Send:", Code("/status")))


def waiting_card() -> Card:
    """To whoever sent a right code."""
    return Card(card_text("👋 The owner is asked", "You are told here once there is an answer."))


def join_question_text(
    name: str, user_id: int, role: Role, *, has_code: bool, was_here: bool
) -> str:
    """To the owner: who wants to come in, and what that person could do then."""
    lines: list[Line] = [MAY[role], "They sent an invitation of yours; it is used up now."]
    if was_here:
        lines.append("⚠️ They were here before and were revoked.")
    if has_code:
        lines.append("Confirm asks for a code.")
    lines.append("Answer within a day.")
    return card_text(f"👋 {name} ({user_id}) wants to join as {role.value}", *lines)


def joiner_told_card(role: Role, answer: ConfirmationAnswer) -> Card:
    """To whoever waits: how the owner has answered."""
    title, line = _ANSWERED[answer]
    if answer is not ConfirmationAnswer.CONFIRMED:
        return Card(card_text(title, line))
    buttons = (does("📊 Status", "/status"), does("👁 Watch", "/watch"), does("❔ Help", "/help"))
    return Card(card_text(f"{title} as a {role.value}", line, Code("/help")), (buttons,))


def role_told_card(role: Role) -> Card:
    """To somebody whose role the owner has changed."""
    may = "You may arm, buy, sell and halt now." if role is Role.TRADER else "You look now."
    text = card_text(
        f"🎚 The owner has made you a {role.value}", may, "What you can send:", Code("/help")
    )
    return Card(text, ((does("📊 Status", "/status"), does("❔ Help", "/help")),))


def open_lines(opened: Sequence[InvitationMade], timezone: str, now: datetime) -> list[Line]:
    """Invitations that nobody has used yet."""
    return [f"Open: {one.role.value} until {local(one.ends_at, timezone, now)}" for one in opened]


def invite_card(opened: Sequence[InvitationMade], timezone: str, now: datetime) -> Card:
    """As what somebody is to be invited."""
    lines: list[Line] = [MAY[Role.VIEWER], MAY[Role.TRADER], *open_lines(opened, timezone, now)]
    picks = (does("👁 A viewer", "/invite viewer"), does("🎚 A trader", "/invite trader"))
    return Card(card_text("🎟 Invite whom?", *lines), (picks, *_withdraw_row(opened)))


def invited_card(opened: Sequence[InvitationMade], timezone: str, now: datetime) -> Card:
    """An invitation was made, the newest of those that are open."""
    newest = opened[-1]
    lines: list[Line] = [
        "Its code comes in a message of its own: forward that one to them.",
        "It is kept nowhere: if it does not come, make another.",
        "It works once. You are asked before they come in.",
        MAY[newest.role],
        *open_lines(opened, timezone, now),
    ]
    title = f"🎟 An invitation as {newest.role.value}"
    return Card(card_text(title, *lines), _withdraw_row(opened))


def invitation_text(code: str, hours: int) -> str:
    """What is forwarded to whoever is invited: the only place where the code stands."""
    return card_text(
        "🎟 You are invited",
        "Open a private chat with this bot and send it:",
        Code(f"/join {code}"),
        f"It works once, within {hours} hours. Then its owner is asked.",
    )


def _withdraw_row(opened: Sequence[InvitationMade]) -> Rows:
    if not opened:
        return ()
    word = "Withdraw it" if len(opened) == 1 else f"Withdraw all {len(opened)}"
    return ((does(f"✖️ {word}", "/invite withdraw"),),)
