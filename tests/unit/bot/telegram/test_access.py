"""The gate: default deny by kind, chat, sender and form."""

from types import SimpleNamespace
from typing import Any

import pytest
from telegram import Update

from bot.telegram.access import (
    ALLOWED_KINDS,
    OWNER_COMMANDS,
    SERVICE_IDS,
    TRADER_COMMANDS,
    UPDATE_KINDS,
    VIEWER_COMMANDS,
    WITHHELD,
    AccessRules,
    Ruling,
    Verdict,
    buttons_for,
    judge,
    kind_of,
    may_use,
)
from bot.telegram.commands.registry import COMMANDS
from tests.catalogue import fired
from trading.domain.chat import Button, Person, Role

OWNER, STRANGER, GROUP = 7, 666, -100
PEOPLE = {OWNER: Person(OWNER, OWNER, "Ada", Role.OWNER)}
NOBODY: dict[str, Any] = {"id": STRANGER, "is_bot": False, "first_name": "M"}
ADA: dict[str, Any] = {"id": OWNER, "is_bot": False, "first_name": "Ada"}
CLOSED = AccessRules()
OPEN_GROUP = AccessRules(frozenset({GROUP}), allow_groups=True)


def _chat(chat_id: int) -> dict[str, Any]:
    kind = "private" if chat_id > 0 else "supergroup"
    return {"id": chat_id, "type": kind, "title": "x"}


def _message(sender: dict[str, Any] | None = ADA, chat_id: int = OWNER, **more: Any) -> Any:
    body = {"message_id": 1, "date": 1_700_000_000, "chat": _chat(chat_id), "text": "/status"}
    return {**body, **({"from": sender} if sender else {}), **more}


def _update(**kind: Any) -> Update:
    return Update.de_json({"update_id": 1, **kind}, None)


def _tap(sender: dict[str, Any] = ADA, chat_id: int = OWNER, **more: Any) -> Update:
    message = _message({"id": 1, "is_bot": True, "first_name": "U"}, chat_id)
    query = {"id": "q", "from": sender, "chat_instance": "c", "data": "+/status"}
    return _update(callback_query={**query, "message": message, **more})


def test_the_owner_passes_in_the_private_chat() -> None:
    ruling = judge(_update(message=_message()), PEOPLE, CLOSED)
    assert (ruling.verdict, ruling.person) == (Verdict.ADMITTED, PEOPLE[OWNER])


def test_the_owner_may_tap() -> None:
    assert judge(_tap(), PEOPLE, CLOSED).verdict is Verdict.ADMITTED


@pytest.mark.fault("T12", "NOACT")
def test_a_stranger_does_not_pass_by_message_or_tap() -> None:
    updates = _update(message=_message(NOBODY, STRANGER)), _tap(NOBODY, STRANGER)
    for update in updates:
        assert judge(update, PEOPLE, CLOSED).verdict is Verdict.STRANGER
    fired({update.effective_user.id for update in updates} - PEOPLE.keys())


@pytest.mark.fault("T12", "NOACT")
def test_a_stranger_in_the_owners_group_does_not_pass() -> None:
    updates = _update(message=_message(NOBODY, GROUP)), _tap(NOBODY, GROUP)
    for update in updates:
        assert judge(update, PEOPLE, OPEN_GROUP).verdict is Verdict.STRANGER
    fired({update.effective_user.id for update in updates} - PEOPLE.keys())


@pytest.mark.fault("T13", "SAID")
def test_a_group_is_silent_unless_it_is_opted_in_and_listed() -> None:
    update = _update(message=_message(ADA, GROUP))
    closed = CLOSED, AccessRules(frozenset({GROUP})), AccessRules(allow_groups=True)
    verdicts = [judge(update, PEOPLE, rules).verdict for rules in (*closed, OPEN_GROUP)]
    assert verdicts == [*[Verdict.IGNORED] * 3, Verdict.ADMITTED]
    assert judge(_tap(ADA, GROUP), PEOPLE, OPEN_GROUP).verdict is Verdict.ADMITTED
    fired(verdicts.count(Verdict.IGNORED))


def test_somebody_elses_private_chat_is_not_the_owners() -> None:
    update = _update(message=_message(ADA, STRANGER))
    assert judge(update, PEOPLE, CLOSED).verdict is Verdict.IGNORED


