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
    fired(record["text"])


def test_libraries_that_log_urls_are_quiet(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST https://chat.example/bot1:x/getMe")
    assert stream.getvalue() == ""


KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsW2.(+*?"


@pytest.mark.parametrize("gap", [" ", "   ", "\n", "\t", "\u00a0", "\u200b", "\u00ad", "\ufeff"])
@pytest.mark.parametrize("place", [1, 12, len(KEY) - 1])
def test_a_secret_that_was_pasted_with_a_gap_is_found(gap: str, place: int) -> None:
    masked = logs.masking_typed((KEY,), "[kept back]")
    said = f"my key: {KEY[:place]}{gap}{KEY[place:]} thanks"
    assert masked(said) == "my key: [kept back] thanks"
    assert masked(f"{said} {said}").count("[kept back]") == 2
    assert masked(" ".join(KEY)) == "[kept back]"
    assert masked(KEY) == "[kept back]"


def test_figures_that_look_like_a_short_password_with_spaces_are_left_alone() -> None:
    masked = logs.masking_typed(("123456", "abcdef"), "[kept back]")
    assert masked("/sell BTC/USDT 123 456") == "/sell BTC/USDT 123 456"
    assert masked("123456") == "[kept back]"


def test_what_holds_no_secret_stays_as_it_was_typed() -> None:
    masked = logs.masking_typed((KEY,), "[kept back]")
    text = f"{KEY[:-1]}  \n and  more "
    assert masked(text) == text
