"""What an observed outcome of a request means: phase, status and code count, never a class name.

Whatever the table does not list is UNKNOWN: an unknown code of the exchange proves nothing.
"""

import re
from dataclasses import dataclass
from enum import Enum

from trading.domain.order import SendEvidence, SendPhase


class Action(Enum):
    """What was asked for: a new order, its end, its state, or anything else of the account."""

    CREATE = "create"
    CANCEL = "cancel"
    QUERY = "query"
    OTHER = "other"


class Verdict(Enum):
    """What we may believe of a request.

    REJECTED means that this request did nothing; of a cancel it says nothing about the order.
    NOT_FOUND is the exchange's word that it knows no such order: one part of a proof of absence.
    """

    ACK = "ack"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    LIVE_EVIDENCE = "live_evidence"
    UNKNOWN = "unknown"
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"


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


@dataclass(frozen=True, slots=True)
class Row:
    """What one code, text or status means for each action; `cause` is that of a refusal."""

    create: Verdict
    cancel: Verdict
    query: Verdict
    other: Verdict
    cause: Cause = Cause.NONE

    def verdict(self, action: Action) -> Verdict:
        """The verdict for one action."""
        return {
            Action.CREATE: self.create,
            Action.CANCEL: self.cancel,
            Action.QUERY: self.query,
            Action.OTHER: self.other,
        }[action]


_LETTERS = {
    "u": Verdict.UNKNOWN,
    "R": Verdict.REJECTED,
    "L": Verdict.RATE_LIMITED,
    "A": Verdict.LIVE_EVIDENCE,
    "N": Verdict.NOT_FOUND,
}


def _row(letters: str, cause: Cause = Cause.NONE) -> Row:
    create, cancel, query, other = (_LETTERS[letter] for letter in letters)
    return Row(create, cancel, query, other, cause)


_SILENT = _row("uuuu")

