"""What went wrong with a request, told by how far it got, the status and the code in the body.

Classes of the client library are not asked: they mix refusals with unknown outcomes, and take a
revoked key for a passing ban.
"""

import contextlib
import errno
import json
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp

from trading.domain.errors import AuthLost, Exhausted, RateLimited, Unreachable
from trading.domain.order import SendEvidence, SendPhase
from trading.gateway.translate.values import Unusable, shown

SILENCE_S = 60.0
_CARRIED = "umbra_answer"
_AUTH_CODES = frozenset({-1002, -1022, -2014, -2015})
_RATE_CODES = frozenset({-1003, -1015, -1034})
_BANNED_UNTIL = re.compile(r"until (\d{13})", re.ASCII)


class Outdated(Exception):
    """A request waited so long that its signature is too old; no byte of it has left."""


# These never had a connection, or did not use it: no byte of the request has left.
_NEVER_SENT = (
    Outdated,
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    socket.gaierror,
    ConnectionRefusedError,
)
# A library wraps one in another, so the first of these that is found anywhere in a chain counts.
_SILENCES: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "the connection is refused"),
    (socket.gaierror, "its name is not found"),
    (ssl.SSLError, "the connection is not safe"),
    (TimeoutError, "nothing came in time"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came, before any library interpreted it.

    `used_weight` is what the exchange has counted of our requests in its present minute.
    """

    status: int
    body: str
    retry_after_s: float | None = None
    used_weight: int | None = None


# Set by the transport within the task that asked, so that requests in parallel do not mix.
LAST_ANSWER: ContextVar[Answer | None] = ContextVar("LAST_ANSWER", default=None)


@contextlib.contextmanager
def carrying_answer() -> Iterator[None]:
    """Let a failure within take the last answer along: libraries ask in tasks of their own."""
    try:
        yield
    except Exception as error:
        error.__dict__[_CARRIED] = LAST_ANSWER.get()
        raise


def answer(status: int, headers: object, body: object) -> Answer:
    """Keep of an HTTP answer what tells outcomes apart."""
    written = body if isinstance(body, str) else ""
    told = {str(key).lower(): value for key, value in _mapping(headers).items()}
    used = _number(told.get("x-mbx-used-weight-1m"))
    return Answer(
        status, written, _number(told.get("retry-after")), None if used is None else int(used)
    )


def _mapping(headers: object) -> dict[object, object]:
    return headers if isinstance(headers, dict) else {}


def _number(written: object) -> float | None:
    try:
        number = float(written) if isinstance(written, str | int | float) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e7 else None


def code_of(body: str) -> tuple[int | None, str]:
    """Return the code and the text of an error's body; a body that is no JSON has neither."""
    try:
        said = json.loads(body)
    except ValueError:
        return None, shown(body)
    if not isinstance(said, dict):
        return None, shown(said)
    code = said.get("code")
    message = said.get("msg")
    is_code = isinstance(code, int) and not isinstance(code, bool)
    return (code if is_code else None), str(message) if message is not None else shown(said)


def evidence_of(error: BaseException, seen: Answer | None, theirs_ms: int) -> SendEvidence:
    """Return what a failed order request proves."""
    if seen is not None:
        code, message = code_of(seen.body)
        text = str(error) if isinstance(error, Unusable) else message
        return SendEvidence(
            SendPhase.ANSWERED,
            http_status=seen.status,
            code=code,
            message=text,
            retry_after_s=silence_s(seen, theirs_ms),
        )
    never = any(isinstance(each, _NEVER_SENT) for each in _chain(error))
    phase = SendPhase.NOT_SENT if never else SendPhase.SENT
    return SendEvidence(phase, message=f"{type(_root(error)).__name__}: {_root(error)}")


def is_outdated(error: BaseException) -> bool:
    """Whether a request never left because its signature had grown old."""
    return any(isinstance(each, Outdated) for each in _chain(error))


def silence_s(seen: Answer, theirs_ms: int) -> float | None:
    """Return how long the exchange asks for silence, None when it does not."""
    if seen.status not in {403, 418, 429}:
        return None
    if seen.retry_after_s is not None:
        return seen.retry_after_s
    until = _BANNED_UNTIL.search(seen.body)
    if until is not None:
        return max((int(until[1]) - theirs_ms) / 1000 + 1, 1.0)
    return SILENCE_S


def failure_of(
    error: BaseException, seen: Answer | None, theirs_ms: int, *, is_public: bool = False
) -> Unreachable | RateLimited | AuthLost:
    """Return what a failed read means; it never says anything about an order.

    What was asked without a key is no word about the key, whatever the answer says.
    """
    if isinstance(error, Unusable):
        return error
    seen = seen or _carried(error)
    if seen is None:
        missing = _exhausted(error)
        said = f"{type(_root(error)).__name__}: {_root(error)}"
        return Exhausted(missing) if missing else Unreachable(said)
    code, message = code_of(seen.body)
    wait_s = silence_s(seen, theirs_ms)
    if wait_s is not None or code in _RATE_CODES:
        return RateLimited(f"http {seen.status}: {message}", wait_s or SILENCE_S)
    if not is_public and (seen.status == 401 or code in _AUTH_CODES):
        return AuthLost(f"the exchange does not accept the key: {message} ({code})")
    if seen.status < 400:
        return Unusable(f"unusable answer: {type(error).__name__}, {shown(seen.body)}")
    return Unreachable(f"http {seen.status}, code {code}: {message}", seen.status)


def _exhausted(error: BaseException) -> str:
    """Name what this machine has run out of, empty where that was not the reason."""
    for each in _chain(error):
        number = each.errno if isinstance(each, OSError) else None
        if number in {errno.EMFILE, errno.ENFILE}:
            return "no file descriptor left"
        if isinstance(each, MemoryError) or number in {errno.ENOMEM, errno.ENOBUFS}:
            return "no memory left"
    return ""


def why_silent(error: BaseException) -> str:
    """Say in plain words why no answer came, as part of a sentence."""
    chain = list(_chain(error))
    for kinds, words in _SILENCES:
        if any(isinstance(each, kinds) for each in chain):
            return words
    return "the connection broke"


def must_be_told(rows: Sequence[object], seen: Answer | None, name: str) -> None:
    """Raise Unusable when a library's empty list stands for an answer that listed nothing.

    Where an answer should hold rows, the library takes a page of HTML, half an answer or an empty
    object for none of them. How exchanges wrap their rows differs, so no more than that is known.
    """
    if rows or seen is None:
        return
    try:
        said = json.loads(seen.body)
    except ValueError:
        said = None
    if not (isinstance(said, list) or (isinstance(said, dict) and said)):
        raise Unusable(f"an answer should hold {name}, was {shown(seen.body)}")


def _carried(error: BaseException) -> Answer | None:
    found = (each.__dict__.get(_CARRIED) for each in _chain(error))
    return next((each for each in found if isinstance(each, Answer)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(8):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _root(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]
