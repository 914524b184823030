"""One month of a series as the bytes of a Parquet file, which depend on what it holds alone.

The file's metadata says whose candles these are, which spans are claimed, and a SHA-256 of all its
bytes, those of the SHA-256 itself read as zeros. So a file that was torn, bent or moved elsewhere
is noticed before anything of it is believed.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.archive.layout import Month
from trading.candles.grid import is_on_grid
from trading.candles.series import (
    COLUMNS,
    OPTIONAL,
    TIME,
    Candles,
    SeriesName,
    candles_of,
    no_candles,
)
from trading.candles.spans import Span, clip, gaps, unite
from trading.domain.errors import Refused

_VERSION = 2
_DIGEST_DIGITS = 64
_DIGEST_KEY = b'"sha256":"'
_METADATA = b"umbra"
# A Parquet file begins and ends with these; between them are at least its footer and its length.
_MAGIC, _SHORTEST = b"PAR1", 12


class PartitionDamaged(Exception):
    """A file is not what was written there; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """The candles of a month, and the spans in which every candle was asked for."""

    candles: Candles
    spans: tuple[Span, ...]

    def equals(self, other: "Partition") -> bool:
        """Whether both would be the same bytes."""
        return self.spans == other.spans and self.candles.equals(other.candles)

    def within(self, span: Span) -> "Partition":
        """Return what of it opens in a span whose ends are on the grid."""
        bounds = (span.first_ms, span.last_ms + 1)
        first, past = np.searchsorted(self.candles.open_time_ms, bounds)
        return Partition(self.candles.take(slice(first, past)), clip(self.spans, span))


def encode(name: SeriesName, month: Month, partition: Partition) -> bytes:
    """Return the file's bytes; the same candles and spans always give the same."""
    columns = {
        column: values
        for column in COLUMNS
        if not np.isnan(values := getattr(partition.candles, column)).all()
        or column not in OPTIONAL
    }
    spans = [[span.first_ms, span.last_ms] for span in partition.spans]
    facts = {
        "version": _VERSION,
        "exchange": name.exchange,
        "symbol": name.symbol,
        "timeframe": name.timeframe,
        "month": str(month),
        "spans": spans,
    }
    content = parquet_bytes(columns, {**facts, "sha256": "0" * _DIGEST_DIGITS})
    at = _digest_at(content)
    return content[:at] + _digest(content, at) + content[at + _DIGEST_DIGITS :]


def parquet_bytes(columns: Mapping[str, "np.ndarray[Any, Any]"], facts: Mapping[str, Any]) -> bytes:
    """Return a Parquet file of columns with facts about it as canonical JSON."""
    # Heavy, and most commands never need it.
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(dict(columns)).replace_schema_metadata({_METADATA: _canonical(facts)})
    encoding = {
        name: "DELTA_BINARY_PACKED" if name == TIME else "BYTE_STREAM_SPLIT"
        for name in columns
        if name in COLUMNS
    }
    file = io.BytesIO()
    parquet.write_table(
        table,
        file,
        row_group_size=max(1, table.num_rows),
        compression="lz4",
        use_dictionary=False,
        column_encoding=encoding,
        write_page_checksum=True,
    )
    return file.getvalue()


