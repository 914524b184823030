"""Signs of life on disk: the agent's, for `umbra health` and the watchdog; and the watchdog's.

A sign is a JSON object that spaces fill up to whole blocks, so that on a full disk the next one has
room where the last one lies. Its first value is a checksum of the others: a reader tells a sign
that is being written over from a whole one.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.small_files import replace_bytes, write_over

_AGENT = "heartbeat.json"
_WATCHDOG = "watchdog.json"
AGE_S_MAX = 15.0
# What a file system gives at once: room that a full disk has given already.
_BLOCK_BYTES = 4096
_CHECK = "crc"
# Writing one block over takes microseconds.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of life; `holdings` says in a line each what stops are watched for."""

    at: datetime
    is_healthy: bool
    note: str
    is_stopped: bool = False
    holdings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether stops are watched, and the sentence that says so."""

    is_healthy: bool
    text: str


def write(
    data_dir: Path,
    at: datetime,
    *,
    is_healthy: bool,
    note: str,
    is_stopped: bool = False,
    holdings: Sequence[str] = (),
) -> None:
    """Replace the sign of life; the last one of an orderly end says that it is one.

    On a full disk it is written over the one before, with as many holdings as have room there.
    """
    record = {
        "at": at.isoformat(),
        "pid": os.getpid(),
        "is_healthy": is_healthy,
        "note": note,
        "is_stopped": is_stopped,
        "holdings": list(holdings),
    }
    _replace(data_dir / _AGENT, record)


def write_watchdog(data_dir: Path, at: datetime, *, is_stopped: bool = False) -> None:
    """Replace the watchdog's own sign of life."""
    record = {"at": at.isoformat(), "is_healthy": not is_stopped, "is_stopped": is_stopped}
    _replace(data_dir / _WATCHDOG, record)


def has_lived(data_dir: Path) -> bool:
    """Whether an agent has lived here, as far as anybody can tell."""
    try:
        (data_dir / _AGENT).lstat()
    except OSError:
        return False
    return True


def read(data_dir: Path) -> Sign | None:
    """Return the agent's newest sign of life, None when there is none that can be read."""
    return _read(data_dir / _AGENT)


def read_watchdog(data_dir: Path) -> Sign | None:
    """Return the watchdog's newest sign of life, None when it has never run here."""
    return _read(data_dir / _WATCHDOG)


def _replace(target: Path, record: Mapping[str, object]) -> None:
    try:
        replace_bytes(target, _framed(record))
    except OSError:
        if not target.exists():
            raise
        room = max(target.stat().st_size, 1)
        write_over(target, _framed(record, -(-room // _BLOCK_BYTES)))


def _framed(record: Mapping[str, object], blocks: int | None = None) -> bytes:
    """Return a sign as it lies on disk; of what has no room in `blocks` the last holdings go."""
    body = json.dumps({_CHECK: _checksum(record), **record}).encode()
    needed = -(-len(body) // _BLOCK_BYTES)
    holdings = record.get("holdings")
    if blocks is not None and needed > blocks and isinstance(holdings, list) and holdings:
        return _framed({**record, "holdings": holdings[:-1]}, blocks)
    return body.ljust(max(needed, blocks or 0) * _BLOCK_BYTES)


def _checksum(record: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(record).encode())


def _read(path: Path) -> Sign | None:
    for _ in range(_LOOKS):
        found = _read_once(path)
        if found is not None:
            return found
    return None


def _read_once(path: Path) -> Sign | None:
    try:
        record = json.loads(path.read_text())
        # An older program wrote none.
        checksum = record.pop(_CHECK, None)
        if checksum is not None and checksum != _checksum(record):
            return None
        return Sign(
            at=datetime.fromisoformat(record["at"]),
            is_healthy=record.get("is_healthy") is True,
            note=str(record.get("note", "no reason given")),
            is_stopped=record.get("is_stopped") is True,
            holdings=tuple(str(line) for line in record.get("holdings", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def check(data_dir: Path, now: datetime, *, is_served: bool) -> Verdict:
    """Judge the sign of life: older than 15 s, or with nobody there, means that nobody watches.

    `is_served` says whether a process listens on the data directory's socket.
    """
    sign = read(data_dir)
    if sign is None:
        return Verdict(False, _without_sign(data_dir))
    age_s = (now - sign.at).total_seconds()
    if sign.is_stopped:
        return Verdict(False, f"stopped in good order {age_s:.0f} s ago: stops are not watched")
    if age_s > AGE_S_MAX:
        return Verdict(False, f"last sign of life {age_s:.0f} s ago: stops are not watched")
    if not is_served:
        return Verdict(
            False, f"nobody is there, last sign of life {age_s:.0f} s ago: stops are not watched"
        )
    if not sign.is_healthy:
        return Verdict(False, f"running, but not well: {sign.note}")
    return Verdict(True, f"healthy: {sign.note}, {age_s:.0f} s ago")


def _without_sign(data_dir: Path) -> str:
    try:
        (data_dir / _AGENT).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return (
            f"the sign of life in {data_dir} cannot be read ({error.strerror}): whether stops are "
            "watched is not known"
        )
    return f"no sign of life in {data_dir}: stops are not watched"
