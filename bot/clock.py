"""The machine's clock, ids and randomness: the one adapter that may ask for them."""

import base64
import secrets
import time
from datetime import UTC, datetime

# Prices from before a suspend must look as old as they are.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Wall time in UTC and a monotonic clock."""

    def now(self) -> datetime:
        """Return the aware UTC wall time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow, those of a host asleep included where it counts them."""
        return time.clock_gettime(_STEADY)


def now_ms() -> int:
    """Return the Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def random_nonce() -> str:
    """Return 22 unguessable characters (128 bits) that fit a button."""
    return secrets.token_urlsafe(16)


def random_code() -> str:
    """Return six digits for pairing."""
    return f"{secrets.randbelow(1_000_000):06d}"


def random_totp_secret() -> str:
    """Return 160 bits as base32, as long as RFC 4226 asks for."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def random_install_id() -> str:
    """Return 32 hexadecimal characters that name this installation for ever."""
    return secrets.token_hex(16)