# Binance spot, "Error codes" of its API documents, mid 2026: create, cancel, query, other.
# u UNKNOWN · R REJECTED · L RATE_LIMITED · A LIVE_EVIDENCE · N NOT_FOUND
CODES: dict[int, Row] = {
    # 10xx: the server and the way to it.
    -1000: _row("uuuu"),  # UNKNOWN: while processing, so perhaps after matching
    -1001: _row("uuuu"),  # DISCONNECTED: an internal error
    -1002: _row("RRRR", Cause.AUTH),  # UNAUTHORIZED
    -1003: _row("LLLL"),  # TOO_MANY_REQUESTS
    -1006: _row("uuuu"),  # UNEXPECTED_RESP: execution status unknown
    -1007: _row("uuuu"),  # TIMEOUT: execution status unknown
    -1008: _row("uuuu"),  # SERVER_BUSY: not proven to mean that nothing was executed
    -1010: _row("uuuu"),  # ERROR_MSG_RECEIVED: the text decides
    -1013: _row("uuuu"),  # INVALID_MESSAGE: the text decides
    -1014: _row("RRRR", Cause.OTHER),  # UNKNOWN_ORDER_COMPOSITION
    -1015: _row("LLLL"),  # TOO_MANY_ORDERS
    -1016: _row("uuuu"),  # SERVICE_SHUTTING_DOWN
    -1020: _row("RRRR", Cause.OTHER),  # UNSUPPORTED_OPERATION
    -1021: _row("RRRR", Cause.CLOCK),  # INVALID_TIMESTAMP: the fence itself spoke
    -1022: _row("RRRR", Cause.AUTH),  # INVALID_SIGNATURE
    -1033: _row("uuuR", Cause.OTHER),  # COMP_ID_IN_USE: of another interface
    -1034: _row("LLLL"),  # TOO_MANY_CONNECTIONS
    -1035: _row("uuuR", Cause.OTHER),  # LOGGED_OUT: of another interface
    # 11xx: the request itself, refused by the front; no order came to be and none was touched.
    -1100: _row("RRRR", Cause.OTHER),  # ILLEGAL_CHARS
    -1101: _row("RRRR", Cause.OTHER),  # TOO_MANY_PARAMETERS
    -1102: _row("RRRR", Cause.OTHER),  # MANDATORY_PARAM_EMPTY_OR_MALFORMED
    -1103: _row("RRRR", Cause.OTHER),  # UNKNOWN_PARAM
    -1104: _row("RRRR", Cause.OTHER),  # UNREAD_PARAMETERS
    -1105: _row("RRRR", Cause.OTHER),  # PARAM_EMPTY
    -1106: _row("RRRR", Cause.OTHER),  # PARAM_NOT_REQUIRED
    -1108: _row("RRRR", Cause.OTHER),  # PARAM_OVERFLOW
    -1111: _row("RRRR", Cause.OTHER),  # BAD_PRECISION
    -1112: _row("RRRR", Cause.OTHER),  # NO_DEPTH
    -1114: _row("RRRR", Cause.OTHER),  # TIF_NOT_REQUIRED
    -1115: _row("RRRR", Cause.OTHER),  # INVALID_TIF
    -1116: _row("RRRR", Cause.OTHER),  # INVALID_ORDER_TYPE
    -1117: _row("RRRR", Cause.OTHER),  # INVALID_SIDE
    -1118: _row("RRRR", Cause.OTHER),  # EMPTY_NEW_CL_ORD_ID
    -1119: _row("RRRR", Cause.OTHER),  # EMPTY_ORG_CL_ORD_ID
    -1120: _row("RRRR", Cause.OTHER),  # BAD_INTERVAL
    -1121: _row("RRRR", Cause.OTHER),  # BAD_SYMBOL
    -1122: _row("RRRR", Cause.OTHER),  # INVALID_SYMBOLSTATUS
    -1125: _row("RRRR", Cause.OTHER),  # INVALID_LISTEN_KEY
    -1127: _row("RRRR", Cause.OTHER),  # MORE_THAN_XX_HOURS
    -1128: _row("RRRR", Cause.OTHER),  # OPTIONAL_PARAMS_BAD_COMBO
    -1130: _row("RRRR", Cause.OTHER),  # INVALID_PARAMETER
    -1131: _row("RRRR", Cause.OTHER),  # recvWindow above its most; out of the list since 2021
    -1134: _row("RRRR", Cause.OTHER),  # BAD_STRATEGY_TYPE
    -1135: _row("RRRR", Cause.OTHER),  # INVALID_JSON
    -1145: _row("RRRR", Cause.OTHER),  # INVALID_CANCEL_RESTRICTIONS
    # Of order lists and pegs: refused as a whole.
    -1158: _row("RRRR", Cause.OTHER),  # OCO_ORDER_TYPE_REJECTED
    -1160: _row("RRRR", Cause.OTHER),  # OCO_ICEBERGQTY_TIMEINFORCE
    -1165: _row("RRRR", Cause.OTHER),  # BUY_OCO_LIMIT_MUST_BE_BELOW
    -1166: _row("RRRR", Cause.OTHER),  # SELL_OCO_LIMIT_MUST_BE_ABOVE
    -1168: _row("RRRR", Cause.OTHER),  # BOTH_OCO_ORDERS_CANNOT_BE_LIMIT
    -1196: _row("RRRR", Cause.OTHER),  # BUY_OCO_STOP_LOSS_MUST_BE_ABOVE
    -1197: _row("RRRR", Cause.OTHER),  # SELL_OCO_STOP_LOSS_MUST_BE_BELOW
    -1198: _row("RRRR", Cause.OTHER),  # BUY_OCO_TAKE_PROFIT_MUST_BE_BELOW
    -1199: _row("RRRR", Cause.OTHER),  # SELL_OCO_TAKE_PROFIT_MUST_BE_ABOVE
    -1210: _row("RRRR", Cause.OTHER),  # INVALID_PEG_PRICE_TYPE
    -1211: _row("RRRR", Cause.OTHER),  # INVALID_PEG_OFFSET_TYPE
    -1222: _row("RRRR", Cause.OTHER),  # OPO_WORKING_MUST_BE_BUY
    -1223: _row("RRRR", Cause.OTHER),  # OPO_PENDING_MUST_BE_SELL
    -1224: _row("RRRR", Cause.OTHER),  # WORKING_PARAM_REQUIRED
    -1225: _row("RRRR", Cause.OTHER),  # PENDING_PARAM_NOT_REQUIRED
    # Of market data, FIX sessions and other encodings: under an order of ours they prove nothing.
    -1139: _row("uuuR", Cause.OTHER),  # INVALID_TICKER_TYPE
    -1151: _row("uuuR", Cause.OTHER),  # DUPLICATE_SYMBOLS
    -1152: _row("uuuR", Cause.OTHER),  # INVALID_SBE_HEADER
    -1153: _row("uuuR", Cause.OTHER),  # UNSUPPORTED_SCHEMA_ID
    -1155: _row("uuuR", Cause.OTHER),  # SBE_DISABLED
    -1161: _row("uuuR", Cause.OTHER),  # DEPRECATED_SCHEMA: the answer could not be encoded
    -1169: _row("uuuR", Cause.OTHER),  # INVALID_TAG_NUMBER
    -1170: _row("uuuR", Cause.OTHER),  # TAG_NOT_DEFINED_IN_MESSAGE
    -1171: _row("uuuR", Cause.OTHER),  # TAG_APPEARS_MORE_THAN_ONCE
    -1172: _row("uuuR", Cause.OTHER),  # TAG_OUT_OF_ORDER
    -1173: _row("uuuR", Cause.OTHER),  # GROUP_FIELDS_OUT_OF_ORDER
    -1174: _row("uuuR", Cause.OTHER),  # INVALID_COMPONENT
    -1175: _row("uuuR", Cause.OTHER),  # RESET_SEQ_NUM_SUPPORT
    -1176: _row("uuuR", Cause.OTHER),  # ALREADY_LOGGED_IN
    -1177: _row("uuuR", Cause.OTHER),  # GARBLED_MESSAGE
    -1178: _row("uuuR", Cause.OTHER),  # BAD_SENDER_COMPID
    -1179: _row("uuuR", Cause.OTHER),  # BAD_SEQ_NUM
    -1180: _row("uuuR", Cause.OTHER),  # EXPECTED_LOGON
    -1181: _row("uuuR", Cause.OTHER),  # TOO_MANY_MESSAGES
    -1182: _row("uuuR", Cause.OTHER),  # PARAMS_BAD_COMBO
    -1183: _row("uuuR", Cause.OTHER),  # NOT_ALLOWED_IN_DROP_COPY_SESSIONS
    -1184: _row("uuuR", Cause.OTHER),  # DROP_COPY_SESSION_NOT_ALLOWED
    -1185: _row("uuuR", Cause.OTHER),  # DROP_COPY_SESSION_REQUIRED
    -1186: _row("uuuR", Cause.OTHER),  # NOT_ALLOWED_IN_ORDER_ENTRY_SESSIONS
    -1187: _row("uuuR", Cause.OTHER),  # NOT_ALLOWED_IN_MARKET_DATA_SESSIONS
    -1188: _row("uuuR", Cause.OTHER),  # INCORRECT_NUM_IN_GROUP_COUNT
    -1189: _row("uuuR", Cause.OTHER),  # DUPLICATE_ENTRIES_IN_A_GROUP
    -1190: _row("uuuR", Cause.OTHER),  # INVALID_REQUEST_ID
    -1191: _row("uuuR", Cause.OTHER),  # TOO_MANY_SUBSCRIPTIONS
    -1194: _row("uuuR", Cause.OTHER),  # INVALID_TIME_UNIT
    -1220: _row("uuuR", Cause.OTHER),  # SYMBOL_DOES_NOT_MATCH_STATUS
    -1221: _row("uuuR", Cause.OTHER),  # INVALID_SBE_MESSAGE_FIELD
    # 20xx: orders and the account.
    -2010: _row("uuuu"),  # NEW_ORDER_REJECTED: the text decides
    -2011: _row("uuuu"),  # CANCEL_REJECTED: gone, filled or never there, only a query tells
    -2013: _row("uuNu"),  # NO_SUCH_ORDER
    -2014: _row("RRRR", Cause.AUTH),  # BAD_API_KEY_FMT
    -2015: _row("RRRR", Cause.AUTH),  # REJECTED_MBX_KEY: key, address or permission
    -2016: _row("uuuR", Cause.OTHER),  # NO_TRADING_WINDOW: of tickers
    -2021: _row("uuuu"),  # cancel-replace half failed
    -2022: _row("uuuu"),  # cancel-replace failed: the order to cancel may be filled
    -2026: _row("uuuu"),  # ORDER_ARCHIVED: there was one
    -2035: _row("uuuR", Cause.OTHER),  # SUBSCRIPTION_ACTIVE
    -2036: _row("uuuR", Cause.OTHER),  # SUBSCRIPTION_INACTIVE
    -2038: _row("uuuu"),  # ORDER_AMEND_REJECTED: we never amend
    -2039: _row("uuuu"),  # CLIENT_ORDER_ID_INVALID
    -2042: _row("uuuR", Cause.OTHER),  # MAXIMUM_SUBSCRIPTION_IDS
    -4116: _row("Auuu"),  # DUPLICATED_CLIENT_ORDER_ID, of the futures side: the id is taken
}

