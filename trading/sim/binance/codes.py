"""Binance's error codes with their messages and HTTP status."""

from collections.abc import Mapping
from typing import Any

from trading.domain.errors import Refused


class ApiError(Refused):
    """An answer other than success; `data` is what cancel-replace adds."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 400,
        data: Mapping[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """Return the JSON object that Binance answers with."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            body["data"] = dict(self.data)
        return body


MESSAGES = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1002: "You are not authorized to execute this request.",
    -1003: "Too many requests queued.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: (
        "Timeout waiting for response from backend server. Send status unknown;"
        " execution status unknown."
    ),
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1013: "Filter failure: LOT_SIZE",
    -1015: "Too many new orders.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1101: "Duplicate values for a parameter detected.",
    -1127: "More than 24 hours between startTime and endTime.",
    -2010: "Account has insufficient balance for requested action.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2021: "Order cancel-replace partially failed.",
    -2022: "Order cancel-replace failed.",
    -2035: "User Data Stream subscription already active.",
    -2036: "User Data Stream subscription not active.",
}
_STATUSES = {-1003: 429, -1007: 504, -1008: 503, -1015: 429, -2014: 401, -2015: 401, -2021: 409}


def known(code: int, status: int | None = None) -> ApiError:
    """Return the error of a code with Binance's usual message and status."""
    message = MESSAGES.get(code, "An unknown error occurred while processing the request.")
    return ApiError(code, message, status or status_of(code))


def status_of(code: int) -> int:
    """Return the HTTP status that comes with a code."""
    return _STATUSES.get(code, 400)


def missing(name: str) -> ApiError:
    """A mandatory parameter was not sent."""
    return ApiError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def illegal(name: str, legal: str) -> ApiError:
    """A parameter holds characters that it should not."""
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def not_required(name: str) -> ApiError:
    """A parameter was sent that this order type does not take."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def unread(sent: int, read: int) -> ApiError:
    """More parameters were sent than this request takes."""
    return ApiError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def filter_failure(name: str) -> ApiError:
    """An order breaks one of the symbol's filters."""
    return ApiError(-1013, f"Filter failure: {name}")


def not_taken(message: str) -> ApiError:
    """The matching engine did not take the order."""
    return ApiError(-2010, message)
