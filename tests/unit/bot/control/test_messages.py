"""What goes over the local socket is read exactly or refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.control.messages import (
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Ask,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from trading.domain.errors import Refused


@pytest.mark.parametrize("ask", Ask)
def test_a_request_is_read_as_it_was_written(ask: Ask) -> None:
    request = Request(ask, "abcdefgh-1_2", 12.5, "the key was replaced")
    assert decode_request(encode_request(request)) == request


@given(st.booleans(), st.text())
def test_a_reply_is_read_as_it_was_written(is_done: bool, text: str) -> None:
    reply = Reply(is_done, text.encode(errors="replace").decode())
    assert decode_reply(encode_reply(reply)) == reply


@pytest.mark.parametrize("character", ["🚨", "\u0001", "a", '"'])
@pytest.mark.parametrize("length", [5_000, 6_000, 200_000])
def test_a_reply_of_any_length_fits(character: str, length: int) -> None:
    line = encode_reply(Reply(True, character * length))
    assert len(line) <= REPLY_BYTES_MAX
    assert decode_reply(line).is_done


@given(st.binary(max_size=300) | st.text().map(lambda text: text.encode(errors="ignore") + b"\n"))
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        decode_request(line)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"ask": "withdraw"},
        {"ask": ["panic"]},
        {"request_id": "short"},
        {"request_id": 12345678},
        {"request_id": "x" * 65},
        {"expires_s": None},
        {"expires_s": float("nan")},
        {"expires_s": "soon"},
        {"note": None},
        {"note": "x" * 201},
        {"note": "two\nlines"},
        {"more": 1},
    ],
)
def test_a_request_that_is_nearly_right_is_refused(change: dict[str, object]) -> None:
    right = {"version": 3, "ask": "panic", "request_id": "abcdefgh", "expires_s": 9, "note": ""}
    assert decode_request(json.dumps(right).encode() + b"\n").ask is Ask.PANIC
    with pytest.raises(Refused):
        decode_request(json.dumps(right | change).encode() + b"\n")


def test_a_line_that_is_too_long_is_refused() -> None:
    line = encode_request(Request(Ask.HALT, "abcdefgh")).strip()
    with pytest.raises(Refused, match="at most"):
        decode_request(line + b" " * REQUEST_BYTES_MAX + b"\n")
