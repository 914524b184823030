"""Ids derived from durable facts, so that a restart derives the same ones and recognises ours."""

import base64
import hashlib
import re
from functools import cache

CLIENT_ORDER_ID_LENGTH_MAX = 36
_DIGEST_LENGTH = 16
# Five bits a letter: these bytes fill that length exactly.
_DIGEST_BYTES = 10
_PREFIX = re.compile(r"[A-Za-z0-9]{2}", re.ASCII)


def tracker_intent_id(tracker_id: int, arm_seq: int) -> str:
    """Return the id of the one decision that a trigger of this arming makes."""
    return f"tracker:{tracker_id}:{arm_seq}"


def command_intent_id(command_key: str, symbol: str) -> str:
    """Return the id of the one decision that a command makes for an instrument."""
    return f"command:{command_key}:{symbol}"


def client_order_id(prefix: str, intent_id: str, number: int) -> str:
    """Return the id that attempt `number` is sent under; 2 + 16 + 1 + digits, 36 at most."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"order prefix should be two letters or digits, was {prefix!r}")
    if number < 1:
        raise ValueError(f"attempt number should be at least 1, was {number}")
    found = f"{stem(prefix, intent_id)}-{number}"
    if len(found) > CLIENT_ORDER_ID_LENGTH_MAX:
        raise ValueError(f"attempt number should fit the client order id, was {number}")
    return found


def stem(prefix: str, intent_id: str) -> str:
    """Return what all client order ids of one decision begin with."""
    digest = hashlib.sha256(intent_id.encode()).digest()
    return prefix + base64.b32encode(digest[:_DIGEST_BYTES]).decode().lower()


def is_ours(client_order_id: str, prefix: str) -> bool:
    """Whether an order of the exchange carries the form that only we send."""
    return _form(prefix).fullmatch(client_order_id) is not None


@cache
def _form(prefix: str) -> re.Pattern[str]:
    # One per account: each order of each list is asked about.
    return re.compile(rf"{re.escape(prefix)}[a-z2-7]{{{_DIGEST_LENGTH}}}-[1-9][0-9]*", re.ASCII)


def attempt_number(client_order_id: str) -> int:
    """Return which attempt an id of our form is."""
    return int(client_order_id.rpartition("-")[2])
