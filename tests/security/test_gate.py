"""Z-01: whatever is not admitted leaves an audit row and nothing else, in every kind and form."""

import inspect
import itertools
from typing import Any

import pytest
from telegram import Update

from bot.telegram import access
from bot.telegram.access import ALLOWED_KINDS, SERVICE_IDS, UPDATE_KINDS
from bot.telegram.commands.context import CommandEntry
from bot.telegram.commands.registry import COMMANDS
from bot.telegram.roster import Pairing
from tests.catalogue import fired
from tests.fakes.desk import START
from tests.security.front import ADA, CHANNEL, GROUP, OWNER, STRANGER, Front, kinds, said
from trading.domain.chat import Person, Role
from trading.domain.events import InvitationMade, PersonChanged, UpdateHandled

pytestmark = pytest.mark.uncounted

AUDIT = {"AccessDenied", "UpdateHandled"}
LIBRARY_KINDS = [
    name
    for name in inspect.signature(Update.__init__).parameters
    if name not in {"self", "update_id", "api_kwargs"}
]
_NOBODY: dict[str, Any] = {"id": STRANGER, "is_bot": False, "first_name": "M"}
SENDERS: dict[str, dict[str, Any] | None] = {
    "a stranger": _NOBODY,
    "a stranger named like the owner": {**_NOBODY, "first_name": "Ada", "username": "ada"},
    "a bot": {**_NOBODY, "is_bot": True},
    "the owner's number as a bot": {**ADA, "is_bot": True},
    "nobody": None,
    **{f"the service {number}": {**_NOBODY, "id": number} for number in SERVICE_IDS},
}
CHATS: dict[str, dict[str, Any]] = {
    "their own chat": {"id": STRANGER, "type": "private"},
    "the owner's chat": {"id": OWNER, "type": "private"},
    "a group": {"id": GROUP, "type": "group", "title": "x"},
    "a supergroup": {"id": GROUP, "type": "supergroup", "title": "x"},
    "a channel": {"id": CHANNEL, "type": "channel", "title": "x"},
}
TEXTS = ("/status", "/panic", "c:nonce1", "/pair 123456", "/join 123456")


def _body(sender: dict[str, Any] | None, chat: dict[str, Any], text: str) -> dict[str, Any]:
    """The fields of every kind at once: the library takes what a kind has."""
    user = sender or _NOBODY
    message = {"message_id": 1, "date": 1_700_000_000, "chat": chat, "text": text}
    message |= {"from": sender} if sender else {"sender_chat": chat}
    member = {"status": "member", "user": user}
    boost = {"source": "premium", "user": user}
    address = dict.fromkeys(("state", "city", "street_line1", "street_line2", "post_code"), "")
    return {
        **message,
        "id": "1",
        "user": user,
        "bot": user,
        "user_id": 1,
        "user_chat_id": 1,
        "from": user,
        "chat_instance": "c",
        "data": text,
        "message": message,
        "query": text,
        "offset": "",
        "result_id": "r",
        "currency": "USD",
        "total_amount": 1,
        "invoice_payload": "p",
        "shipping_address": {"country_code": "DE", **address},
        "question": "q",
        "options": [],
        "total_voter_count": 0,
        "is_closed": False,
        "is_anonymous": True,
        "type": "regular",
        "allows_multiple_answers": False,
        "allows_revoting": False,
        "poll_id": "1",
        "option_ids": [],
        "option_persistent_ids": [],
        "members_only": False,
        "old_chat_member": member,
        "new_chat_member": member,
        "reactions": [],
        "old_reaction": [],
        "new_reaction": [],
        "boost_id": "b",
        "remove_date": 1,
        "boost": {"boost_id": "b", "add_date": 1, "expiration_date": 2, "source": boost},
        "source": boost,
        "business_connection_id": "b",
        "message_ids": [1],
        "is_enabled": True,
        "paid_media_payload": "p",
    }


def _update(
    kind: str, sender: dict[str, Any] | None, chat: dict[str, Any], text: str = "/status"
) -> dict[str, Any]:
    body = _body(sender, chat, text)
    if sender is None:
        del body["from"]
    return {kind: body}


def test_z01_the_gate_knows_every_kind_that_the_installed_library_knows() -> None:
    assert set(LIBRARY_KINDS) == set(Update.ALL_TYPES)
    assert set(UPDATE_KINDS) == set(LIBRARY_KINDS)


@pytest.mark.fault("T11", "NOACT SAID")
@pytest.mark.fault("T12", "NOACT")
@pytest.mark.parametrize("kind", LIBRARY_KINDS)
async def test_z01_no_kind_from_outside_does_or_tells_anything(kind: str) -> None:
    front = Front()
    read = 0
    for sender, chat, text in itertools.product(SENDERS, CHATS, TEXTS):
        body = _update(kind, SENDERS[sender], CHATS[chat], text)
        if SENDERS[sender] is not None:
            # A case that the library could not read would prove nothing.
            assert getattr(Update.de_json({"update_id": 1, **body}, None), kind) is not None
            read += 1
        handled = await front.take(body)
        front.later(hours=1)
        case = f"{kind} of {sender} in {chat}: {text}"
        assert kinds(handled.events) <= AUDIT, case
        assert said(handled) == "", case
    assert read == (len(SENDERS) - 1) * len(CHATS) * len(TEXTS)
    assert front.desk.executed == []
    assert front.roster.active.keys() == {OWNER}
    fired(read, words=f"updates of kind {kind}")