# The engine's refusals share their codes, so only a whole text that we know is definitive.
TEXTS: dict[str, Row] = {
    "unknown order sent": _row("uuuu"),
    "duplicate order sent": _row("Auuu"),
    "market is closed": _row("Ruuu", Cause.MARKET_CLOSED),
    "account has insufficient balance for requested action": _row("Ruuu", Cause.BALANCE),
    "market orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "iceberg orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "stop loss orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "stop loss limit orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "take profit orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "take profit limit orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "order amend is not supported for this symbol": _row("uuuu"),
    "price * qty is zero or less": _row("Ruuu", Cause.FILTER),
    "icebergqty exceeds qty": _row("Ruuu", Cause.OTHER),
    "this action is disabled on this account": _row("Ruuu", Cause.AUTH),
    "this account may not place or cancel orders": _row("Ruuu", Cause.AUTH),
    "unsupported order combination": _row("Ruuu", Cause.OTHER),
    "order would trigger immediately": _row("Ruuu", Cause.OTHER),
    "cancel order is invalid. check origclordid and orderid": _row("uuuu"),
    "order would immediately match and take": _row("Ruuu", Cause.OTHER),
    "the relationship of the prices for the orders is not correct": _row("Ruuu", Cause.OTHER),
    "oco orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "quote order qty market orders are not support for this symbol": _row("Ruuu", Cause.OTHER),
    "trailing stop orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "order cancel-replace is not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "this symbol is not permitted for this account": _row("Ruuu", Cause.OTHER),
    "this symbol is restricted for this account": _row("Ruuu", Cause.OTHER),
    "order was not canceled due to cancel restrictions": _row("uuuu"),
    "rest api trading is not enabled": _row("Ruuu", Cause.AUTH),
    "websocket api trading is not enabled": _row("Ruuu", Cause.AUTH),
    "fix api trading is not enabled": _row("Ruuu", Cause.AUTH),
    "order book liquidity is less than lot_size filter minimum quantity": _row(
        "Ruuu", Cause.PRICE_BAND
    ),
    "order book liquidity is less than market_lot_size filter minimum quantity": _row(
        "Ruuu", Cause.PRICE_BAND
    ),
    "order book liquidity is less than symbol minimum quantity": _row("Ruuu", Cause.PRICE_BAND),
    "order amend (quantity increase) is not supported": _row("uuuu"),
    "the requested action would change no state; rejecting": _row("uuuu"),
    "pegged orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "this order type may not use pegged price": _row("Ruuu", Cause.OTHER),
    "this price peg cannot be used with this order type": _row("Ruuu", Cause.OTHER),
    "order book liquidity is too low for this pegged order": _row("Ruuu", Cause.PRICE_BAND),
    "opo orders are not supported for this symbol": _row("Ruuu", Cause.OTHER),
    "order amend (pending opo order) is not supported": _row("uuuu"),
    # Not in the list: the same refusal in today's words, and those of numbers that are none.
    "stop price would trigger immediately": _row("Ruuu", Cause.OTHER),
    "invalid quantity": _row("Ruuu", Cause.FILTER),
    "invalid price": _row("Ruuu", Cause.FILTER),
    "filter failure: price_filter": _row("Ruuu", Cause.FILTER),
    "filter failure: percent_price": _row("Ruuu", Cause.PRICE_BAND),
    "filter failure: percent_price_by_side": _row("Ruuu", Cause.PRICE_BAND),
    "filter failure: price_range": _row("Ruuu", Cause.PRICE_BAND),
    "filter failure: lot_size": _row("Ruuu", Cause.FILTER),
    "filter failure: min_notional": _row("Ruuu", Cause.FILTER),
    "filter failure: notional": _row("Ruuu", Cause.FILTER),
    "filter failure: iceberg_parts": _row("Ruuu", Cause.FILTER),
    "filter failure: market_lot_size": _row("Ruuu", Cause.FILTER),
    "filter failure: max_position": _row("Ruuu", Cause.FILTER),
    "filter failure: max_asset": _row("Ruuu", Cause.FILTER),
    "filter failure: max_num_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: max_num_algo_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: max_num_iceberg_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: max_num_order_amends": _row("Ruuu", Cause.FILTER),
    "filter failure: max_num_order_lists": _row("Ruuu", Cause.FILTER),
    "filter failure: trailing_delta": _row("Ruuu", Cause.FILTER),
    "filter failure: t_plus_sell": _row("Ruuu", Cause.FILTER),
    "filter failure: exchange_max_num_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: exchange_max_num_algo_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: exchange_max_num_iceberg_orders": _row("Ruuu", Cause.FILTER),
    "filter failure: exchange_max_num_order_lists": _row("Ruuu", Cause.FILTER),
}
_TOLD_BY_TEXT = frozenset({-1010, -1013, -2010})
# The request "didn't reach the Matching Engine": so it is with a filter of next year too.
_BEFORE_MATCHING = -1013
_FILTER_FAILURE = re.compile(r"filter failure: [a-z_]+", re.ASCII)
_NEW_FILTER = _row("Ruuu", Cause.FILTER)