def decode(path: Path, name: SeriesName, month: Month) -> Partition:
    """Read a month and prove that it is what was written; raises PartitionDamaged.

    Without a file, as while a writer takes the series out, it holds nothing.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Partition(no_candles(), ())
    except OSError as error:
        raise PartitionDamaged(_disk_says(error)) from error
    at = _digest_at(content)
    if at < 0 or content[at : at + _DIGEST_DIGITS] != _digest(content, at):
        raise PartitionDamaged(_why_not_proven(content))
    facts, columns = read_parquet(content, is_proven=True)
    expected = {
        "version": _VERSION,
        "exchange": name.exchange,
        "symbol": name.symbol,
        "timeframe": name.timeframe,
        "month": str(month),
    }
    for fact, value in expected.items():
        if facts.get(fact) != value:
            raise PartitionDamaged(f"{fact} should be {value}, was {facts.get(fact)!r}")
    try:
        spans = tuple(Span(first_ms, last_ms) for first_ms, last_ms in facts["spans"])
        partition = Partition(candles_of(columns), spans)
    except (KeyError, TypeError, ValueError, Refused) as error:
        raise PartitionDamaged("it holds something else than a month of candles") from error
    if problem := misplaced(partition, month.opens(name.length_ms), name.length_ms):
        raise PartitionDamaged(problem)
    return partition


def misplaced(partition: Partition, within: Span, length_ms: int) -> str | None:
    """Say what is wrong with times and spans of a month, None when nothing is."""
    opens_ms = partition.candles.open_time_ms
    if (np.diff(opens_ms) <= 0).any():
        return "its candles are not in order of time"
    if not is_on_grid(opens_ms, length_ms).all():
        return "a candle does not open on the grid"
    if unite(clip(partition.spans, within), length_ms) != partition.spans:
        return "its spans are not those of the month"
    missing = sum(gap.count(length_ms) for gap in gaps(opens_ms, partition.spans, length_ms))
    if sum(span.count(length_ms) for span in partition.spans) != len(opens_ms) + missing:
        return "a candle lies outside its spans"
    return None


def read_parquet(
    source: Path | bytes, *, is_proven: bool = False
) -> tuple[dict[str, Any], dict[str, "np.ndarray[Any, Any]"]]:
    """Read any Parquet file and our facts about it, none in others'; raises PartitionDamaged.

    Its pages are proven by checksums of their own, unless all of it is proven already.
    """
    import pyarrow as pa
    from pyarrow import ArrowException, parquet

    opened = pa.BufferReader(source) if isinstance(source, bytes) else source
    try:
        with parquet.ParquetFile(
            opened, pre_buffer=False, page_checksum_verification=not is_proven
        ) as file:
            table = file.read(use_threads=False)
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
    except (OSError, ValueError, ArrowException) as error:
        raise PartitionDamaged(_why_unreadable(source)) from error
    try:
        facts = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    except ValueError as error:
        raise PartitionDamaged("its metadata is not ours") from error
    if not isinstance(facts, dict):
        raise PartitionDamaged("its metadata is not ours")
    return facts, columns


def _why_unreadable(source: Path | bytes) -> str:
    """Say what a file lacks; what the library says is about its own insides."""
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        return _disk_says(error)
    if not content:
        return "it is empty"
    if not content.startswith(_MAGIC):
        return "it is no Parquet file"
    if not content.endswith(_MAGIC) or len(content) < _SHORTEST:
        return "its end is missing, as after a copy that was broken off"
    return "its content was changed since it was written"


def _disk_says(error: OSError) -> str:
    return f"the disk does not give it ({error.strerror or type(error).__name__})"


def _digest_at(content: bytes) -> int:
    """Return where the digest is written, below 0 where none is."""
    # The last, for facts lie behind all candles, and none of ours contains this key.
    at = content.rfind(_DIGEST_KEY)
    return at + len(_DIGEST_KEY) if at >= 0 else -1


def _digest(content: bytes, at: int) -> bytes:
    whole = memoryview(content)
    digest = hashlib.sha256(whole[:at])
    digest.update(b"0" * _DIGEST_DIGITS)
    digest.update(whole[at + _DIGEST_DIGITS :])
    return digest.hexdigest().encode()


def _why_not_proven(content: bytes) -> str:
    try:
        facts, _ = read_parquet(content)
    except PartitionDamaged as damage:
        return str(damage)
    version = facts.get("version")
    if version != _VERSION:
        return f"version should be {_VERSION}, was {version!r}"
    return "its checksum does not hold"


def _canonical(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
