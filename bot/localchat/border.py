"""From bytes to values at the server's edge; what is not clean never gets further."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import BodyPartReader, web

from bot.localchat.files import FILE_BYTES_MAX, Upload

BODY_BYTES_MAX: Final = FILE_BYTES_MAX + 2 * 1024 * 1024
CLIENT_BYTES_MAX: Final = 1024 * 1024
_FIELDS_MAX: Final = 1_000
_DEPTH_MAX: Final = 64
_MIME: Final = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)

Fields = tuple[dict[str, Any], dict[str, Upload]]


class Unreadable(ValueError):
    """A body that is not what its content type says; the sentence says why."""


def load_json(body: bytes | str) -> Any:
    """JSON that can be written again: well-formed, and nested at most `_DEPTH_MAX` deep."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"body is not JSON: {error}") from error
    if _is_deeper(value, _DEPTH_MAX):
        raise Unreadable(f"JSON should be nested at most {_DEPTH_MAX} deep")
    return value


def load_object(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    value = load_json(body)
    if not isinstance(value, dict):
        raise Unreadable(f"body should be a JSON object, was {type(value).__name__}")
    return value


def json_response(value: Any, status: int = 200) -> web.Response:
    """A JSON answer that no browser caches."""
    return web.Response(
        body=orjson.dumps(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def read_fields(request: web.Request) -> Fields:
    """Parameters and uploads of a Bot API call: query, form, JSON or multipart."""
    fields: dict[str, Any] = dict(request.query)
    uploads: dict[str, Upload] = {}
    if not request.can_read_body:
        return fields, uploads
    if request.content_type == "multipart/form-data":
        await _read_multipart(request, fields, uploads)
    elif request.content_type == "application/json":
        body = await request.read()
        fields |= load_object(body) if body.strip() else {}
    else:
        fields |= _form(await request.read())
    return fields, uploads


def clean_mime(value: str | None) -> str:
    """A content type that is safe to send back."""
    bare = (value or "").split(";")[0].strip()
    return bare if _MIME.fullmatch(bare) else "application/octet-stream"


def _form(body: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError as error:
        raise Unreadable(f"form is not readable: {error}") from error
    return dict(pairs)


async def _read_multipart(
    request: web.Request, fields: dict[str, Any], uploads: dict[str, Upload]
) -> None:
    total = 0
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            content = bytes(await part.read(decode=True))
            total += len(content)
            if total > BODY_BYTES_MAX or len(fields) + len(uploads) > _FIELDS_MAX:
                raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, total)
            if part.filename is None:
                fields[part.name] = content.decode("utf-8", "replace")
            else:
                mime = clean_mime(part.headers.get("Content-Type"))
                uploads[part.name] = Upload(part.filename, mime, content)
    except (ValueError, LookupError, AssertionError, RuntimeError) as error:
        raise Unreadable(f"multipart body is not readable: {error}") from error


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if depth == 0:
        return True
    inner = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(each, depth - 1) for each in inner)
