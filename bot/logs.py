"""Structured logs without secrets: one line a record, planted secrets never reach the stream."""

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TextIO

import structlog

_MASK = "•••"
_SECRET_LENGTH_MIN = 6
# Shorter ones could be the figures of an order, typed with spaces.
_BROKEN_LENGTH_MIN = 12
_GAP = r"[\s\u00ad\u200b-\u200d\u2060\ufeff]*"
_GAPS = re.compile(_GAP.removesuffix("*") + "+")
# Their INFO records carry whole URLs, and a Bot API URL holds the bot's token.
_TALKATIVE = ("httpx", "httpcore", "apscheduler", "aiohttp.access", "telegram", "ccxt", "alembic")


def masking(secrets: Iterable[str], mask: str = _MASK) -> Callable[[str], str]:
    """Return what puts `mask` in the place of every secret of a text."""
    longest_first = _longest_first(secrets)

    def masked(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, mask)
        return text

    return masked


def masking_typed(secrets: Iterable[str], mask: str = _MASK) -> Callable[[str], str]:
    """Return what masks every secret of a text that a person typed or pasted.

    One that was broken by spaces, line ends or signs without a width is found as well.
    """
    known = tuple(secrets)
    whole = masking(known, mask)
    broken = [
        (bare, re.compile(_GAP.join(map(re.escape, bare))))
        for secret in _longest_first(known)
        if len(bare := _bare(secret)) >= _BROKEN_LENGTH_MIN
    ]

    def masked(text: str) -> str:
        text = whole(text)
        bare_text = _bare(text)
        for bare, pattern in broken:
            if bare in bare_text:
                text = pattern.sub(lambda _: mask, text)
        return text

    return masked


def _longest_first(secrets: Iterable[str]) -> list[str]:
    return sorted({secret for secret in secrets if len(secret) >= _SECRET_LENGTH_MIN}, key=len)[
        ::-1
    ]


def _bare(text: str) -> str:
    return _GAPS.sub("", text)


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Masks every known secret in the finished line, tracebacks included."""

    def __init__(self, secrets: Iterable[str], *, colors: bool) -> None:
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=colors)
                if colors
                else structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        )
        self._masked = masking(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._masked(super().format(record).replace("\r", "\\r"))


def configure(
    secrets: Iterable[str] = (), level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send every record of the process to `stream` (default stderr), masked."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_RedactingFormatter(secrets, colors=target.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_what_nobody_caught() -> None:
    """Have errors that end the process or a thread logged: the interpreter would not mask them."""
    logger = logging.getLogger(__name__)

    def of_process(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        logger.critical("ended_by_an_error", exc_info=(kind, error, traceback))

    def of_thread(ended: threading.ExceptHookArgs) -> None:
        error = ended.exc_value or ended.exc_type()
        logger.critical("thread_ended", exc_info=(ended.exc_type, error, ended.exc_traceback))

    sys.excepthook, threading.excepthook = of_process, of_thread
