"""The command menu a person sees comes from the narrowest scope that has one."""

from typing import Any

import pytest

from bot.localchat.commands import DEFAULT_SCOPE, CommandMenus, scope_from
from bot.localchat.errors import BotApiError

HELP = [{"command": "help", "description": "All commands"}]
STATUS = [{"command": "/Status", "description": " How things stand "}]


def test_narrowest_scope_wins() -> None:
    menus = CommandMenus()
    menus.set(DEFAULT_SCOPE, "", HELP)
    assert menus.shown_to(7, 7) == HELP
    menus.set(scope_from({"type": "chat", "chat_id": "7"}), "", STATUS)
    assert menus.shown_to(7, 7) == [{"command": "status", "description": "How things stand"}]
    assert menus.shown_to(8, 8) == HELP
    menus.delete(scope_from({"type": "chat", "chat_id": 7}), "")
    assert menus.shown_to(7, 7) == HELP
    assert menus.get(DEFAULT_SCOPE, "de") == []


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        ("help", "expected an Array"),
        ([{"command": "has space", "description": "a"}], "BOT_COMMAND_INVALID"),
        ([{"command": "x" * 33, "description": "a"}], "BOT_COMMAND_INVALID"),
        ([5], "BOT_COMMAND_INVALID"),
        ([{"command": "a", "description": " "}], "BOT_COMMAND_DESCRIPTION_INVALID"),
        ([{"command": "a", "description": "x" * 257}], "BOT_COMMAND_DESCRIPTION_INVALID"),
        (HELP * 101, "BOT_COMMANDS_TOO_MUCH"),
    ],
)
def test_wrong_commands_are_refused(commands: Any, reason: str) -> None:
    with pytest.raises(BotApiError, match=reason):
        CommandMenus().set(DEFAULT_SCOPE, "", commands)


@pytest.mark.parametrize("scope", [5, {}, {"type": "moon"}, {"type": "chat"}, {"type": ["chat"]}])
def test_wrong_scopes_are_refused(scope: Any) -> None:
    with pytest.raises(BotApiError):
        scope_from(scope)
