"""Whatever comes in, the server answers with a sentence, never with a 500."""

from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.localchat.methods import METHODS
from tests.integration.localchat.conftest import TOKEN, Phone

PLAYED = ("send", "press", "person", "fault", "update", "limits")
SEEN = ("messages", "history", "state", "faults")
NAMES = (
    *("user_id", "chat_id", "message_id", "text", "kind", "times", "args", "edit", "forward"),
    *("reply_to", "update", "update_id", "name", "wait_ms", "parse_mode", "reply_markup"),
    *("caption", "photo", "document", "media", "offset", "limit", "timeout", "allowed_updates"),
    *("url", "secret_token", "commands", "scope", "callback_query_id", "entities", "menu_button"),
    *("reply_parameters", "message_ids", "from_chat_id", "action", "file_id", "after"),
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["7", "HTML", "MarkdownV2", "drop", "block", "<b>", '{"a":[', "typing"])
    | st.just(7)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*NAMES, "type", "inline_keyboard"]), inner, max_size=4)
    ),
    max_leaves=12,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=8) | values
quick = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def patient(body: Any) -> Any:
    # Waiting is not what is tried here.
    if isinstance(body, dict):
        return {**body, "timeout": 0, "wait_ms": 0}
    return body


async def answered(phone: Phone, method: str, path: str, **request: Any) -> int:
    async with aiohttp.request(method, f"{phone.url}{path}", **request) as response:
        await response.read()
        return response.status


async def unfaulted(phone: Phone) -> None:
    await answered(phone, "DELETE", "/client/faults")
    await phone.post(f"/bot{TOKEN}/deleteWebhook", {})


@pytest.mark.slow
@quick
@given(st.sampled_from(PLAYED), bodies)
async def test_people_never_break_the_server(phone: Phone, name: str, body: Any) -> None:
    try:
        status = await answered(phone, "POST", f"/client/{name}", json=patient(body))
    except ValueError:
        return  # numbers that JSON cannot carry
    assert status < 500
    await unfaulted(phone)


@pytest.mark.slow
@quick
@given(st.sampled_from([*sorted(METHODS), "getUpdates", "setWebhook"]), bodies, st.booleans())
async def test_bot_never_breaks_the_server(
    phone: Phone, method: str, body: Any, is_form: bool
) -> None:
    fields = patient(body)
    if is_form and isinstance(fields, dict):
        request: dict[str, Any] = {"data": {name: str(value) for name, value in fields.items()}}
    else:
        request = {"json": fields}
    assert await answered(phone, "POST", f"/bot{TOKEN}/{method}", **request) < 500
    await phone.post("/client/limits", {"chat_burst": 0, "group_burst": 0, "overall_burst": 0})
    await unfaulted(phone)


@quick
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            *("application/json", "application/x-www-form-urlencoded", "text/plain"),
            *("multipart/form-data", "multipart/form-data; boundary=x", "nonsense", ""),
            "multipart/form-data; boundary=x; charset=klingon",
        ]
    ),
    st.sampled_from([f"/bot{TOKEN}/sendMessage", "/client/send", "/client/upload"]),
)
async def test_bytes_never_break_the_server(
    phone: Phone, body: bytes, kind: str, path: str
) -> None:
    prefix = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n' if b"x" in body else b""
    headers = {"Content-Type": kind}
    assert await answered(phone, "POST", path, data=prefix + body, headers=headers) < 500


@quick
@given(st.sampled_from(SEEN), st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12)))
async def test_questions_never_break_the_server(
    phone: Phone, name: str, params: dict[str, str]
) -> None:
    asked = {**params, "wait_ms": "0"}
    assert await answered(phone, "GET", f"/client/{name}", params=asked) < 500


async def test_deep_json_is_refused_and_stored_nowhere(phone: Phone) -> None:
    deep = '{"poll":' + "[" * 500 + "]" * 500 + "}"
    headers = {"Content-Type": "application/json"}
    assert await answered(phone, "POST", "/client/update", data=deep, headers=headers) == 400
    form = {"chat_id": "7", "text": "a", "reply_markup": "[" * 500 + "]" * 500}
    assert await answered(phone, "POST", f"/bot{TOKEN}/sendMessage", data=form) == 400
    _, body = await phone.bot("getUpdates")
    assert body["result"] == []
