"""The bot's command menus by scope and language, checked as Telegram checks them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from bot.localchat.errors import bad_request
from bot.localchat.facts import Json

COMMANDS_MAX: Final = 100
DESCRIPTION_MAX: Final = 256
_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
_SCOPES_OF_A_CHAT: Final = frozenset({"chat", "chat_administrators", "chat_member"})
_SCOPES: Final = _SCOPES_OF_A_CHAT | {
    *("default", "all_private_chats", "all_group_chats", "all_chat_administrators"),
}

Scope = tuple[str, int, int]
DEFAULT_SCOPE: Final[Scope] = ("default", 0, 0)


@dataclass(slots=True)
class CommandMenus:
    """Command lists, kept per scope and language as setMyCommands gives them."""

    _menus: dict[tuple[Scope, str], list[Json]] = field(default_factory=dict)

    def set(self, scope: Scope, language: str, commands: Any) -> None:
        """Replace one list, or refuse it."""
        if not isinstance(commands, list):
            raise bad_request("can't parse commands: expected an Array of BotCommand")
        if len(commands) > COMMANDS_MAX:
            raise bad_request("BOT_COMMANDS_TOO_MUCH")
        self._menus[scope, language] = [_command(each) for each in commands]

    def get(self, scope: Scope, language: str) -> list[Json]:
        """Exactly the list that was set, or an empty one."""
        return self._menus.get((scope, language), [])

    def delete(self, scope: Scope, language: str) -> None:
        """Forget one list."""
        self._menus.pop((scope, language), None)

    def shown_to(self, chat_id: int, user_id: int) -> list[Json]:
        """What a person sees in a chat: the narrowest scope that has a list."""
        everywhere = "all_private_chats" if chat_id > 0 else "all_group_chats"
        scopes: list[Scope] = [
            ("chat_member", chat_id, user_id),
            ("chat", chat_id, 0),
            (everywhere, 0, 0),
            DEFAULT_SCOPE,
        ]
        for scope in scopes:
            for language in ("en", ""):
                if (scope, language) in self._menus:
                    return self._menus[scope, language]
        return []


def scope_from(value: Any) -> Scope:
    """The scope that a BotCommandScope names."""
    if value is None:
        return DEFAULT_SCOPE
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _SCOPES:
        raise bad_request("can't parse BotCommandScope: unsupported type")
    chat_id = _whole(value.get("chat_id", 0)) if kind in _SCOPES_OF_A_CHAT else 0
    user_id = _whole(value.get("user_id", 0)) if kind == "chat_member" else 0
    if kind in _SCOPES_OF_A_CHAT and chat_id == 0:
        raise bad_request("chat not found")
    return (kind, chat_id, user_id)


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _command(each: Any) -> Json:
    name = each.get("command") if isinstance(each, dict) else None
    description = each.get("description") if isinstance(each, dict) else None
    plain_name = name.removeprefix("/").lower() if isinstance(name, str) else ""
    if not _NAME.fullmatch(plain_name):
        raise bad_request("BOT_COMMAND_INVALID")
    if not isinstance(description, str) or not 1 <= len(description.strip()) <= DESCRIPTION_MAX:
        raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": plain_name, "description": description.strip()}
