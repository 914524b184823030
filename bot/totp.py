"""Six digits that change every 30 s (RFC 6238, HMAC-SHA-1), as authenticators show."""

import base64
import binascii
import hmac
from datetime import datetime
from typing import Final

STEP_S: Final = 30
DIGITS: Final = 6
_SECRET_BYTES_MIN = 16
_NO_BASE32 = "should be base32: letters A to Z and digits 2 to 7"


def read_secret(text: str) -> bytes:
    """Return the bytes of a base32 secret as apps show it; raises ValueError without its text."""
    if not text.isascii():
        raise ValueError(_NO_BASE32)
    packed = text.replace(" ", "").replace("-", "").rstrip("=").upper()
    try:
        secret = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except binascii.Error:
        raise ValueError(_NO_BASE32) from None
    if len(secret) < _SECRET_BYTES_MIN:
        raise ValueError(f"should have at least {_SECRET_BYTES_MIN} bytes, had {len(secret)}")
    return secret


def step_at(at: datetime) -> int:
    """Return the number of the 30 s step that a time lies in."""
    return int(at.timestamp()) // STEP_S


def code_of(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of a step."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"


def matching_step(secret: bytes, code: str, at: datetime) -> int | None:
    """Return the step that a code belongs to: this one, or a neighbour for clocks that differ."""
    now = step_at(at)
    found = None
    # All are compared, so that the time taken says nothing.
    for step in (now - 1, now, now + 1):
        if hmac.compare_digest(code_of(secret, step).encode(), code.encode()):
            found = step
    return found
