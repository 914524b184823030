"""Everything that happened to the money, as files for other programs: CSV and Parquet."""

import asyncio
import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from storage.codec import EVENT_CLASSES, encode
from trading.domain import events
from trading.domain.errors import Refused
from trading.domain.instrument import base_and_quote
from trading.domain.money import EXACT, plain
from trading.ports.storage import Journal

_PAGE = 2000
# A spreadsheet would run these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PARQUET_DIGITS = Decimal("1E-18")
_PARQUET_MAX = Decimal("1E+20")
_START = datetime(1970, 1, 1, tzinfo=UTC)

Cell = str | int | bool | Decimal | datetime | None
Row = dict[str, Cell]


class Format(Enum):
    """The kinds of files; the value is the file's ending."""

    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Table:
    """Which events make a table, and what its columns hold; no kinds means every event."""

    kinds: tuple[type[Any], ...]
    row: Callable[[Any], Row]
    columns: tuple[tuple[str, type[Any]], ...]


async def export(
    journal: Journal, table: str, path: Path, form: Format, since: datetime = _START
) -> int:
    """Write a table of the journal to `path`, whole or not at all, and return the number of rows.

    Tables are `fills`, `trades` (finished round trips), `trackers`, `audit` and `journal`
    (everything); another is Refused. Prices, profits and fees are in `quote`, which each row names;
    a fee whose worth nobody knew has none there. Times are UTC. CSV keeps every digit, Parquet 18
    decimals, which is all that an exchange has.
    """
    if table not in TABLES:
        raise Refused(f"table should be one of {' '.join(TABLES)}, was {table!r}", example="fills")
    wanted = TABLES[table]
    kind = _Csv if form is Format.CSV else _Parquet
    writer: _Unfinished = await asyncio.to_thread(kind, path, wanted)
    count = 0
    try:
        async for rows in _pages(journal, wanted, since):
            await asyncio.to_thread(writer.add, rows)
            count += len(rows)
        await asyncio.to_thread(writer.finish)
    finally:
        writer.discard()
    return count


async def _pages(journal: Journal, table: Table, since: datetime) -> AsyncIterator[list[Row]]:
    kinds = [name for name, kind in EVENT_CLASSES.items() if kind in table.kinds]
    after_seq = 0
    while page := await journal.events(after_seq, _PAGE, kinds):
        yield [
            {"seq": one.seq, "at": one.event.at, **table.row(one.event)}
            for one in page
            if one.event.at >= since
        ]
        after_seq = page[-1].seq


