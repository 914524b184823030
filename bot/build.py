"""Which program runs, and how it is set: short names that differ when either differs."""

import hashlib
from functools import cache
from pathlib import Path

from bot.config import Settings, secret_names

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("bot", "trading", "storage")
_BUILD_DIGITS, _VALUE_DIGITS = 12, 8
# Where it keeps its data, and when it should die for a test, change nothing that it does.
_NO_DIFFERENCE = frozenset({"data_dir", "failpoint"})


@cache
def build() -> str:
    """Return twelve digits of the SHA-256 of every module of ours, by its path."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_ROOT)} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:_BUILD_DIGITS]


def configured(settings: Settings) -> tuple[str, ...]:
    """Return `NAME=digest` of every setting that is not at its default, in order.

    Of a secret only that it is set: a digest of a short one could be tried out.
    """
    found, secrets = [], secret_names()
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name in _NO_DIFFERENCE or value == field.get_default(call_default_factory=True):
            continue
        spelled = f"UMBRA_{name.upper()}"
        found.append(f"{spelled}={'set' if spelled in secrets else _digest(repr(value))}")
    return tuple(sorted(found))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_VALUE_DIGITS]
