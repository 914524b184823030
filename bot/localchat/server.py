"""The local chat as one web application: Bot API, people's JSON and the page, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from bot.localchat.bell import Bell
from bot.localchat.border import BODY_BYTES_MAX, json_response
from bot.localchat.bot_side import BotSide
from bot.localchat.client_side import ClientSide
from bot.localchat.conversation import Conversation
from bot.localchat.errors import BotApiError, ClientError
from bot.localchat.facts import Bot
from bot.localchat.faults import FaultPlan
from bot.localchat.flood import FloodGate, FloodLimits
from bot.localchat.updates import UpdateQueue
from trading.loopback import is_loopback, is_own_name, is_own_page
from trading.ports.clock import Clock

DEFAULT_PORT: Final = 8091
_PAGE: Final = Path(__file__).parent / "page"
_CONTENT_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Update ids of a server without a seed begin at the time of day it starts, less this: a bot that
# remembers an offset from an earlier server then misses nothing.
# Until a bot has named itself by its token; no person has this id.
_UNKNOWN_BOT: Final = 0
_EPOCH_S: Final = 1_000_000_000
_MESSAGE_EPOCH_S: Final = 1_700_000_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(
    token: str | None,
    clock: Clock,
    *,
    limits: FloodLimits | None = None,
    seed: int | None = None,
    is_open_to_network: bool = False,
) -> web.Application:
    """The whole server; token None accepts any `digits:text`.

    With a seed, message ids begin at 1 and update ids where the seed says; without one both begin
    where the wall clock says. `is_open_to_network` is for containers: it admits other hosts' names.
    """
    conversation = _conversation(clock, token, limits or FloodLimits(), seed)
    bell, faults = Bell(), FaultPlan()
    people = ClientSide(conversation, faults, bell)
    bot = BotSide(conversation, faults, bell, token)
    app = web.Application(
        middlewares=[_headers, _refusals(is_open_to_network)], client_max_size=BODY_BYTES_MAX
    )
    app.add_routes([*bot.routes(), *people.routes(), *_page_routes()])

    async def webhooks(_app: web.Application) -> AsyncIterator[None]:
        delivery = asyncio.create_task(bot.webhooks.run())
        yield
        delivery.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivery

    async def say_goodbye(_app: web.Application) -> None:
        bell.close()
        for subscriber in tuple(people.subscribers):
            subscriber.end()

    app.cleanup_ctx.append(webhooks)
    app.on_shutdown.append(say_goodbye)
    return app


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, host: str, port: int, *, is_open_to_network: bool = False
) -> AsyncIterator[str]:
    """Serve the application while the block runs; yields its address, `http://host:port`."""
    if not is_open_to_network and not is_loopback(host):
        raise ValueError(f"the local chat listens on this machine only, host was {host!r}")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{name}:{bound[1]}"
    finally:
        await runner.cleanup()


async def run(
    port: int,
    token: str | None,
    clock: Clock,
    *,
    host: str = "127.0.0.1",
    is_open_to_network: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the local chat until cancelled (`umbra chat`); `on_ready` is told the address."""
    app = build_app(token, clock, is_open_to_network=is_open_to_network)
    async with serving(app, host, port, is_open_to_network=is_open_to_network) as url:
        if on_ready is not None:
            on_ready(url)
        await asyncio.Event().wait()


def _conversation(
    clock: Clock, token: str | None, limits: FloodLimits, seed: int | None
) -> Conversation:
    digits = (token or "").partition(":")[0]
    now_s = int(clock.now().timestamp())
    if seed is None:
        first_update_id, first_message_id = now_s - _EPOCH_S, max(1, now_s - _MESSAGE_EPOCH_S)
    else:
        first_update_id, first_message_id = random.Random(seed).randrange(10**8, 9 * 10**8), 1
    return Conversation(
        clock,
        Bot(int(digits) if digits.isdecimal() else _UNKNOWN_BOT),
        UpdateQueue(first_update_id),
        first_message_id,
        FloodGate(limits),
    )


def _page_routes() -> list[web.RouteDef]:
    async def index(_request: web.Request) -> web.StreamResponse:
        return _page_file("index.html")

    async def part(request: web.Request) -> web.StreamResponse:
        return _page_file(request.match_info["name"])

    return [web.get("/", index), web.get(r"/page/{name:[a-z_]+\.(?:css|js|svg)}", part)]


def _page_file(name: str) -> web.StreamResponse:
    path = _PAGE / name
    if not path.is_file():
        raise ClientError(f"there is no page {name}", HTTPStatus.NOT_FOUND)
    return web.Response(
        body=path.read_bytes(),
        content_type=_CONTENT_TYPES[path.suffix],
        charset="utf-8",
        headers=_PAGE_HEADERS,
    )


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _refusals(is_open_to_network: bool) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_origin(request, is_open_to_network=is_open_to_network)
            return await handler(request)
        except ClientError as error:
            sentence, status = error.sentence, error.status
        except web.HTTPException as error:
            sentence, status = f"{error.reason}: {request.method} {request.path}", error.status
        if request.path.startswith("/bot"):
            return json_response(BotApiError(sentence, status).as_json(), status)
        return json_response({"ok": False, "error": sentence}, status)

    return answer


def _check_origin(request: web.Request, *, is_open_to_network: bool) -> None:
    # Other web pages in the same browser must not be able to speak for the people in this chat,
    # neither by a cross-site request nor by a name that resolves to this machine.
    if not is_open_to_network and not is_own_name(request.host):
        raise ClientError("the local chat answers to this machine only", HTTPStatus.FORBIDDEN)
    if not is_own_page(request.headers.get("Origin"), request.host):
        raise ClientError("requests from other web pages are refused", HTTPStatus.FORBIDDEN)
