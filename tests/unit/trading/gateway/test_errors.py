"""How far a request got, and what its answer says, decide; the library's classes do not."""

import errno
import socket
import ssl

import aiohttp
import pytest

from tests.catalogue import fired
from trading.domain.errors import AuthLost, Exhausted, RateLimited, Unreachable
from trading.domain.order import SendPhase
from trading.gateway.errors import (
    Answer,
    answer,
    code_of,
    evidence_of,
    failure_of,
    must_be_told,
    why_silent,
)
from trading.gateway.translate.values import Unusable

NOW_MS = 1_795_176_000_000


class LibraryError(Exception):
    """Any of the library's own classes."""


def caused(cause: BaseException) -> LibraryError:
    error = LibraryError("binance POST https://…")
    error.__cause__ = cause
    return error


def refused_connection() -> aiohttp.ClientConnectorError:
    key = aiohttp.client_reqrep.ConnectionKey("h", 1, False, True, None, None, None)
    return aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "refused"))


@pytest.mark.fault("X02", "SAID")
@pytest.mark.parametrize(
    ("error", "phase"),
    [
        (caused(refused_connection()), SendPhase.NOT_SENT),
        (caused(aiohttp.ConnectionTimeoutError()), SendPhase.NOT_SENT),
        (caused(aiohttp.ServerDisconnectedError()), SendPhase.SENT),
        (caused(aiohttp.ClientOSError(104, "reset")), SendPhase.SENT),
        (caused(TimeoutError()), SendPhase.SENT),
        (TimeoutError(), SendPhase.SENT),
        (LibraryError("who knows"), SendPhase.SENT),
        (KeyError("spot"), SendPhase.SENT),
    ],
)
def test_without_an_answer_only_a_connection_that_never_was_proves_that_nothing_left(
    error: Exception, phase: SendPhase
) -> None:
    found = evidence_of(error, None, NOW_MS)
    assert found.phase is phase
    fired([one for one in (found,) if one.http_status is None], words=repr(error))


def test_an_answer_is_told_by_its_status_code_and_text() -> None:
    seen = Answer(400, '{"code":-2010,"msg":"Account has insufficient balance."}')
    found = evidence_of(LibraryError(), seen, NOW_MS)
    assert (found.phase, found.http_status, found.code) == (SendPhase.ANSWERED, 400, -2010)
    assert found.message == "Account has insufficient balance."
    assert found.retry_after_s is None


def test_an_unusable_answer_tells_what_was_wrong_with_it() -> None:
    found = evidence_of(Unusable("status should be one"), Answer(200, "{}"), NOW_MS)
    assert (found.http_status, found.message) == (200, "status should be one")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"code":-1003,"msg":"slow down"}', (-1003, "slow down")),
        ('{"code":"-1003"}', (None, "{'code': '-1003'}")),
        ('{"code":true,"msg":5}', (None, "5")),
        ("<html>", (None, "'<html>'")),
        ("[1]", (None, "[1]")),
        ("", (None, "''")),
    ],
)
def test_a_body_without_a_code_has_none(body: str, expected: tuple[int | None, str]) -> None:
    assert code_of(body) == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": "tomorrow"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_wish_for_silence_is_read_from_the_header(
    headers: object, seconds: float | None
) -> None:
    assert answer(429, headers, "{}").retry_after_s == seconds


@pytest.mark.parametrize(
    ("headers", "used"),
    [
        ({"X-MBX-USED-WEIGHT-1M": "5086"}, 5086),
        ({"x-mbx-used-weight-1m": "0"}, 0),
        ({"X-MBX-USED-WEIGHT-1M": "much"}, None),
        ({"X-MBX-USED-WEIGHT-1M": "nan"}, None),
        ({"X-MBX-USED-WEIGHT": "7"}, None),
        (None, None),
    ],
)
def test_the_exchanges_own_count_is_read_from_the_header(headers: object, used: int | None) -> None:
    assert answer(200, headers, "{}").used_weight == used


def test_silence_without_a_header_is_read_from_the_text_or_is_a_minute() -> None:
    until = Answer(418, f"IP banned until {NOW_MS + 120_000}. Please use the websocket")
    assert evidence_of(LibraryError(), until, NOW_MS).retry_after_s == 121
    assert evidence_of(LibraryError(), Answer(429, "{}"), NOW_MS).retry_after_s == 60
    assert evidence_of(LibraryError(), Answer(403, "<html>"), NOW_MS).retry_after_s == 60


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (None, Unreachable),
        (Answer(500, "<html>"), Unreachable),
        (Answer(400, '{"code":-1121,"msg":"Invalid symbol."}'), Unreachable),
        (Answer(200, "<html>"), Unusable),
        (Answer(429, "{}", 3.0), RateLimited),
        (Answer(403, "<html>"), RateLimited),
        (Answer(400, '{"code":-1003,"msg":"too many"}'), RateLimited),
        (Answer(401, '{"code":-2015,"msg":"Invalid API-key"}'), AuthLost),
        (Answer(400, '{"code":-2015,"msg":"Invalid API-key"}'), AuthLost),
        (Answer(400, '{"code":-1022,"msg":"Signature"}'), AuthLost),
        (Answer(401, ""), AuthLost),
    ],
)
def test_a_failed_read_has_one_of_our_meanings(seen: Answer | None, kind: type) -> None:
    assert type(failure_of(LibraryError("x"), seen, NOW_MS)) is kind


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (MemoryError(), "no memory left"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "no memory left"),
        (OSError(errno.EMFILE, "Too many open files"), "no file descriptor left"),
        (OSError(errno.ENFILE, "Too many open files in system"), "no file descriptor left"),
    ],
)
def test_what_this_machine_lacks_says_nothing_about_the_exchange(
    cause: Exception, said: str
) -> None:
    error = failure_of(caused(cause), None, NOW_MS)
    assert type(error) is Exhausted
    assert error.words == f"this machine has {said}"
    assert type(failure_of(caused(OSError(errno.ECONNRESET, "reset")), None, NOW_MS)) is Unreachable


def test_an_unusable_read_keeps_its_words() -> None:
    error = Unusable("free should be a number")
    assert failure_of(error, Answer(200, "{}"), NOW_MS) is error


@pytest.mark.parametrize("body", ["<html>busy</html>", '[[1609459200000,"1.0","', "{}", "", "7"])
def test_an_empty_list_that_nobody_sent_is_no_answer(body: str) -> None:
    with pytest.raises(Unusable, match="should hold candles"):
        must_be_told([], Answer(200, body), "candles")


@pytest.mark.parametrize("body", ["[]", '{"error":[],"result":{"XBT":[],"last":0}}', "[[1]]"])
def test_an_empty_list_that_was_sent_is_one(body: str) -> None:
    must_be_told([], Answer(200, body), "candles")
    must_be_told([[1]], Answer(200, "<html>"), "candles")
    must_be_told([], None, "candles")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "the connection is refused"),
        (socket.gaierror(-2, "Name or service not known"), "its name is not found"),
        (ssl.SSLCertVerificationError("self-signed"), "the connection is not safe"),
        (TimeoutError(), "nothing came in time"),
        (aiohttp.ServerDisconnectedError(), "the connection broke"),
    ],
)
def test_why_no_answer_came_is_told_in_plain_words(cause: BaseException, words: str) -> None:
    assert why_silent(caused(cause)) == words
