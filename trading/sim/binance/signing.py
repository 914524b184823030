"""Who may ask what: API key, HMAC-SHA256 signature, timestamp and recvWindow, as Binance checks."""

import hashlib
import hmac
from collections.abc import Mapping

from trading.sim.binance.codes import ApiError, known, missing
from trading.sim.binance.tickets import read_time_ms

RECV_WINDOW_MS = 5_000
_RECV_WINDOW_MAX_MS = 60_000
_AHEAD_MAX_MS = 1_000


def payload_without_signature(query: str, body: str) -> str:
    """Return the text that was signed: the raw query, then the raw body, less the signature."""
    return _stripped(query) + _stripped(body)


def sign(secret: str, payload: str) -> str:
    """Return the HMAC-SHA256 of a payload in hexadecimal."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def check_key(given: str | None, expected: str) -> None:
    """Refuse a missing or a foreign API key."""
    if not given:
        raise known(-2014)
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise known(-2015)


def check_signature(params: Mapping[str, str], payload: str, secret: str) -> None:
    """Refuse a missing or a wrong signature."""
    given = params.get("signature")
    if not given:
        raise missing("signature")
    if not hmac.compare_digest(given.lower().encode(), sign(secret, payload).encode()):
        raise known(-1022)


def check_time(params: Mapping[str, str], now_ms: int) -> None:
    """Refuse a request from the future or one that is older than its window.

    Its timestamp counts milliseconds or microseconds, as on the real exchange.
    """
    timestamp = read_time_ms(params, "timestamp")
    if timestamp is None:
        raise missing("timestamp")
    window = recv_window_ms(params)
    if timestamp >= now_ms + _AHEAD_MAX_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window:
        raise known(-1021)


def recv_window_ms(params: Mapping[str, str]) -> float:
    """Return recvWindow in milliseconds; Binance takes microseconds as decimals."""
    text = params.get("recvWindow") or str(RECV_WINDOW_MS)
    try:
        window = float(text)
    except ValueError as error:
        raise ApiError(-1130, "Data sent for parameter 'recvWindow' is not valid.") from error
    if not 0 <= window <= _RECV_WINDOW_MAX_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    return window


def _stripped(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))
