"""The sign of life on disk: written by the agent, read by `umbra health` and health checks."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_FILE = "heartbeat.json"
AGE_S_MAX = 15.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether stops are watched, and the sentence that says so."""

    is_healthy: bool
    text: str


def write(data_dir: Path, at: datetime, *, is_healthy: bool, note: str) -> None:
    """Replace the sign of life atomically."""
    target = data_dir / _FILE
    scratch = target.with_suffix(".tmp")
    record = {"at": at.isoformat(), "pid": os.getpid(), "is_healthy": is_healthy, "note": note}
    scratch.write_text(json.dumps(record))
    scratch.replace(target)


def check(data_dir: Path, now: datetime) -> Verdict:
    """Read the sign of life: older than 15 s means that nobody watches."""
    try:
        record = json.loads((data_dir / _FILE).read_text())
        age_s = (now - datetime.fromisoformat(record["at"])).total_seconds()
    except (OSError, ValueError, KeyError):
        return Verdict(False, f"no sign of life in {data_dir}: stops are not watched")
    if age_s > AGE_S_MAX:
        return Verdict(False, f"last sign of life {age_s:.0f} s ago: stops are not watched")
    if not record.get("is_healthy", False):
        return Verdict(False, f"running, but not well: {record.get('note', 'no reason given')}")
    return Verdict(True, f"healthy: {record.get('note', '')}, {age_s:.0f} s ago")
