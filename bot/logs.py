"""Structured logs without secrets: one line a record, planted secrets never reach the stream."""

import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO

import structlog

from trading.domain.redaction import masking_foreign

# Their INFO records carry whole URLs, and a Bot API URL holds the bot's token.
_TALKATIVE = ("httpx", "httpcore", "apscheduler", "aiohttp.access", "telegram", "ccxt", "alembic")


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
        # Records quote what others said, cut off at some length.
        self._masked = masking_foreign(secrets)

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
