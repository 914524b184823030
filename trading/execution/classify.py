"""What an observed outcome of a request means: phase, status and code count, never a class name.

Whatever the table does not list is UNKNOWN: an unknown code of the exchange proves nothing.
"""

from dataclasses import dataclass
from enum import Enum

from trading.domain.order import SendEvidence, SendPhase


class Action(Enum):
    """What was asked for."""

    CREATE = "create"
    CANCEL = "cancel"


class Verdict(Enum):
    """What we may believe of a request."""

    ACK = "ack"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    LIVE_EVIDENCE = "live_evidence"
    UNKNOWN = "unknown"
    RATE_LIMITED = "rate_limited"


class Cause(Enum):
    """Why a request was refused, as far as it changes what to do next."""

    NONE = "none"
    BALANCE = "balance"
    FILTER = "filter"
    PRICE_BAND = "price_band"
    MARKET_CLOSED = "market_closed"
    CLOCK = "clock"
    AUTH = "auth"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Classified:
    """A verdict with its cause; `text` is evidence for the journal."""

    verdict: Verdict
    cause: Cause
    text: str


# Binance spot, "errors" of its API documents, mid 2026. Definitive: refused before matching.
_REFUSED_CODES: dict[int, Cause] = {
    -1002: Cause.AUTH,  # unauthorized
    -1010: Cause.OTHER,  # message refused, the text says why
    -1014: Cause.OTHER,  # unsupported order combination
    -1020: Cause.OTHER,  # unsupported operation
    -1021: Cause.CLOCK,  # timestamp outside of recvWindow: the fence itself spoke
    -1022: Cause.AUTH,  # signature
    -1121: Cause.OTHER,  # symbol
    -2014: Cause.AUTH,  # key format
    -2015: Cause.AUTH,  # key, address or permission
    # Malformed or missing parameters: refused by the front, no order came to be.
    **dict.fromkeys(range(-1120, -1099), Cause.OTHER),
    **dict.fromkeys(range(-1199, -1121), Cause.OTHER),
}
_UNKNOWN_CODES = frozenset(
    {
        -1000,  # unknown error while processing
        -1001,  # disconnected: internal error
        -1006,  # unexpected response from the message bus, execution status unknown
        -1007,  # time-out waiting for the back end, execution status unknown
        -1008,  # overloaded; not proven to mean that nothing was executed
        -1016,  # service shutting down
        -1099,  # not found, authenticated or authorized: says nothing of an order
    }
)
_RATE_CODES = frozenset({-1003, -1015, -1034})
_DUPLICATE_CODES = frozenset({-4116, -4111})
_FILTER_CAUSES = (
    ("PERCENT_PRICE", Cause.PRICE_BAND),
    ("PRICE_RANGE", Cause.PRICE_BAND),
    ("Filter failure", Cause.FILTER),
    ("Market is closed", Cause.MARKET_CLOSED),
    ("Invalid quantity", Cause.FILTER),
    ("Invalid price", Cause.FILTER),
    ("Stop loss orders are not supported", Cause.OTHER),
)
# The engine's refusals share one code, so only a text that we know is definitive.
_ENGINE_REFUSALS = (
    ("insufficient balance", Cause.BALANCE),
    ("Market is closed", Cause.MARKET_CLOSED),
    ("CANCEL_ONLY", Cause.MARKET_CLOSED),
    ("would immediately match", Cause.OTHER),
    ("would trigger immediately", Cause.OTHER),
    ("not permitted for this symbol", Cause.OTHER),
    ("symbol is not permitted", Cause.OTHER),
    ("not supported for this symbol", Cause.OTHER),
    ("disabled on this account", Cause.AUTH),
    ("API trading is not enabled", Cause.AUTH),
    ("not authorized to execute this request", Cause.AUTH),
    ("account may not place or cancel orders", Cause.AUTH),
    ("liquidity is less than", Cause.PRICE_BAND),
    ("Price * QTY is zero or less", Cause.FILTER),
    ("IcebergQty exceeds QTY", Cause.OTHER),
    ("order combination", Cause.OTHER),
    ("Order amend is not supported", Cause.OTHER),
    ("exceeded max number of orders", Cause.OTHER),
)


def classify(evidence: SendEvidence, action: Action = Action.CREATE) -> Classified:
    """Return what one outcome proves; how far the request got comes before what was said."""
    text = _describe(evidence)
    if evidence.phase is SendPhase.NOT_SENT:
        return Classified(Verdict.NOT_SENT, Cause.NONE, text)
    if evidence.phase is SendPhase.SENT:
        return Classified(Verdict.UNKNOWN, Cause.NONE, text)
    if _is_rate_limit(evidence):
        return Classified(Verdict.RATE_LIMITED, Cause.NONE, text)
    status = evidence.http_status or 0
    if 200 <= status < 300:
        verdict = Verdict.ACK if evidence.report is not None else Verdict.UNKNOWN
        return Classified(verdict, Cause.NONE, text)
    # A refused cancel may mean that the order is gone, filled, or was never there: only a query
    # tells. A 5xx carries no proof, whatever code stands in its body.
    if action is Action.CANCEL or status >= 500 or status in {403, 408}:
        return Classified(Verdict.UNKNOWN, Cause.NONE, text)
    verdict, cause = _of_code(evidence.code, evidence.message)
    return Classified(verdict, cause, text)


def _is_rate_limit(evidence: SendEvidence) -> bool:
    # Binance: a 429 or 418 is answered before the request is processed; elsewhere 429 is the norm.
    return evidence.http_status in {418, 429} or (
        evidence.code in _RATE_CODES and (evidence.http_status or 0) < 500
    )


def _of_code(code: int | None, message: str) -> tuple[Verdict, Cause]:
    if code in _DUPLICATE_CODES or (code == -2010 and "duplicate" in message.lower()):
        return Verdict.LIVE_EVIDENCE, Cause.NONE
    if code is None or code in _UNKNOWN_CODES:
        return Verdict.UNKNOWN, Cause.NONE
    if code == -1013:
        return Verdict.REJECTED, _first(message, _FILTER_CAUSES) or Cause.FILTER
    if code == -2010:
        cause = _first(message, _ENGINE_REFUSALS)
        return (Verdict.REJECTED, cause) if cause else (Verdict.UNKNOWN, Cause.NONE)
    known = _REFUSED_CODES.get(code)
    return (Verdict.REJECTED, known) if known else (Verdict.UNKNOWN, Cause.NONE)


def _first(message: str, table: tuple[tuple[str, Cause], ...]) -> Cause | None:
    lowered = message.lower()
    return next((cause for words, cause in table if words.lower() in lowered), None)


def _describe(evidence: SendEvidence) -> str:
    parts = [evidence.phase.value]
    if evidence.http_status is not None:
        parts.append(f"http {evidence.http_status}")
    if evidence.code is not None:
        parts.append(f"code {evidence.code}")
    if evidence.message:
        parts.append(evidence.message[:200])
    if evidence.report is not None:
        parts.append(f"order {evidence.report.status.value}")
    return ", ".join(parts)
