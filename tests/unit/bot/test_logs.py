"""Logs are one line a record and never carry a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from bot import logs
from tests.catalogue import fired

SECRET = "canary-secret-42"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    target = io.StringIO()
    logs.configure((SECRET, "abc"), "INFO", target)
    yield target
    root.handlers[:], root.level = handlers, level


def test_a_secret_is_masked_in_messages_extras_and_tracebacks(stream: io.StringIO) -> None:
    logger = logging.getLogger("umbra.test")
    logger.info("sent", extra={"url": f"https://chat.example/bot{SECRET}/getMe"})
    try:
        raise RuntimeError(f"refused {SECRET}")
    except RuntimeError:
        logger.exception("failed %s", SECRET)
    written = stream.getvalue()
    assert SECRET not in written
    assert written.count("•••") >= 3


@pytest.mark.fault("I04", "SAID")
def test_a_record_is_one_json_line_even_when_somebody_sends_line_breaks(
    stream: io.StringIO,
) -> None:
    logging.getLogger("umbra.test").warning("from_chat", extra={"text": "a\nERROR forged\r\nb"})
    [line] = stream.getvalue().strip().split("\n")
    record = json.loads(line)
    assert record["event"] == "from_chat"
    assert record["level"] == "warning"
    assert "forged" in record["text"]
    fired(record["text"].count("\n"))


def test_libraries_that_log_urls_are_quiet(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST https://chat.example/bot1:x/getMe")
    assert stream.getvalue() == ""


def test_what_was_cut_off_or_signed_is_masked_too(stream: io.StringIO) -> None:
    url = f"https://x.example/o?apiKey={SECRET[:12]}…&signature={'0a' * 32}"
    logging.getLogger("umbra.test").warning("send_failed", extra={"error": url})
    assert SECRET[:9] not in stream.getvalue()
    assert "0a0a" not in stream.getvalue()
    assert "https://x.example/o" in stream.getvalue()
