"""The people's side of the server: `/client/*`, JSON for tests and for the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from bot.localchat import playing
from bot.localchat.bell import Bell, Subscriber
from bot.localchat.border import (
    CLIENT_BYTES_MAX,
    Unreadable,
    json_response,
    load_object,
    read_fields,
)
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError, ClientError
from bot.localchat.facts import CallbackQuery, Json
from bot.localchat.faults import TIMES_MAX, FaultPlan
from bot.localchat.flood import FloodLimits
from bot.localchat.wire import client_json, page_json

WAIT_MS_MAX: Final = 60_000
HEARTBEAT_S: Final = 15.0
PAGES_MAX: Final = 64
_NAME_MAX: Final = 64

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ClientSide:
    """Answers people, tests and the page."""

    def __init__(self, conversation: Conversation, faults: FaultPlan, bell: Bell) -> None:
        self._conversation = conversation
        self._faults = faults
        self._bell = bell
        self.subscribers: set[Subscriber] = set()
        conversation.listeners.append(self._tell)

    def routes(self) -> list[web.RouteDef]:
        """The addresses under /client."""
        posts: dict[str, Callable[[Json], Awaitable[Any]]] = {
            "send": self._send,
            "press": self._press,
            "person": self._person,
            "fault": self._fault,
            "update": self._update,
            "limits": self._limits,
            "disconnect": self._disconnect,
        }
        gets: dict[str, Handler] = {
            "messages": self._messages,
            "history": self._history,
            "state": self._state,
            "faults": self._fault_list,
            "events": self._events,
        }
        return [
            *(web.post(f"/client/{name}", _reading(act)) for name, act in posts.items()),
            *(web.get(f"/client/{name}", handler) for name, handler in gets.items()),
            web.post("/client/upload", self._upload),
            web.delete("/client/faults", self._clear_faults),
            web.get("/client/media/{file_id}/{name}", self._media),
        ]

    # ------------------------------------------------------------ what people do

    async def _send(self, body: Json) -> Json:
        user_id = _whole(body, "user_id")
        chat_id = _whole(body, "chat_id", user_id)
        text = _text(body, "text")
        if body.get("edit") is not None:
            edited = playing.edit(self._conversation, user_id, _whole(body, "edit"), text)
            return {"ok": True, "message_id": edited.message_id}
        reply_to = None if body.get("reply_to") is None else _whole(body, "reply_to")
        messages = playing.write(
            self._conversation,
            user_id,
            chat_id,
            text,
            reply_to=reply_to,
            forward_origin=playing.forwarded_from(self._conversation, body.get("forward")),
        )
        ids = [message.message_id for message in messages]
        return {"ok": True, "message_id": ids[0], "message_ids": ids}

    async def _press(self, body: Json) -> Json:
        chat_id = None if body.get("chat_id") is None else _whole(body, "chat_id")
        # Whoever wants to read the bot's answer to the press says how long to wait for it.
        wait_ms = _whole(body, "wait_ms", 0)
        pressed = playing.press(
            self._conversation,
            _whole(body, "user_id"),
            _whole(body, "message_id"),
            _text(body, "text"),
            chat_id,
        )
        if pressed.query is None:
            return {"ok": True, "answered": False, pressed.button.action: pressed.button.value}
        query = await self._answered(pressed.query, min(max(wait_ms, 0), WAIT_MS_MAX))
        answer = None if query.answer is None else asdict(query.answer)
        return {
            "ok": True,
            "query_id": query.query_id,
            "answered": answer is not None,
            "answer": answer,
        }

    async def _answered(self, query: CallbackQuery, wait_ms: int) -> CallbackQuery:
        clock, callbacks = self._conversation.clock, self._conversation.callbacks
        deadline_s = clock.monotonic() + wait_ms / 1000
        while True:
            present = callbacks.get(query.query_id, query)
            remaining_s = deadline_s - clock.monotonic()
            if present.answer is not None or remaining_s <= 0 or self._bell.is_closing:
                return present
            await self._bell.wait(remaining_s)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        try:
            fields, uploads = await read_fields(request)
        except Unreadable as error:
            raise ClientError(str(error)) from error
        upload = uploads.get("file")
        if upload is None:
            raise ClientError("the form should have a part named file")
        user_id = _whole(fields, "user_id")
        chat_id = _whole(fields, "chat_id", user_id)
        caption = _text(fields, "caption") if fields.get("caption") else ""
        try:
            message = playing.upload(self._conversation, user_id, chat_id, upload, caption)
        except BotApiError as error:
            raise ClientError(error.description, error.code) from error
        return json_response({"ok": True, "message_id": message.message_id})

    async def _person(self, body: Json) -> Json:
        person = self._conversation.person(_whole(body, "user_id"))
        if body.get("name") is not None:
            name = _text(body, "name").strip()[:_NAME_MAX]
            if not name:
                raise ClientError("name should not be empty")
            person = replace(person, first_name=name)
        if body.get("username") is not None:
            person = replace(person, username=_text(body, "username")[:32] or None)
        self._conversation.save_person(person)
        self._conversation.chat(person.user_id)
        return {"ok": True, "user_id": person.user_id, "name": person.first_name}

    # ------------------------------------------------------------ what tests order

    async def _fault(self, body: Json) -> Json:
        kind, times = _text(body, "kind"), _whole(body, "times", 1)
        if not 1 <= times <= TIMES_MAX:
            raise ClientError(f"times should be from 1 to {TIMES_MAX}, was {times}")
        args = body.get("args") or {}
        if kind in {"block", "unblock"}:
            if not isinstance(args, dict):
                raise ClientError("args should be a JSON object")
            user_id = _whole(args, "user_id")
            playing.set_blocked(self._conversation, user_id, is_blocked=kind == "block")
            return {"ok": True}
        if kind == "duplicate_update":
            return self._duplicate(times, args)
        now_s = self._conversation.clock.monotonic()
        fault = self._faults.add(kind, times, args, now_s)
        # A poll that already waits is hit as well.
        self._bell.ring()
        return {"ok": True, "id": fault.fault_id}

    def _duplicate(self, times: int, args: Any) -> Json:
        updates = self._conversation.updates
        if isinstance(args, dict) and args.get("which") == "last":
            count = updates.deliver_last_again(times)
            self._bell.ring()
            return {"ok": True, "count": count}
        updates.deliver_next_twice(times)
        return {"ok": True}

    async def _update(self, body: Json) -> Json:
        update = body["update"] if set(body) == {"update"} else body
        update_id = playing.inject(self._conversation, update)
        return {"ok": True, "update_id": update_id, "queued": update_id is not None}

    async def _limits(self, body: Json) -> Json:
        known = asdict(FloodLimits())
        for name, value in body.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in known or not is_number or not 0 <= value <= 10**6:
                raise ClientError(f"limits are numbers from 0 to 1000000 named {', '.join(known)}")
        self._conversation.flood.change(replace(self._conversation.flood.limits, **body))
        return {"ok": True, **asdict(self._conversation.flood.limits)}

    async def _disconnect(self, _body: Json) -> Json:
        # Cuts off every page that follows along, as a dropped network would.
        for subscriber in tuple(self.subscribers):
            subscriber.end()
        return {"ok": True}

    async def _clear_faults(self, _request: web.Request) -> web.StreamResponse:
        self._faults.clear()
        return json_response({"ok": True})

    # ------------------------------------------------------------ what can be seen

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        chat_id, after = _whole(query, "chat_id"), _whole(query, "after", 0)
        clock = self._conversation.clock
        wait_s = min(max(_whole(query, "wait_ms", 0), 0), WAIT_MS_MAX) / 1000
        deadline_s = clock.monotonic() + wait_s
        while True:
            found = self._conversation.history(chat_id, after)
            if found or not await self._bell.wait(deadline_s - clock.monotonic()):
                return json_response([client_json(message) for message in found])

    async def _history(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        chat_id = _whole(query, "chat_id")
        found = self._conversation.history(chat_id)[-_whole(query, "limit", 500) :]
        return json_response(
            {
                "messages": [page_json(message) for message in found],
                "read": self._conversation.read.get(chat_id, 0),
                "pinned": self._conversation.pins.get(chat_id, []),
                "commands": self._conversation.menus.shown_to(chat_id, chat_id),
            }
        )

    async def _state(self, _request: web.Request) -> web.StreamResponse:
        talk = self._conversation
        return json_response(
            {
                "bot": {
                    "id": talk.bot.user_id,
                    "name": talk.profile.get("name ") or talk.bot.first_name,
                    "username": talk.bot.username,
                    "description": talk.profile.get("description ", ""),
                },
                "people": [
                    {
                        "user_id": person.user_id,
                        "name": person.first_name,
                        "username": person.username,
                        "has_blocked_bot": person.has_blocked_bot,
                    }
                    for person in talk.people.values()
                ],
                "chats": [
                    {
                        "chat_id": chat.chat_id,
                        "kind": chat.kind,
                        "title": chat.title,
                        "members": sorted(chat.members),
                        "has_bot": chat.has_bot,
                    }
                    for chat in talk.chats.values()
                ],
                "commands": talk.menus.shown_to(1, 1),
                "polls": self._bell.polls,
                "pending_updates": len(talk.updates),
                "next_update_id": talk.updates.next_id,
                "limits": asdict(talk.flood.limits),
            }
        )

    async def _fault_list(self, _request: web.Request) -> web.StreamResponse:
        return json_response([fault.as_json() for fault in self._faults.faults])

    async def _media(self, request: web.Request) -> web.StreamResponse:
        file = self._conversation.files.by_id(request.match_info["file_id"])
        if file is None:
            raise ClientError("there is no such file", HTTPStatus.NOT_FOUND)
        is_picture = file.width > 0 and file.mime.startswith("image/")
        disposition = "inline" if is_picture else "attachment"
        return web.Response(
            body=file.content,
            content_type=file.mime if is_picture else "application/octet-stream",
            headers={
                "Content-Disposition": f'{disposition}; filename="{file.name}"',
                # What a bot sends must never run as a page of this server.
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "Cache-Control": "private, max-age=86400, immutable",
            },
        )

    # ------------------------------------------------------------ following along

    def _tell(self, change: Json) -> None:
        self._bell.ring()
        if not self.subscribers or change["type"] == "update":
            return
        event = b"data: " + orjson.dumps(change) + b"\n\n"
        for subscriber in tuple(self.subscribers):
            subscriber.tell(event)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self.subscribers) >= PAGES_MAX:
            sentence = f"at most {PAGES_MAX} pages can follow along"
            raise ClientError(sentence, HTTPStatus.SERVICE_UNAVAILABLE)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        subscriber = Subscriber()
        self.subscribers.add(subscriber)
        try:
            await response.write(b"retry: 1000\n\n")
            await _follow(subscriber, response)
        except ConnectionError:
            # The page was closed, which is how every stream ends.
            return response
        finally:
            self.subscribers.discard(subscriber)
        return response


async def _follow(subscriber: Subscriber, response: web.StreamResponse) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                change = await subscriber.changes.get()
        except TimeoutError:
            change = b": alive\n\n"
        if change is None:
            return
        await response.write(change)


def _reading(act: Callable[[Json], Awaitable[Any]]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > CLIENT_BYTES_MAX:
            raise _too_large()
        raw = await request.read()
        if len(raw) > CLIENT_BYTES_MAX:
            raise _too_large()
        try:
            body = load_object(raw)
        except Unreadable as error:
            raise ClientError(str(error)) from error
        return json_response(await act(body))

    return handle


def _too_large() -> ClientError:
    sentence = f"body should be at most {CLIENT_BYTES_MAX} bytes"
    return ClientError(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def _whole(body: Json, name: str, default: int | None = None) -> int:
    value = body.get(name)
    if value is None and default is not None:
        return default
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 18:
        return int(value)
    if type(value) is not int or abs(value) >= 2**53:
        raise ClientError(f"{name} should be a whole number, was {str(value)[:40]!r}")
    return value


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ClientError(f"{name} should be text, was {type(value).__name__}")
    return value
