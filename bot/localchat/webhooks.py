"""Webhooks: updates are posted to the bot instead of being fetched, with a secret and retries."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from bot.localchat.bell import Bell
from bot.localchat.call import Call
from bot.localchat.conversation import Conversation
from bot.localchat.errors import bad_request
from bot.localchat.facts import Json
from trading.loopback import is_loopback

SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - a header's name
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
POST_DEADLINE_S: Final = 10.0
BACK_OFF_FIRST_S: Final = 0.25
BACK_OFF_MAX_S: Final = 30.0
_IDLE_S: Final = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where updates are posted; an empty url means that the bot polls."""

    url: str = ""
    secret: str = ""
    connections_max: int = 40


class WebhookDelivery:
    """Posts waiting updates one by one, in order; the queue forgets them after a day."""

    def __init__(self, conversation: Conversation, bell: Bell) -> None:
        self.webhook = Webhook()
        self._conversation = conversation
        self._bell = bell
        self._last_error: tuple[int, str] | None = None

    def set(self, call: Call) -> bool:
        """Take over the parameters of setWebhook; an empty url goes back to polling."""
        url, secret = call.text("url"), call.text("secret_token")
        if url:
            _check_address(url)
        if secret and not _SECRET.fullmatch(secret):
            raise bad_request("secret token contains unallowed characters")
        connections = call.whole("max_connections", 40)
        self.webhook = Webhook(url, secret, min(max(connections, 1), 100))
        self._last_error = None
        allow_updates(call)
        return self._changed(call)

    def delete(self, call: Call) -> bool:
        """Go back to polling."""
        self.webhook = Webhook()
        return self._changed(call)

    def info(self) -> Json:
        """The WebhookInfo of the Bot API."""
        updates = self._conversation.updates
        body: Json = {
            "url": self.webhook.url,
            "has_custom_certificate": False,
            "pending_update_count": len(updates),
        }
        if self.webhook.url:
            body |= {"max_connections": self.webhook.connections_max, "ip_address": "127.0.0.1"}
        if updates.allowed is not None:
            body["allowed_updates"] = sorted(updates.allowed)
        if self._last_error is not None:
            body["last_error_date"], body["last_error_message"] = self._last_error
        return body

    async def run(self) -> None:
        """Deliver for as long as the server lives."""
        timeout = aiohttp.ClientTimeout(total=POST_DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            failures = 0
            while not self._bell.is_closing:
                update = self._next()
                if update is None:
                    await self._bell.wait(_IDLE_S)
                    continue
                if await self._post(session, update):
                    failures = 0
                    continue
                await self._back_off(min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2 ** min(failures, 10)))
                failures += 1

    async def _back_off(self, seconds: float) -> None:
        # A new webhook is tried at once, whatever the old one did.
        clock, hook = self._conversation.clock, self.webhook
        deadline_s = clock.monotonic() + seconds
        while self.webhook is hook and not self._bell.is_closing:
            if not await self._bell.wait(deadline_s - clock.monotonic()):
                return

    def _next(self) -> Json | None:
        if not self.webhook.url:
            return None
        ready = self._conversation.updates.waiting(1, self._conversation.now_s())
        return ready[0].as_json() if ready else None

    async def _post(self, session: aiohttp.ClientSession, update: Json) -> bool:
        hook, updates = self.webhook, self._conversation.updates
        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers[SECRET_HEADER] = hook.secret
        try:
            async with session.post(
                hook.url, data=orjson.dumps(update), headers=headers, allow_redirects=False
            ) as response:
                if response.ok and response.status < 300:
                    updates.mark_posted(update["update_id"])
                    self._conversation.mark_read(update)
                    return True
                reason = f"Wrong response from the webhook: {response.status} {response.reason}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = f"Connection failed: {type(error).__name__}"
        self._last_error = (int(self._conversation.now_s()), reason)
        log.info("webhook_failed", extra={"reason": reason})
        return False

    def _changed(self, call: Call) -> bool:
        if call.flag("drop_pending_updates"):
            self._conversation.updates.drop_all()
        self._bell.ring()
        return True


def allow_updates(call: Call) -> None:
    """Take over `allowed_updates`, if it was sent."""
    kinds: Any = call.structure("allowed_updates")
    if kinds is None:
        return
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise bad_request("can't parse allowed_updates: expected an Array of String")
    call.conversation.updates.allow(kinds)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise bad_request("bad webhook: invalid URL") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise bad_request("bad webhook: an HTTP or HTTPS URL must be provided for webhook")
    if not is_loopback(host):
        raise bad_request(f"bad webhook: the local chat posts to this machine only, not to {host}")
