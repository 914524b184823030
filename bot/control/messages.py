"""What goes over the local socket: one line of JSON each way, bounded and checked."""

import json
import math
import re
from dataclasses import asdict, dataclass
from enum import Enum

from bot.modes import NOTE_LENGTH_MAX
from trading.domain.errors import Refused

VERSION = 3
REQUEST_BYTES_MAX = 4096
REPLY_BYTES_MAX = 65_536
_FIELDS = {"version", "ask", "request_id", "expires_s", "note"}
_CUT = "\n…"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Ask(Enum):
    """What the command line may ask; a preview is what a panic or a resume would do."""

    STATUS = "status"
    PREVIEW = "preview"
    PANIC = "panic"
    HALT = "halt"
    PREVIEW_RESUME = "preview_resume"
    RESUME = "resume"


# What acts by itself where no agent runs, and waits for one that starts.
ACTING = frozenset({Ask.HALT, Ask.PANIC})


@dataclass(frozen=True, slots=True)
class Request:
    """One question or order; the same `request_id` twice acts once.

    `expires_s` is when its asker goes, in seconds of the machine's steady clock: whoever takes it
    up later must not act on it, for a person has read that it failed. `note` is why it was asked
    for, in the person's own words.
    """

    ask: Ask
    request_id: str
    expires_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was done, or why not, in sentences for a terminal."""

    is_done: bool
    text: str


def encode_request(request: Request) -> bytes:
    """Return a request as a line."""
    record = {
        "version": VERSION,
        "ask": request.ask.value,
        "request_id": request.request_id,
        "expires_s": request.expires_s,
        "note": request.note,
    }
    return json.dumps(record).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request exactly; raises Refused for anything else."""
    record = _record(line, REQUEST_BYTES_MAX)
    if record.keys() != _FIELDS or record["version"] != VERSION:
        raise Refused(f"the request should be one of version {VERSION}", example="umbra status")
    request_id = record["request_id"]
    if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
        raise Refused("the request's id should be 8 to 64 letters and digits")
    expires_s = record["expires_s"]
    if not isinstance(expires_s, int | float) or not math.isfinite(expires_s):
        raise Refused("the request's expires_s should be a number of seconds")
    note = record["note"]
    if not isinstance(note, str) or len(note) > NOTE_LENGTH_MAX or not note.isprintable():
        raise Refused(f"the reason should be one line of at most {NOTE_LENGTH_MAX} characters")
    try:
        return Request(Ask(record["ask"]), request_id, float(expires_s), note)
    except ValueError:
        known = ", ".join(ask.value for ask in Ask)
        raise Refused(f"the request should ask for one of {known}") from None


def encode_reply(reply: Reply) -> bytes:
    """Return a reply as a line; a text that is too long is cut."""
    # A character takes six bytes of JSON at most, an emoji two of them.
    text_max = (REPLY_BYTES_MAX - 64) // 12
    cut = reply.text if len(reply.text) <= text_max else reply.text[:text_max] + _CUT
    return json.dumps(asdict(Reply(reply.is_done, cut))).encode() + b"\n"


def decode_reply(line: bytes) -> Reply:
    """Read a reply; raises Refused when it is not one."""
    record = _record(line, REPLY_BYTES_MAX)
    is_done, text = record.get("is_done"), record.get("text")
    if not isinstance(is_done, bool) or not isinstance(text, str):
        raise Refused("the running agent's answer could not be read")
    return Reply(is_done, text)


def _record(line: bytes, size_max: int) -> dict[str, object]:
    if len(line) > size_max or not line.endswith(b"\n"):
        raise Refused(f"a message should be one line of at most {size_max} bytes")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("a message should be JSON") from None
    if not isinstance(record, dict):
        raise Refused("a message should be a JSON object")
    return record