@pytest.mark.fault("T11", "NOACT SAID")
@pytest.mark.parametrize("kind", [kind for kind in LIBRARY_KINDS if kind not in ALLOWED_KINDS])
@pytest.mark.parametrize("text", ["/panic", "/buy BTC/USDT 100 USDT"])
async def test_z01_not_even_the_owner_acts_by_a_kind_that_is_not_named(
    kind: str, text: str
) -> None:
    front, denied = Front(), 0
    for chat in CHATS.values():
        handled = await front.take(_update(kind, ADA, chat, text))
        ends = [one.outcome for one in handled.events if isinstance(one, UpdateHandled)]
        denied += sum(end.startswith(("denied", "ignored")) for end in ends)
        assert kinds(handled.events) <= {*AUDIT, "MessageQueued"}
        # An edit is answered in the owner's own chat: that it was not acted on.
        assert said(handled) == "" or "not acted on" in said(handled)
    assert front.desk.executed == []
    fired(denied, words=f"updates of kind {kind} were kept out")


async def test_z01_a_kind_newer_than_the_library_is_denied() -> None:
    front = Front()
    for sender in (ADA, _NOBODY):
        handled = await front.take(_update("telepathy", sender, CHATS["their own chat"], "/panic"))
        assert kinds(handled.events) <= AUDIT
        assert said(handled) == ""
    assert front.desk.executed == []


async def test_z01_a_kind_that_a_later_library_adds_is_denied_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "UPDATE_KINDS", ("telepathy", *UPDATE_KINDS))
    update = Update.de_json({"update_id": 1, **_update("message", ADA, CHATS["the owner's chat"])})
    monkeypatch.setattr(Update, "telepathy", update.message, raising=False)
    people = {OWNER: Person(OWNER, OWNER, "Ada", Role.OWNER)}
    ruling = access.judge(update, people, access.AccessRules())
    assert (ruling.kind, ruling.verdict) == ("telepathy", access.Verdict.IGNORED)


@pytest.mark.parametrize("chat", ["their own chat", "a group", "a supergroup", "a channel"])
@pytest.mark.parametrize("kind", ALLOWED_KINDS)
async def test_z01_the_owner_is_not_heard_in_chats_that_are_not_listed(
    kind: str, chat: str
) -> None:
    front = Front()
    handled = await front.take(_update(kind, ADA, CHATS[chat], "+/panic"))
    assert kinds(handled.events) <= AUDIT
    assert front.desk.executed == []


async def test_z01_the_same_harness_admits_the_owner() -> None:
    front = Front()
    handled = await front.take(_update("message", ADA, CHATS["the owner's chat"], "/status"))
    assert said(handled) != ""


# ------------------------------------------------------------ pairing


@pytest.mark.parametrize("kind", [kind for kind in LIBRARY_KINDS if kind != "message"])
async def test_pairing_takes_a_plain_message_only(kind: str) -> None:
    front = Front(owned=False, pairing=Pairing("123456", START))
    for chat in CHATS.values():
        await front.take(_update(kind, _NOBODY, chat, "/pair 123456"))
    assert front.roster.owner is None


@pytest.mark.parametrize("chat", ["a group", "a supergroup", "a channel"])
async def test_pairing_takes_a_private_chat_only(chat: str) -> None:
    front = Front(owned=False, pairing=Pairing("123456", START))
    await front.take(_update("message", _NOBODY, CHATS[chat], "/pair 123456"))
    assert front.roster.owner is None


async def test_a_right_code_in_time_makes_its_sender_the_owner_once() -> None:
    front = Front(owned=False, pairing=Pairing("123456", START))
    assert await front.say("/pair 000000", STRANGER) == ""
    assert "owner" in await front.say("/pair 123456", OWNER)
    assert await front.say("/pair 123456", STRANGER) == ""
    owner = front.roster.owner
    assert owner is not None
    assert owner.user_id == OWNER


async def test_a_right_code_after_its_time_pairs_nobody() -> None:
    front = Front(owned=False, pairing=Pairing("123456", START))
    front.later(minutes=15)
    assert await front.say("/pair 123456", OWNER) == ""
    assert front.roster.owner is None


# ------------------------------------------------------------ every command


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
async def test_every_command_is_silent_to_strangers_typed_and_tapped(entry: CommandEntry) -> None:
    front = Front()
    for body in (
        _update("message", _NOBODY, CHATS["their own chat"], entry.example),
        _update("callback_query", _NOBODY, CHATS["their own chat"], f"+{entry.example}"),
        _update("message", _NOBODY, CHATS["a group"], f"/{entry.name}"),
    ):
        handled = await front.take(body)
        front.later(hours=1)
        assert kinds(handled.events) <= AUDIT
        assert said(handled) == ""
        assert handled.aside is None
    assert front.desk.executed == []
    assert front.scanner.scanned == []


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.TRADER])
async def test_every_command_checks_the_role_typed_and_tapped(
    entry: CommandEntry, role: Role
) -> None:
    front = Front()
    front.roster.put(Person(8, 8, "Bob", role))
    is_allowed = access.may_use(entry.name, role)
    for name in (f"/{entry.name}", entry.example):
        front.later(minutes=1)
        typed_one = await front.say(name, 8)
        front.later(minutes=1)
        tapped_one = said(await front.tap(f"+{name}", 8, 8))
        for heard in (typed_one, tapped_one):
            assert (f"/{entry.name} is not for a {role.value}" in heard) != is_allowed
    if not is_allowed:
        assert front.desk.executed == []
        assert not front.store.of(PersonChanged)
        assert not front.store.of(InvitationMade)
