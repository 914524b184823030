"""Bot API methods about the bot itself, its menus, its chats and its files."""

from __future__ import annotations

from typing import Any, Final

from bot.localchat.call import Call
from bot.localchat.commands import scope_from
from bot.localchat.errors import bad_request
from bot.localchat.facts import CallbackAnswer, Json
from bot.localchat.wire import bot_json, chat_json, person_json

ANSWER_MAX: Final = 200
_MENU_BUTTONS: Final = frozenset({"default", "commands", "web_app"})
_PROFILE_MAX: Final = {"name": 64, "description": 512, "short_description": 120}


def get_me(call: Call) -> Json:
    """The bot as a User."""
    return {
        **bot_json(call.conversation.bot),
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def answer_callback_query(call: Call) -> bool:
    """Answer a pressed button with a toast, an alert or nothing."""
    text = call.text("text")
    if len(text) > ANSWER_MAX:
        raise bad_request("MESSAGE_TOO_LONG")
    answer = CallbackAnswer(text, call.flag("show_alert"), call.text("url"))
    call.conversation.answer_callback(call.text("callback_query_id"), answer)
    return True


def set_commands(call: Call) -> bool:
    """Set one command list; people who see it are told at once."""
    scope, language = scope_from(call.structure("scope")), call.text("language_code")
    call.conversation.menus.set(scope, language, call.structure("commands"))
    call.conversation.tell({"type": "commands"})
    return True


def get_commands(call: Call) -> list[Json]:
    """The list of exactly this scope and language."""
    scope, language = scope_from(call.structure("scope")), call.text("language_code")
    return call.conversation.menus.get(scope, language)


def delete_commands(call: Call) -> bool:
    """Forget one command list."""
    scope, language = scope_from(call.structure("scope")), call.text("language_code")
    call.conversation.menus.delete(scope, language)
    call.conversation.tell({"type": "commands"})
    return True


def set_menu_button(call: Call) -> bool:
    """Set the button beside the input field, for one chat or for all."""
    button = call.structure("menu_button") or {"type": "default"}
    if not isinstance(button, dict) or button.get("type") not in _MENU_BUTTONS:
        raise bad_request("can't parse menu button: unsupported type")
    call.conversation.profile[f"menu_button {call.whole('chat_id')}"] = button
    return True


def get_menu_button(call: Call) -> Json:
    """The button beside the input field."""
    profile = call.conversation.profile
    shared = profile.get("menu_button 0", {"type": "commands"})
    button: Json = profile.get(f"menu_button {call.whole('chat_id')}", shared)
    return button


def set_profile(call: Call, what: str) -> bool:
    """Set the bot's name, description or short description."""
    text = call.text(what)
    if len(text) > _PROFILE_MAX[what]:
        raise bad_request(f"bot {what} should be at most {_PROFILE_MAX[what]} characters")
    call.conversation.profile[f"{what} {call.text('language_code')}"] = text
    call.conversation.tell({"type": "profile"})
    return True


def get_profile(call: Call, what: str) -> Json:
    """The bot's name, description or short description."""
    profile = call.conversation.profile
    usual = call.conversation.bot.first_name if what == "name" else ""
    shared = profile.get(f"{what} ", usual)
    return {what: profile.get(f"{what} {call.text('language_code')}", shared)}


def get_chat(call: Call) -> Json:
    """A chat with what only getChat tells."""
    conversation, chat = call.conversation, call.chat()
    body = {
        **chat_json(chat, conversation.people.get(chat.chat_id)),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(
            (
                *("unlimited_gifts", "limited_gifts", "unique_gifts"),
                *("premium_subscription", "gifts_from_channels"),
            ),
            False,
        ),
    }
    pins = conversation.pins.get(chat.chat_id, [])
    pinned = conversation.message(chat.chat_id, pins[-1]) if pins else None
    return body if pinned is None else {**body, "pinned_message": conversation.message_json(pinned)}


def get_chat_member(call: Call) -> Json:
    """What somebody is in a chat."""
    conversation, chat, user_id = call.conversation, call.chat(), call.whole("user_id")
    if user_id == conversation.bot.user_id:
        return {"user": bot_json(conversation.bot), "status": "member"}
    person = conversation.people.get(user_id)
    if person is None:
        raise bad_request("user not found")
    status = "member" if user_id in chat.members else "left"
    return {"user": person_json(person), "status": status}


def get_chat_member_count(call: Call) -> int:
    """How many are in a chat, the bot included."""
    return len(call.chat().members) + 1


def get_chat_administrators(call: Call) -> list[Json]:
    """The administrators of a group: here nobody."""
    if call.chat().is_private:
        raise bad_request("there are no administrators in the private chat")
    return []


def leave_chat(call: Call) -> bool:
    """Leave a group; until somebody writes there again, sending to it is refused."""
    chat = call.chat()
    if chat.is_private:
        raise bad_request("private chat can't be left")
    call.conversation.leave(chat)
    return True


def get_file(call: Call) -> Json:
    """Where a file can be downloaded."""
    file = call.conversation.files.by_id(call.text("file_id"))
    if file is None:
        raise bad_request("invalid file_id")
    return {
        "file_id": file.file_id,
        "file_unique_id": file.unique_id,
        "file_size": len(file.content),
        "file_path": file.path,
    }


def get_profile_photos(call: Call) -> Json:
    """The pictures of a person: nobody has any here."""
    call.whole("user_id")
    return {"total_count": 0, "photos": []}


def do_nothing(call: Call) -> Any:
    """Accept a call that has no effect on a local server (logOut, close)."""
    call.text("")
    return True
