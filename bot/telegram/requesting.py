"""The HTTP side of the bot: near servers without proxy, exact flood waits, no token in words."""

import asyncio
import functools
import json
import logging
import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
from telegram import Bot
from telegram.error import BadRequest, NetworkError, TelegramError, TimedOut
from telegram.request import HTTPXRequest

from bot.telegram.settings import TelegramSettings
from trading.domain.redaction import Masked, masking_foreign

_NEAR = frozenset({"127.0.0.1", "::1", "localhost"})
_REFUSED = 400
_TOO_MANY_REQUESTS = 429
_DEFAULT_WAIT_S = 5.0
_CALL_S_MAX = 120.0
# The library's names for what ends before a byte of the request was written.
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")


class Flooded(TelegramError):
    """Telegram asks for silence for exactly `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"flood control: retry after {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class Requests(HTTPXRequest):
    """The library's requests, but for a 429, whose own error warns of its type at each use.

    What Telegram, or a box on the way, says of a failure is `masked`: the token is in the address.
    """

    def __init__(self, masked: Masked, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._masked = masked

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Ask once, within two minutes; raises Flooded when Telegram asks for silence."""
        try:
            # The library's own deadlines are between two bytes: a trickle would never end.
            async with asyncio.timeout(_CALL_S_MAX):
                status, body = await super().do_request(*args, **kwargs)
        except TimeoutError:
            raise TimedOut(f"no answer within {_CALL_S_MAX:g} s") from None
        except TelegramError as error:
            error.message = self._masked(error.message)
            raise
        if status == _TOO_MANY_REQUESTS:
            raise Flooded(_retry_after_s(body))
        if status >= _REFUSED:
            # Before the library makes an error of it, whose letters it may change.
            body = self._masked(body.decode(errors="replace")).encode()
        return status, body


def may_have_arrived(error: TelegramError) -> bool:
    """Whether Telegram may have done what was asked although it did not say so."""
    if not isinstance(error, NetworkError) or isinstance(error, BadRequest):
        return False
    # An unfinished call is a bare TimedOut by now: only its cause still says how far it came.
    cause = type(error.__cause__).__name__
    return not any(each == cause or f"httpx.{each}" in error.message for each in _UNSENT)


def _retry_after_s(body: bytes) -> float:
    try:
        return float(json.loads(body)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return _DEFAULT_WAIT_S


def requests_for(base_url: str | None, token: str, other_secrets: Iterable[str] = ()) -> Requests:
    """Make a pool of connections for one bot, whose errors repeat none of the secrets."""
    host = urlsplit(base_url).hostname if base_url else None
    # A proxy of the environment is for the world, not for this machine's own server.
    is_far = host not in _NEAR
    return Requests(
        # The number before the colon is no secret.
        masking_foreign((token.partition(":")[2], *other_secrets)),
        connection_pool_size=32,
        connect_timeout=5.0,
        pool_timeout=5.0,
        httpx_kwargs={"trust_env": is_far, "verify": _trusted(is_far)},
    )


@functools.cache
def _trusted(is_far: bool) -> ssl.SSLContext:
    """The certificates as each pool would read them for itself, which takes some 30 ms."""
    return httpx.create_ssl_context(trust_env=is_far)


def silence_request_logs() -> None:
    """Keep the HTTP library from writing addresses, which carry the token."""
    for name in ("httpx", "httpcore", "telegram.ext", "telegram.Bot"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _MaskedBot(Bot):
    """The library's own `repr` of a bot is its token, and ours hold one."""

    def __repr__(self) -> str:
        return "Bot(token=•••)"


def bot_of(settings: TelegramSettings) -> Bot:
    """Make the bot; calls and long polls have connections of their own."""
    url = settings.base_url
    calls, polls = (requests_for(url, settings.token, settings.other_secrets) for _ in range(2))
    if url is None or settings.base_file_url is None:
        return _MaskedBot(settings.token, request=calls, get_updates_request=polls)
    return _MaskedBot(
        settings.token,
        base_url=url,
        base_file_url=settings.base_file_url,
        request=calls,
        get_updates_request=polls,
    )
