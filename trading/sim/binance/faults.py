"""Faults on demand: what goes wrong with which request, how often, and how often it did."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from trading.domain.errors import Refused

ORDER_PATH = "/api/v3/order"
_SECONDS_USUAL = {
    "delay": 1.0,
    "stall_stream": 10.0,
    "query_lag": 5.0,
    "late_match": 5.0,
    "ban": 30.0,
}
# Those that act at once; the others wait for a request that fits.
IMMEDIATE = frozenset({"disconnect", "announce_end", "stall_stream", "terminate_stream", "ban"})
ON_ORDERS = frozenset({"query_lag", "late_match"})
ON_REQUESTS = frozenset(
    {"drop_response", "delay", "status", "error_code", "html200", "truncated", "empty_object"}
)
KINDS = IMMEDIATE | ON_ORDERS | ON_REQUESTS

_MATCHERS = frozenset({"path", "method", "symbol", "skip"})
_LASTING = frozenset({"seconds", "ms"})
_ARGUMENTS: dict[str, frozenset[str]] = {
    "drop_response": _MATCHERS | {"accept"},
    "delay": _MATCHERS | _LASTING | {"when"},
    "status": _MATCHERS | {"status", "body", "accept", "retry_after"},
    "error_code": _MATCHERS | {"code", "msg", "status", "accept"},
    "html200": _MATCHERS | {"accept"},
    "truncated": _MATCHERS | {"accept"},
    "empty_object": _MATCHERS | {"accept"},
    "query_lag": _LASTING | {"symbol", "skip"},
    "late_match": _LASTING | {"symbol", "skip", "answer"},
    "disconnect": frozenset({"scope", "code", "abort"}),
    "announce_end": frozenset({"scope"}),
    "stall_stream": _LASTING | {"scope", "frozen_event_time"},
    "terminate_stream": frozenset(),
    "ban": _LASTING,
}


@dataclass(slots=True)
class Fault:
    """One fault; `times` None means until it is cleared. `effects` counts what it did in detail."""

    number: int
    kind: str
    times: int | None
    args: Mapping[str, Any]
    fired: int = 0
    effects: int = 0
    skipped: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it will not act any more."""
        return self.times is not None and self.fired >= self.times

    @property
    def seconds(self) -> float:
        """How long it lasts, from `seconds` or `ms`."""
        if "ms" in self.args:
            return float(self.args["ms"]) / 1_000
        return float(self.args.get("seconds", _SECONDS_USUAL.get(self.kind, 0.0)))

    def fits(self, method: str, path: str, symbol: str) -> bool:
        """Whether a request is one that this fault is meant for; by default a new order."""
        wanted_path = self.args.get("path", ORDER_PATH)
        usual = "POST" if "path" not in self.args else "*"
        wanted_method = str(self.args.get("method", usual)).upper()
        wanted_symbol = str(self.args.get("symbol", symbol)).upper().replace("/", "")
        return (
            wanted_path in {path, "*"}
            and wanted_method in {method, "*"}
            and wanted_symbol == symbol
        )

    def shown(self) -> dict[str, Any]:
        """Return it as the control endpoint lists it."""
        return {
            "id": self.number,
            "kind": self.kind,
            "times": self.times,
            "args": dict(self.args),
            "fired": self.fired,
            "effects": self.effects,
            "active": not self.is_spent,
        }


@dataclass(slots=True)
class Faults:
    """All faults ever asked for, in order."""

    known: list[Fault] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, kind: Any, times: Any, args: Any) -> Fault:
        """Read and add a fault; Refused says what is wrong with it."""
        if kind not in KINDS:
            raise Refused(
                f"kind should be one of {' '.join(sorted(KINDS))}, was {kind!r}",
                example="drop_response",
            )
        if times is not None and (not isinstance(times, int) or isinstance(times, bool)):
            raise Refused(f"times should be a whole number or null, was {times!r}", example="1")
        if times is not None and times < 1:
            raise Refused(f"times should be at least 1 or null, was {times}", example="1")
        if not isinstance(args, dict):
            raise Refused(f"args should be an object, was {args!r}", example="{}")
        _check_args(kind, args)
        fault = Fault(next(self._numbers), kind, times, args)
        self.known.append(fault)
        return fault

    def clear(self) -> None:
        """End all faults; what they did stays listed."""
        for fault in self.known:
            fault.times = fault.fired

    def take(self, kinds: frozenset[str], method: str, path: str, symbol: str) -> list[Fault]:
        """Return the faults that act on this request, each counted as fired."""
        taken = []
        for fault in self.known:
            if fault.kind not in kinds or fault.is_spent or not fault.fits(method, path, symbol):
                continue
            if fault.skipped < int(fault.args.get("skip", 0)):
                fault.skipped += 1
                continue
            fault.fired += 1
            taken.append(fault)
        return taken


def _check_args(kind: str, args: Mapping[str, Any]) -> None:
    allowed = _ARGUMENTS[kind]
    unknown = sorted(set(args) - allowed)
    if unknown:
        raise Refused(
            f"args of {kind} should be among {' '.join(sorted(allowed)) or 'nothing'},"
            f" had {' '.join(unknown)}"
        )
    for name, (check, rule) in _RULES.items():
        if name in args and not check(args[name]):
            raise Refused(f"{name} should be {rule}, was {args[name]!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_RULES = {
    "seconds": (_is_number, "a number of at least 0"),
    "ms": (_is_number, "a number of at least 0"),
    "retry_after": (_is_number, "a number of at least 0"),
    "skip": (lambda v: _is_whole(v) and v >= 0, "a whole number of at least 0"),
    "status": (lambda v: _is_whole(v) and 200 <= v <= 599, "an HTTP status"),
    "code": (_is_whole, "a whole number"),
    "accept": (lambda v: isinstance(v, bool), "true or false"),
    "abort": (lambda v: isinstance(v, bool), "true or false"),
    "frozen_event_time": (lambda v: isinstance(v, bool), "true or false"),
    "when": (lambda v: v in {"before", "after"}, "before or after"),
    "answer": (lambda v: v in {"accept", "timeout"}, "accept or timeout"),
    "scope": (lambda v: v in {"market", "user", "all"}, "market, user or all"),
    "path": (lambda v: isinstance(v, str), "a text"),
    "method": (lambda v: isinstance(v, str), "a text"),
    "symbol": (lambda v: isinstance(v, str), "a text"),
    "msg": (lambda v: isinstance(v, str), "a text"),
    "body": (lambda v: isinstance(v, str), "html, json or a text"),
}