class _Unfinished(ABC):
    """A file that takes its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = path.with_name(f"{path.name}.unfinished")
        self._file = self._unfinished.open("wb")

    @abstractmethod
    def add(self, rows: Sequence[Row]) -> None: ...

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self.path)

    def discard(self) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)


class _Csv(_Unfinished):
    def __init__(self, path: Path, table: Table) -> None:
        super().__init__(path)
        self._names = [name for name, _ in table.columns]
        self._write([self._names])

    def add(self, rows: Sequence[Row]) -> None:
        self._write([_text(row[name]) for name in self._names] for row in rows)

    def _write(self, lines: Iterable[list[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())


class _Parquet(_Unfinished):
    def __init__(self, path: Path, table: Table) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        super().__init__(path)
        types = {
            str: pa.string(),
            int: pa.int64(),
            bool: pa.bool_(),
            Decimal: pa.decimal128(38, 18),
            datetime: pa.timestamp("us", tz="UTC"),
        }
        self._schema = pa.schema([(name, types[kind]) for name, kind in table.columns])
        self._writer = parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def add(self, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        kept = [{name: _rounded(cell) for name, cell in row.items()} for row in rows]
        self._writer.write_table(pa.Table.from_pylist(kept, schema=self._schema))

    def finish(self) -> None:
        self._writer.close()
        super().finish()

    def discard(self) -> None:
        self._writer.close()
        super().discard()


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return plain(cell)
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return str(cell)


def _rounded(cell: Cell) -> Cell:
    if not isinstance(cell, Decimal):
        return cell
    if abs(cell) >= _PARQUET_MAX:
        raise Refused(f"Parquet holds numbers below 10^20, was {cell}", example="/export fills")
    return cell.quantize(_PARQUET_DIGITS, context=EXACT)


def _fill(event: events.FillBooked) -> Row:
    fill = event.fill
    fees = fill.fees(event.base, event.quote)
    return {
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price": fill.price,
        "notional": fill.notional,
        "fee": fill.fee,
        "fee_asset": fill.fee_asset,
        "filled_at": fill.at,
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "intent_id": event.intent_id,
        "quote": event.quote,
        "fee_quote": None if fees.unpriced else fees.quote,
    }


def _round_trip(event: events.RoundTripClosed) -> Row:
    trip = event.round_trip
    return {
        "symbol": trip.symbol,
        "intent_id": trip.intent_id,
        "quantity": trip.quantity,
        "entry_price": trip.entry_price,
        "exit_price": trip.exit_price,
        "profit": trip.profit,
        "fees_quote": trip.fees_quote,
        "opened_at": trip.opened_at,
        "closed_at": trip.closed_at,
        "quote": base_and_quote(trip.symbol)[1],
        "fees_unpriced": " ".join(f"{plain(units)} {asset}" for asset, units in trip.fees_unpriced),
    }


def _tracker(event: events.TrackerChanged) -> Row:
    value, evidence = event.tracker, event.evidence
    return {
        "tracker_id": value.tracker_id,
        "symbol": value.symbol,
        "kind": value.spec.kind.value,
        "side": value.side.value,
        "change": event.change.value,
        "state": value.state.value,
        "quantity": value.quantity,
        "quote": value.quote,
        "level_price": value.level_price,
        "record_price": value.record_price,
        "stop_price": value.stop_price,
        "hard_stop_price": value.hard_stop_price,
        "evidence_price": evidence.price if evidence else None,
        "evidence_level": evidence.level if evidence else None,
        "evidence_rule": evidence.rule if evidence else None,
        "is_paused": value.is_paused,
        "reason": event.reason,
    }


def _facts(event: events.Event) -> Row:
    return {"kind": event.kind, "facts": encode(event)}


def _columns(**kinds: type[Any]) -> tuple[tuple[str, type[Any]], ...]:
    return (("seq", int), ("at", datetime), *kinds.items())


TABLES = {
    "fills": Table(
        (events.FillBooked,),
        _fill,
        _columns(
            **dict.fromkeys(("symbol", "side"), str),
            **dict.fromkeys(("quantity", "price", "notional", "fee"), Decimal),
            fee_asset=str,
            filled_at=datetime,
            **dict.fromkeys(("trade_id", "client_order_id", "intent_id", "quote"), str),
            fee_quote=Decimal,
        ),
    ),
    "trades": Table(
        (events.RoundTripClosed,),
        _round_trip,
        _columns(
            **dict.fromkeys(("symbol", "intent_id"), str),
            **dict.fromkeys(
                ("quantity", "entry_price", "exit_price", "profit", "fees_quote"), Decimal
            ),
            **dict.fromkeys(("opened_at", "closed_at"), datetime),
            **dict.fromkeys(("quote", "fees_unpriced"), str),
        ),
    ),
    "trackers": Table(
        (events.TrackerChanged,),
        _tracker,
        _columns(
            tracker_id=int,
            **dict.fromkeys(("symbol", "kind", "side", "change", "state"), str),
            **dict.fromkeys(
                (
                    *("quantity", "quote", "level_price", "record_price", "stop_price"),
                    *("hard_stop_price", "evidence_price", "evidence_level"),
                ),
                Decimal,
            ),
            evidence_rule=str,
            is_paused=bool,
            reason=str,
        ),
    ),
    # Who did what, and who tried to.
    "audit": Table(
        (
            *(events.Installed, events.ProcessStarted, events.ProcessStopped),
            *(events.TradingModeChanged, events.PersonChanged, events.AccessDenied),
            *(events.InvitationMade, events.InvitationClosed),
            *(events.ConfirmationAnswered, events.CommandExecuted, events.PositionAdjusted),
            events.FundsMoved,
            *(events.AlertRaised, events.AlertAcknowledged, events.AlertEnded),
            events.RecoveryReported,
        ),
        _facts,
        _columns(kind=str, facts=str),
    ),
    "journal": Table((), _facts, _columns(kind=str, facts=str)),
}
