"""Faults that tests order: each names what goes wrong, how often, and for which method."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from bot.localchat.errors import BotApiError, ClientError
from bot.localchat.facts import Json

FAULTS_MAX: Final = 1_000
TIMES_MAX: Final = 1_000_000
DELAY_MS_MAX: Final = 600_000
DELAY_MS_USUAL: Final = 1_000

# What each kind does to a request of the bot; the state changes (block, duplicate_update) are
# not requests and are applied by the client side at once.
REQUEST_KINDS: Final = frozenset(
    {
        *("error", "drop", "delay", "timeout_after_accept", "down", "conflict"),
        *("unauthorized", "malformed"),
    }
)


_ARGS: Final = frozenset(
    {
        *("method", "code", "description", "retry_after", "migrate_to_chat_id"),
        *("ms", "seconds", "body"),
    }
)


@dataclass(slots=True)
class Fault:
    """An ordered fault: `times` is what is left, `fired` what has happened."""

    fault_id: int
    kind: str
    times: int
    args: Json
    until_s: float = math.inf
    fired: int = 0

    def matches(self, method: str) -> bool:
        """Whether the fault is for a call of this method."""
        wanted = self.args.get("method")
        if wanted is None:
            return self.kind != "conflict" or method.lower() == "getupdates"
        names = wanted if isinstance(wanted, list) else [wanted]
        return method.lower() in {str(name).lower() for name in names}

    def error(self) -> BotApiError | None:
        """The refusal this fault answers with, for kinds that answer with one."""
        if self.kind == "conflict":
            return BotApiError(
                "Conflict: terminated by other getUpdates request;"
                " make sure that only one bot instance is running",
                409,
            )
        if self.kind == "unauthorized":
            return BotApiError("Unauthorized", 401)
        if self.kind != "error":
            return None
        code = self.args.get("code", 500)
        retry_after_s = self.args.get("retry_after", 1 if code == 429 else None)
        usual = _DESCRIPTIONS.get(code, f"Error {code}").format(retry_after_s)
        return BotApiError(
            str(self.args.get("description", usual)),
            code,
            retry_after_s=retry_after_s,
            migrate_to_chat_id=self.args.get("migrate_to_chat_id"),
        )

    def as_json(self) -> Json:
        """The fault as GET /client/faults lists it."""
        return {
            "id": self.fault_id,
            "kind": self.kind,
            "times": self.times,
            "args": self.args,
            "fired": self.fired,
        }


_DESCRIPTIONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests: retry after {}",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


@dataclass(slots=True)
class FaultPlan:
    """The faults in the order they were asked for; spent ones stay listed for assertions."""

    faults: list[Fault] = field(default_factory=list)
    _count: int = 0

    def add(self, kind: str, times: int, args: Any, now_s: float) -> Fault:
        """Order a fault, or explain why it makes no sense; `down` may last args.seconds."""
        if kind not in REQUEST_KINDS:
            known = ", ".join(sorted(REQUEST_KINDS))
            raise ClientError(f"kind should be one of {known}, was {kind[:40]!r}")
        self._count += 1
        fault = Fault(self._count, kind, times, _checked(kind, args))
        if kind == "down" and "ms" in fault.args:
            fault.times, fault.until_s = TIMES_MAX, now_s + fault.args["ms"] / 1000
        self.faults.append(fault)
        del self.faults[: max(0, len(self.faults) - FAULTS_MAX)]
        return fault

    def take(self, method: str, now_s: float) -> Fault | None:
        """The first fault that hits this call, counted as fired; `now_s` is monotonic."""
        for fault in self.faults:
            if fault.times > 0 and now_s < fault.until_s and fault.matches(method):
                fault.times -= 1
                fault.fired += 1
                return fault
        return None

    def clear(self) -> None:
        """Call off what has not happened yet."""
        for fault in self.faults:
            fault.times = 0


def _checked(kind: str, args: Any) -> Json:
    if args is None:
        args = {}
    if not isinstance(args, dict):
        raise ClientError("args should be a JSON object")
    unknown = sorted(set(args) - _ARGS)
    if unknown:
        known = ", ".join(sorted(_ARGS))
        raise ClientError(f"args should be among {known}, had {unknown[0][:40]!r}")
    if "seconds" in args:
        args = _in_ms(args)
    _check_whole(args, "code", 400, 599)
    _check_whole(args, "retry_after", 0, 10**6)
    _check_whole(args, "migrate_to_chat_id", -(10**15), 10**15)
    _check_whole(args, "ms", 0, DELAY_MS_MAX)
    return {"ms": DELAY_MS_USUAL, **args} if kind == "delay" else args


def _in_ms(args: Json) -> Json:
    seconds = args["seconds"]
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if "ms" in args or not is_number or not 0 <= seconds <= DELAY_MS_MAX / 1000:
        most_s = DELAY_MS_MAX // 1000
        raise ClientError(f"args.seconds should be from 0 to {most_s}, and without args.ms")
    return {**args, "ms": round(seconds * 1000)}


def _check_whole(args: Json, name: str, least: int, most: int) -> None:
    value = args.get(name)
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise ClientError(f"args.{name} should be a whole number from {least} to {most}")