@pytest.mark.fault("T11", "NOACT")
@pytest.mark.parametrize(
    "service",
    [
        pytest.param(777000, id="channel posts"),
        pytest.param(1087968824, id="anonymous admins"),
        pytest.param(136817688, id="channels in groups"),
    ],
)
def test_telegrams_own_accounts_never_pass(service: int) -> None:
    people = {service: Person(service, service, "", Role.OWNER)}
    sender = {"id": service, "is_bot": False, "first_name": "T"}
    update = _update(message=_message(sender, service))
    assert judge(update, people, CLOSED).verdict is Verdict.STRANGER
    fired({update.effective_user.id} & SERVICE_IDS)


def test_a_bot_never_passes() -> None:
    sender = {**ADA, "is_bot": True}
    assert judge(_update(message=_message(sender)), PEOPLE, CLOSED).verdict is Verdict.STRANGER


@pytest.mark.fault("T11", "NOACT")
def test_a_message_of_a_channel_in_a_group_is_not_its_owners() -> None:
    update = _update(message=_message(ADA, GROUP, sender_chat=_chat(-200)))
    assert judge(update, PEOPLE, OPEN_GROUP).verdict is Verdict.IGNORED
    fired({update.message.sender_chat.id} - PEOPLE.keys())


def test_a_message_without_sender_does_not_pass() -> None:
    update = _update(message=_message(None, GROUP))
    ruling = judge(update, PEOPLE, OPEN_GROUP)
    assert (ruling.verdict, ruling.user_id, ruling.chat_id) == (Verdict.STRANGER, 0, GROUP)


def test_an_update_that_names_nobody_has_no_ids() -> None:
    ruling = judge(_update(poll_answer=None), {0: PEOPLE[OWNER], 1: PEOPLE[OWNER]}, OPEN_GROUP)
    assert (ruling.verdict, ruling.kind) == (Verdict.STRANGER, "unknown")
    assert (ruling.user_id, ruling.chat_id, ruling.person) == (0, 0, None)
    bare = Ruling(Verdict.STRANGER, "poll")
    assert (bare.user_id, bare.chat_id, bare.hint) == (0, 0, "")


def test_a_tap_without_its_message_does_nothing() -> None:
    query = {"id": "q", "from": ADA, "chat_instance": "c", "data": "+/status"}
    update = _update(callback_query={**query, "inline_message_id": "i"})
    ruling = judge(update, PEOPLE, CLOSED)
    assert (ruling.verdict, ruling.chat_id) == (Verdict.IGNORED, 0)


@pytest.mark.parametrize(("number", "verdict"), [(0, Verdict.IGNORED), (1, Verdict.ADMITTED)])
def test_a_chat_without_a_number_is_nobodys(number: int, verdict: Verdict) -> None:
    people = {number: Person(number, number, "Ada", Role.OWNER)}
    message = _message({**ADA, "id": number}, number)
    message["chat"]["type"] = "private"
    assert judge(_update(message=message), people, CLOSED).verdict is verdict


@pytest.mark.fault("T14", "NOACT")
@pytest.mark.parametrize(
    "form",
    [
        {
            "forward_origin": {
                "type": "hidden_user",
                "date": 1_700_000_000,
                "sender_user_name": "x",
            }
        },
        {"is_automatic_forward": True},
        {"via_bot": {"id": 5, "is_bot": True, "first_name": "b"}},
    ],
)
def test_a_form_that_is_never_acted_on_gets_a_hint(form: dict[str, Any]) -> None:
    update = _update(message=_message(**form))
    ruling = judge(update, PEOPLE, CLOSED)
    assert ruling.verdict is Verdict.IGNORED
    assert "not acted on" in ruling.hint
    fired([name for name in form if getattr(update.message, name)])


def test_a_secret_that_was_sent_is_said_to_be_given_away_whatever_its_form() -> None:
    for form in ({}, {"via_bot": {"id": 5, "is_bot": True, "first_name": "b"}}):
        ruling = judge(
            _update(message=_message(text=f"my key: {WITHHELD}", **form)), PEOPLE, CLOSED
        )
        assert "has not kept it" in ruling.hint
        assert "not acted on" not in ruling.hint


@pytest.mark.fault("T10", "NOACT SAID")
def test_an_edited_message_is_not_acted_on_and_its_sender_is_told() -> None:
    ruling = judge(_update(edited_message=_message()), PEOPLE, CLOSED)
    assert ruling.verdict is Verdict.IGNORED
    assert "Edited" in ruling.hint
    in_group = judge(_update(edited_message=_message(ADA, GROUP)), PEOPLE, OPEN_GROUP)
    assert in_group.hint == ""
    assert judge(_update(edited_message=_message(NOBODY, STRANGER)), PEOPLE, CLOSED).verdict is (
        Verdict.STRANGER
    )
    fired([ruling.kind, in_group.kind].count("edited_message"))


