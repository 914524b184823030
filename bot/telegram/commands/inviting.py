"""Invitations: /invite of the owner, /join as somebody who is in sees it, and the owner's yes."""

from dataclasses import replace
from datetime import timedelta

from bot.telegram import invitations
from bot.telegram.commands.context import Letter, Reply, Request, Services, no_more
from bot.telegram.commands.users import who_row
from bot.telegram.joining import Joiner
from bot.telegram.render import people as render
from bot.telegram.render.text import Card, card_text, count
from bot.telegram.words import shown
from trading.domain.chat import ConfirmationAnswer, Person, Role
from trading.domain.errors import Refused
from trading.domain.events import InvitationClosed, PersonChanged

_EXAMPLE = "/invite viewer"
_TRADER = "/invite trader"
_ROLES = (Role.VIEWER.value, Role.TRADER.value)


async def invite(request: Request, services: Services) -> Reply:
    """Answer /invite [viewer|trader|withdraw]."""
    word = request.words[0].lower() if request.words else ""
    no_more(request.words, 1, f"/invite {word}" if word in _ROLES else _EXAMPLE)
    if request.chat_id != request.person.chat_id:
        raise Refused(
            "invitations are made in your own chat with this bot, where nobody reads them"
        )
    opened = services.invitations.open(request.now)
    if not word:
        return Reply((render.invite_card(opened, request.person.timezone, request.now),))
    if word == "withdraw":
        return _withdrawn(request, services)
    if word == Role.OWNER.value:
        raise Refused("there is one owner: invite a trader, who may do all but this", _TRADER)
    if word not in _ROLES:
        raise Refused(
            f"somebody is invited as viewer or trader, was {shown(request.words[0])}",
            _EXAMPLE,
            wrong=request.words[0],
            near=_ROLES,
        )
    if len(opened) >= invitations.OPEN_MAX:
        raise Refused(
            f"{count(len(opened), 'invitation')} are open, which is the most",
            example="/invite withdraw",
        )
    return _made(Role(word), request, services)


def _made(role: Role, request: Request, services: Services) -> Reply:
    code = invitations.code_from(services.random_nonce())
    made = invitations.invitation(code, role, request.by, request.now)
    opened = [*services.invitations.open(request.now), made]
    hours = invitations.LASTS // timedelta(hours=1)
    return Reply(
        (render.invited_card(opened, request.person.timezone, request.now),),
        (made,),
        "done",
        aside=render.invitation_text(invitations.written(code), hours),
    )


def _withdrawn(request: Request, services: Services) -> Reply:
    opened = services.invitations.open(request.now)
    if not opened:
        raise Refused("no invitation is open", _EXAMPLE)
    closed = tuple(
        InvitationClosed(one.digest, invitations.WITHDRAWN, 0, request.now) for one in opened
    )
    said = f"✖️ {count(len(closed), 'invitation')} withdrawn"
    return Reply((Card(card_text(said, "Nobody comes in by it any more.")),), closed, "done")


async def join(request: Request, _services: Services) -> Reply:
    """Answer /join of somebody who is in: strangers are heard before any command is."""
    role = request.person.role.value
    raise Refused(f"you are in already, as {role}. A code is for somebody else", example="/help")


async def joined(request: Request, services: Services, payload: str) -> Reply:
    """Admit whom the owner has just said yes to; raises Refused."""
    if request.person.role is not Role.OWNER:
        raise Refused("only the owner admits people", example="/status")
    joiner = Joiner.read(payload)
    known = services.roster.active.get(joiner.user_id)
    if known is not None:
        raise Refused(f"{render.named(known)} is in already", f"/users {joiner.user_id}")
    before = services.roster.get(joiner.user_id) or Person(
        joiner.user_id, joiner.user_id, joiner.name, joiner.role
    )
    person = replace(before, name=joiner.name, role=joiner.role, is_active=True)
    changed = PersonChanged(person, f"joined as {joiner.role.value}", request.now)
    card = Card(
        card_text(f"👋 {render.named(person)} is in as {joiner.role.value}", "They were told."),
        (who_row(person),),
    )
    told = render.joiner_told_card(joiner.role, ConfirmationAnswer.CONFIRMED)
    return Reply((card,), (changed,), "done", letters=(Letter(person.chat_id, told),))
