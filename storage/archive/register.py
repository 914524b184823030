"""What each series has held: so that a month which vanished or was moved away is not forgotten.

One file for the whole archive, written after the months that it tells of. A kill in between leaves
it behind them and never ahead, so that it calls nothing lost which was never there; the next
writing of such a month mends it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from storage.archive import durable
from trading.candles.series import SeriesName
from trading.candles.spans import Span, unite

REGISTER = "register.json"


class Register:
    """The spans that each series has held, as a file tells them."""

    def __init__(self, content: bytes) -> None:
        digest, _, told = content.partition(b"\n")
        self.is_believed = digest == _digest(told)
        """Whether it is what was written; one that is not tells nothing."""
        self._spans = dict(_read(told)) if self.is_believed else {}

    def names(self) -> list[SeriesName]:
        """Return every series that has held something, in order."""
        return sorted(self._spans)

    def of(self, name: SeriesName) -> tuple[Span, ...]:
        """Return what a series has held, in order."""
        return self._spans.get(name, ())


class RegisterReader:
    """Reads the register again whenever it has changed."""

    def __init__(self, root: Path) -> None:
        self._path = root / REGISTER
        self._seen: tuple[tuple[int, int, int] | None, Register] = (None, Register(b""))

    def now(self) -> Register | None:
        """Return what it tells now, None where an archive has none yet."""
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._seen[0] != mark:
                self._seen = (mark, Register(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        return self._seen[1]


class RegisterFile:
    """The writer's end of the register."""

    def __init__(self, root: Path) -> None:
        self._path = root / REGISTER
        register = RegisterReader(root).now()
        self.is_new = register is None or not register.is_believed
        """Whether what the months hold has to be told to it first."""
        self._spans = {name: register.of(name) for name in register.names()} if register else {}
        self._is_changed = False

    def note(self, name: SeriesName, spans: Iterable[Span]) -> None:
        """Remember that a series holds these spans, too; durable by the next `write`."""
        before = self._spans.get(name, ())
        self._put(name, unite((*before, *spans), name.length_ms))

    def forget(self, name: SeriesName, but: tuple[Span, ...]) -> None:
        """Remember no more of a series than these spans; durable by the next `write`."""
        self._put(name, but)

    def write(self) -> None:
        """Make durable what was noted since; nothing is written where nothing was."""
        if not self._is_changed:
            return
        told = json.dumps(list(map(_row, sorted(self._spans.items()))), separators=(",", ":"))
        content = told.encode()
        durable.write_whole(self._path, _digest(content) + b"\n" + content)
        self._is_changed = False

    def _put(self, name: SeriesName, spans: tuple[Span, ...]) -> None:
        if spans == self._spans.get(name, ()):
            return
        self._spans[name] = spans
        if not spans:
            del self._spans[name]
        self._is_changed = True


def _read(told: bytes) -> Iterator[tuple[SeriesName, tuple[Span, ...]]]:
    for exchange, symbol, timeframe, spans in json.loads(told):
        yield SeriesName(exchange, symbol, timeframe), tuple(Span(*span) for span in spans)


def _row(item: tuple[SeriesName, tuple[Span, ...]]) -> list[Any]:
    name, spans = item
    ends = [[span.first_ms, span.last_ms] for span in spans]
    return [name.exchange, name.symbol, name.timeframe, ends]


def _digest(told: bytes) -> bytes:
    return hashlib.sha256(told).hexdigest().encode()
