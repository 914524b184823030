"""The bot's side of the server: `/bot<token>/<method>` and `/file/bot<token>/<path>`."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from bot.localchat import methods
from bot.localchat.bell import Bell
from bot.localchat.border import Unreadable, json_response, read_fields
from bot.localchat.call import Call
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError, bad_request
from bot.localchat.faults import FaultPlan
from bot.localchat.updates import LIMIT_MAX
from bot.localchat.webhooks import WebhookDelivery, allow_updates

POLL_S_MAX: Final = 50
_TOKEN: Final = re.compile(r"(\d{1,15}):[A-Za-z0-9_-]{1,128}")
_TERMINATED: Final = (
    "Conflict: terminated by other getUpdates request;"
    " make sure that only one bot instance is running"
)
_WEBHOOK_ACTIVE: Final = (
    "Conflict: can't use getUpdates method while webhook is active;"
    " use deleteWebhook to delete the webhook first"
)


class _Dropped(Exception):
    """The connection is to be closed without an answer."""


class _Malformed(Exception):
    """The answer is to be something that is no Bot API answer."""


class BotSide:
    """Answers the bot; holds what only polling and webhooks need."""

    def __init__(
        self, conversation: Conversation, faults: FaultPlan, bell: Bell, token: str | None
    ) -> None:
        self.webhooks = WebhookDelivery(conversation, bell)
        self._conversation = conversation
        self._faults = faults
        self._bell = bell
        self._token = token
        self._poll = 0
        self._async_methods: dict[str, Callable[[Call, web.Request], Awaitable[Any]]] = {
            "getupdates": self._get_updates,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._webhook_info,
        }

    def routes(self) -> list[web.RouteDef]:
        """The addresses of the Bot API."""
        return [
            web.route("*", r"/bot{token:[^/]+}/{method}", self._method),
            web.get(r"/file/bot{token:[^/]+}/{path:.+}", self._download),
        ]

    async def _method(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        try:
            self._check_token(request.match_info["token"])
            is_cut_after = await self._suffer(name)
            result = await self._run(name, request)
            if is_cut_after:
                return _cut(request)
        except _Dropped:
            return _cut(request)
        except _Malformed as error:
            return web.Response(text=str(error), content_type="text/html")
        except BotApiError as error:
            return json_response(error.as_json(), error.code)
        return json_response({"ok": True, "result": result})

    async def _run(self, name: str, request: web.Request) -> Any:
        try:
            values, uploads = await read_fields(request)
        except Unreadable as error:
            raise bad_request(str(error)) from error
        call = Call(self._conversation, values, uploads)
        waiting = self._async_methods.get(name.lower())
        return methods.run(name, call) if waiting is None else await waiting(call, request)

    def _check_token(self, token: str) -> None:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise BotApiError("Not Found", 404)
        if self._token is not None and not hmac.compare_digest(token, self._token):
            raise BotApiError("Unauthorized", 401)
        bot_id = int(match[1])
        if bot_id != self._conversation.bot.user_id:
            self._conversation.bot = replace(self._conversation.bot, user_id=bot_id)

    async def _suffer(self, name: str) -> bool:
        # True: process the call, then cut the connection instead of answering.
        fault = self._faults.take(name, self._conversation.clock.monotonic())
        if fault is None:
            return False
        refusal = fault.error()
        if refusal is not None:
            raise refusal
        if fault.kind in {"drop", "down"}:
            raise _Dropped
        if fault.kind == "malformed":
            raise _Malformed(str(fault.args.get("body", "<html>Bad gateway</html>")))
        if fault.kind == "delay":
            await asyncio.sleep(fault.args["ms"] / 1000)
        return fault.kind == "timeout_after_accept"

    async def _get_updates(self, call: Call, request: web.Request) -> Any:
        self._refuse_while_webhook()
        offset, seconds = call.whole("offset"), min(max(call.whole("timeout"), 0), POLL_S_MAX)
        limit = call.whole("limit", LIMIT_MAX)
        allow_updates(call)
        updates, clock = self._conversation.updates, self._conversation.clock
        updates.confirm(offset)
        self._poll += 1
        mine, deadline_s = self._poll, clock.monotonic() + seconds
        # The older poller, if one waits, learns that it was replaced.
        self._bell.ring()
        while True:
            ready = updates.waiting(
                limit if 1 <= limit <= LIMIT_MAX else LIMIT_MAX, self._conversation.now_s()
            )
            remaining_s = deadline_s - clock.monotonic()
            if ready or remaining_s <= 0 or self._bell.is_closing:
                break
            self._bell.polls += 1
            try:
                await self._bell.wait(remaining_s)
            finally:
                self._bell.polls -= 1
            await self._interrupt(mine, request)
        updates.mark_delivered(ready)
        for update in ready:
            self._conversation.mark_read(update.body)
        return [update.as_json() for update in ready]

    async def _interrupt(self, mine: int, request: web.Request) -> None:
        if request.transport is None or request.transport.is_closing():
            raise _Dropped
        if mine != self._poll:
            raise BotApiError(_TERMINATED, 409)
        self._refuse_while_webhook()
        if await self._suffer("getUpdates"):
            raise _Dropped

    def _refuse_while_webhook(self) -> None:
        if self.webhooks.webhook.url:
            raise BotApiError(_WEBHOOK_ACTIVE, 409)

    async def _set_webhook(self, call: Call, _request: web.Request) -> bool:
        return self.webhooks.set(call)

    async def _delete_webhook(self, call: Call, _request: web.Request) -> bool:
        return self.webhooks.delete(call)

    async def _webhook_info(self, _call: Call, _request: web.Request) -> Any:
        return self.webhooks.info()

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            self._check_token(request.match_info["token"])
        except BotApiError as error:
            return json_response(error.as_json(), error.code)
        file = self._conversation.files.by_path(request.match_info["path"])
        if file is None:
            return json_response(BotApiError("Not Found", 404).as_json(), 404)
        return web.Response(body=file.content, content_type="application/octet-stream")


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    # Nobody reads this any more; aiohttp wants a response all the same.
    return web.Response(status=502)
