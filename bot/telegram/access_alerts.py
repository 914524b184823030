"""Who was kept out, as calm messages to the owner: strangers, groups and invitations too late."""

from bot.telegram.alert import Alert
from bot.telegram.groups import LEFT_GROUP, MOVED_GROUP
from bot.telegram.keyboards import does, shows
from bot.telegram.render.people import named
from bot.telegram.render.text import Card, card_text
from trading.domain import events

# How the denial of a code that was right once is named; why it is not any more follows.
ENDED_CODE = "join with a code that is "


def denied(event: events.AccessDenied) -> Alert:
    """Tell the owner who was kept out, and whether there is anything to do."""
    if event.update_kind.startswith(ENDED_CODE):
        return _late(event)
    if event.update_kind.startswith((LEFT_GROUP, MOVED_GROUP)):
        return _grouped(event)
    text = card_text(
        "🚪 A stranger wrote to this bot",
        f"Number {event.user_id}. It got no answer and saw nothing.",
        "There is nothing to do.",
    )
    return Alert(Card(text), owner_only=True, is_quiet=True)


def put_out(event: events.PersonChanged) -> Alert:
    """Tell the owner that the settings have put another one out."""
    person = event.person
    text = card_text(
        f"🚪 {named(person)} may do nothing now",
        "They were the owner before, and UMBRA_OWNER_ID names you. Their open questions end.",
    )
    row = (does("↩️ Let them in", f"/role {person.user_id} viewer"), shows("👥 People", "/users"))
    return Alert(Card(text, (row,)), owner_only=True)


def _grouped(event: events.AccessDenied) -> Alert:
    if event.update_kind.startswith(MOVED_GROUP):
        text = card_text(
            "🚪 A group of yours has moved",
            f"It was {event.chat_id} and is {event.update_kind[len(MOVED_GROUP) :]} now. Nobody is "
            "answered there.",
            "To open it again put the new number into UMBRA_ALLOWED_CHAT_IDS and start anew.",
        )
    else:
        text = card_text(
            "🚪 Left a group",
            f"Number {event.user_id} had this bot in {event.chat_id}.",
            "It said nothing there and has left.",
            "There is nothing to do.",
        )
    return Alert(Card(text), owner_only=True, is_quiet=True)


def _late(event: events.AccessDenied) -> Alert:
    text = card_text(
        "🚪 An invitation came too late",
        f"Number {event.user_id} sent a code that is {event.update_kind[len(ENDED_CODE) :]}.",
        "It got no answer and saw nothing.",
    )
    row = (does("🎟 Invite again", "/invite"),)
    return Alert(Card(text, (row,)), owner_only=True, is_quiet=True)