@pytest.mark.fault("T11", "NOACT SAID")
def test_every_kind_the_library_knows_is_denied_but_two() -> None:
    assert set(ALLOWED_KINDS) <= set(UPDATE_KINDS)
    assert len(UPDATE_KINDS) >= 25
    for kind in UPDATE_KINDS:
        update = Update(1)
        with update._unfrozen():
            setattr(update, kind, _message_like(kind))
        ruling = judge(update, PEOPLE, OPEN_GROUP)
        assert ruling.kind == kind
        assert (ruling.verdict is Verdict.ADMITTED) == (kind in ALLOWED_KINDS), kind
    fired(set(UPDATE_KINDS) - set(ALLOWED_KINDS))


def _message_like(kind: str) -> Any:
    message = _update(message=_message()).message
    assert message is not None
    if kind == "callback_query":
        return _tap().callback_query
    if kind.endswith(("message", "post")):
        return message
    sender = message.from_user
    return SimpleNamespace(user=sender, from_user=sender, chat=message.chat, **_NOBODY_ELSE)


_NOBODY_ELSE = dict.fromkeys(("actor_chat", "voter_chat", "message", "sender_chat"))


@pytest.mark.fault("T11", "NOACT SAID")
def test_a_kind_newer_than_this_program_is_unknown_and_denied() -> None:
    update = _update(telepathy={"from": ADA})
    assert kind_of(update) == "unknown"
    assert judge(update, PEOPLE, CLOSED).verdict is not Verdict.ADMITTED
    # What the library put aside as unknown to it.
    fired(update.api_kwargs)


def test_what_moves_money_or_mode_is_for_traders_and_what_names_people_for_the_owner() -> None:
    orders = {"track", "trade", "buy", "sell", "close", "closeall", "panic", "pause", "resume"}
    assert orders | {"reduce", "halt", "abort", "ack"} == TRADER_COMMANDS
    people = {"audit", "export", "role", "users", "invite", "revoke"}
    assert people | {"data"} == OWNER_COMMANDS


def test_every_command_is_on_one_list_and_on_no_other() -> None:
    lists = (VIEWER_COMMANDS, TRADER_COMMANDS, OWNER_COMMANDS)
    assert {entry.name for entry in COMMANDS} == frozenset[str]().union(*lists)
    assert sum(map(len, lists)) == len(COMMANDS)


_LOOKING = (
    *("start", "help", "status", "positions", "balance", "orders", "history", "version"),
    *("trackers", "tracker", "chart", "summary", "health", "jobs", "join", "watch", "drop"),
    *("threshold", "scan", "rank", "post", "monitoring", "alerts", "digest", "quiet", "mute"),
)
_ACTING = (
    *("track", "trade", "buy", "sell", "close", "closeall", "panic"),
    *("pause", "resume", "reduce", "halt", "abort", "ack"),
)
_OWNING = ("audit", "data", "export", "invite", "revoke", "role", "users")
_MAY = {
    **dict.fromkeys(_LOOKING, (True, True, True)),
    **dict.fromkeys(_ACTING, (False, True, True)),
    **dict.fromkeys(_OWNING, (False, False, True)),
}


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_viewers_look_traders_act_the_owner_does_everything(name: str) -> None:
    # Written out: a command that is new has no row here, and this fails until it has.
    roles = (Role.VIEWER, Role.TRADER, Role.OWNER)
    assert tuple(may_use(name, role) for role in roles) == _MAY[name]


@pytest.mark.parametrize(
    ("data", "roles"),
    [
        ("+/status", "viewer trader owner"),
        ("=/tracker 3", "viewer trader owner"),
        ("+/tracker 3 why", "viewer trader owner"),
        ("+/tracker 3 chart 1h", "viewer trader owner"),
        ("+/tracker 3 pause", "trader owner"),
        ("=/tracker 3 resume", "trader owner"),
        ("+/track BTC/USDT", "trader owner"),
        ("+/users 8", "owner"),
        ("+/unheard", ""),
        ("c:nonce", "viewer trader owner"),
    ],
)
def test_a_button_is_shown_to_whom_it_would_answer(data: str, roles: str) -> None:
    button = Button("x", data)
    for role in Role:
        shown = buttons_for(((button,), (Button("y", "+/help"), button)), role)
        is_shown = role.value in roles.split()
        assert (button in shown[0]) is is_shown
        assert len(shown) == (2 if is_shown else 1)


@pytest.mark.parametrize("name", ["", "unheard", "STATUS", "status ", "withdraw"])
def test_a_command_that_no_list_names_is_nobodys(name: str) -> None:
    assert not any(may_use(name, role) for role in Role)
