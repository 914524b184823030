"""The table of Bot API methods that answer at once; polling and webhooks live in the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from bot.localchat import about, editing, sending
from bot.localchat.call import Call
from bot.localchat.errors import BotApiError


@dataclass(frozen=True, slots=True)
class Method:
    """What a method does, and under which flood limit it counts ('' = none)."""

    run: Callable[[Call], Any]
    counts_as: str = ""


def _table() -> Mapping[str, Method]:
    sends: dict[str, Callable[[Call], Any]] = {
        "sendMessage": sending.send_message,
        "sendMediaGroup": sending.send_media_group,
        "copyMessage": sending.copy_message,
        "forwardMessage": sending.forward_message,
        **{
            f"send{kind.capitalize()}": partial(sending.send_media, kind=kind)
            for kind in sending.MEDIA_KINDS
        },
    }
    edits: dict[str, Callable[[Call], Any]] = {
        "editMessageText": editing.edit_text,
        "editMessageCaption": editing.edit_caption,
        "editMessageMedia": editing.edit_media,
        "editMessageReplyMarkup": editing.edit_reply_markup,
    }
    others: dict[str, Callable[[Call], Any]] = {
        "getMe": about.get_me,
        "logOut": about.do_nothing,
        "close": about.do_nothing,
        "sendChatAction": sending.send_chat_action,
        "deleteMessage": editing.delete_message,
        "deleteMessages": editing.delete_messages,
        "pinChatMessage": editing.pin_message,
        "unpinChatMessage": editing.unpin_message,
        "unpinAllChatMessages": editing.unpin_all,
        "setMessageReaction": editing.set_reaction,
        "answerCallbackQuery": about.answer_callback_query,
        "setMyCommands": about.set_commands,
        "getMyCommands": about.get_commands,
        "deleteMyCommands": about.delete_commands,
        "setChatMenuButton": about.set_menu_button,
        "getChatMenuButton": about.get_menu_button,
        "getChat": about.get_chat,
        "getChatMember": about.get_chat_member,
        "getChatMemberCount": about.get_chat_member_count,
        "getChatAdministrators": about.get_chat_administrators,
        "leaveChat": about.leave_chat,
        "getFile": about.get_file,
        "getUserProfilePhotos": about.get_profile_photos,
    }
    for suffix, what in (
        ("MyName", "name"),
        ("MyDescription", "description"),
        ("MyShortDescription", "short_description"),
    ):
        others[f"set{suffix}"] = partial(about.set_profile, what=what)
        others[f"get{suffix}"] = partial(about.get_profile, what=what)
    table = {
        **{name: Method(run, "send") for name, run in sends.items()},
        **{name: Method(run, "edit") for name, run in edits.items()},
        **{name: Method(run) for name, run in others.items()},
    }
    # Telegram does not care about the case of method names.
    return MappingProxyType({name.lower(): method for name, method in table.items()})


METHODS: Final = _table()


def run(name: str, call: Call) -> Any:
    """Run a method and return its result; refusals are BotApiErrors."""
    method = METHODS.get(name.lower())
    if method is None:
        raise BotApiError("Not Found: method not found", 404)
    # Without a chat the method itself says what is missing.
    if method.counts_as and call.has("chat_id"):
        conversation, chat_id = call.conversation, call.chat().chat_id
        conversation.flood.admit(method.counts_as, chat_id, conversation.clock.monotonic())
    return method.run(call)