# What a status means where no code came with it; every 5xx says nothing, whatever its body says.
STATUSES: dict[int, Row] = {
    401: _row("uuRR", Cause.AUTH),
    403: _row("uuLL"),  # a page of the firewall, from somewhere on the way
    408: _row("uuuu"),
    409: _row("uuuu"),  # cancel-replace half failed
    418: _row("LLLL"),  # banned; like 429 answered before the request is processed
    429: _row("LLLL"),
}
# These speak before any code in the body.
_FINAL_STATUSES = frozenset({403, 408, 409})
_RATE_STATUSES = frozenset({418, 429})


def classify(evidence: SendEvidence, action: Action = Action.CREATE) -> Classified:
    """Return what one outcome proves; how far the request got comes before what was said."""
    verdict, cause = _judge(evidence, action)
    return Classified(verdict, cause, _describe(evidence))


def _judge(evidence: SendEvidence, action: Action) -> tuple[Verdict, Cause]:
    if evidence.phase is SendPhase.NOT_SENT:
        return Verdict.NOT_SENT, Cause.NONE
    if evidence.phase is SendPhase.SENT:
        return Verdict.UNKNOWN, Cause.NONE
    status = evidence.http_status or 0
    if 200 <= status < 300:
        return (Verdict.ACK if evidence.report is not None else Verdict.UNKNOWN), Cause.NONE
    row = _row_of(status, evidence.code, evidence.message)
    verdict = row.verdict(action)
    return verdict, row.cause if verdict is Verdict.REJECTED else Cause.NONE


def _row_of(status: int, code: int | None, message: str) -> Row:
    if not 400 <= status < 500:
        return _SILENT
    if code is None or status in _FINAL_STATUSES:
        return STATUSES.get(status, _SILENT)
    row = CODES.get(code, _SILENT)
    if status in _RATE_STATUSES and row.create is not Verdict.RATE_LIMITED:
        # A refusal for the rate and a code that speaks of something else contradict each other.
        return _SILENT
    return _row_of_text(code, _plain(message)) if code in _TOLD_BY_TEXT else row


def _row_of_text(code: int, text: str) -> Row:
    if code == _BEFORE_MATCHING and _FILTER_FAILURE.fullmatch(text):
        return TEXTS.get(text, _NEW_FILTER)
    return TEXTS.get(text, _SILENT)


def _plain(message: str) -> str:
    words = re.sub(r"[`\"]", "", message).lower()
    return " ".join(words.split()).rstrip(" .;")


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
