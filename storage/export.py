"""Everything that happened to the money, as files for other programs: CSV and Parquet."""

import asyncio
import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from storage.codec import encode
from trading.domain import events
from trading.domain.errors import Refused
from trading.domain.money import plain
from trading.ports import Journal, Recorded

_PAGE = 2000
_START = datetime(1970, 1, 1, tzinfo=UTC)
# A spreadsheet would run these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | bool | Decimal | datetime | None


class Format(Enum):
    """The kinds of files; the value is the file's ending."""

    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class _Table:
    kinds: tuple[type[Any], ...]
    row: Callable[[Any], dict[str, Cell]]
    columns: tuple[tuple[str, type[Any]], ...]


async def export(
    journal: Journal, table: str, path: Path, form: Format, since: datetime = _START
) -> int:
    """Write a table of the journal to `path`, whole or not at all, and return the number of rows.

    Tables are `fills`, `round_trips`, `trackers` and `audit`; decimals are exact, times are UTC.
    Any other table is Refused.
    """
    if table not in TABLES:
        raise Refused(f"table should be one of {' '.join(TABLES)}, was {table!r}", example="fills")
    wanted = TABLES[table]
    rows = await _rows(journal, wanted, since)
    render = _csv if form is Format.CSV else _parquet
    await asyncio.to_thread(lambda: _replace(path, render(wanted, rows)))
    return len(rows)


async def _rows(journal: Journal, table: _Table, since: datetime) -> list[dict[str, Cell]]:
    kinds = [kind.__name__ for kind in table.kinds]
    rows: list[dict[str, Cell]] = []
    after_seq = 0
    while page := await journal.events(after_seq, _PAGE, kinds):
        rows += [_with_place(one, table) for one in page if one.event.at >= since]
        after_seq = page[-1].seq
    return rows


def _with_place(recorded: Recorded, table: _Table) -> dict[str, Cell]:
    return {"seq": recorded.seq, "at": recorded.event.at, **table.row(recorded.event)}


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _csv(table: _Table, rows: Iterable[dict[str, Cell]]) -> bytes:
    names = [name for name, _ in table.columns]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_text(row[name]) for name in names] for row in rows)
    return text.getvalue().encode()


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


def _parquet(table: _Table, rows: Sequence[dict[str, Cell]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: _array([row[name] for row in rows], kind) for name, kind in table.columns}
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _array(cells: list[Cell], kind: type[Any]) -> Any:
    import pyarrow as pa

    if kind is not Decimal:
        arrow = {str: pa.string(), int: pa.int64(), bool: pa.bool_()}
        return pa.array(cells, arrow.get(kind, pa.timestamp("us", tz="UTC")))
    try:
        return pa.array(cells, pa.decimal128(38, 18))
    except pa.ArrowInvalid:
        # A quotient can have more digits than Parquet's decimals; text keeps all of them.
        texts = [None if cell is None else _text(cell) for cell in cells]
        return pa.array(texts, pa.string())


def _fill(event: events.FillBooked) -> dict[str, Cell]:
    fill = event.fill
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
    }


def _round_trip(event: events.RoundTripClosed) -> dict[str, Cell]:
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
    }


def _tracker(event: events.TrackerChanged) -> dict[str, Cell]:
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


def _audit(event: events.Event) -> dict[str, Cell]:
    return {"kind": type(event).__name__, "facts": encode(event)}


def _columns(**kinds: type[Any]) -> tuple[tuple[str, type[Any]], ...]:
    return (("seq", int), ("at", datetime), *kinds.items())


TABLES = {
    "fills": _Table(
        (events.FillBooked,),
        _fill,
        _columns(
            **dict.fromkeys(("symbol", "side"), str),
            **dict.fromkeys(("quantity", "price", "notional", "fee"), Decimal),
            fee_asset=str,
            filled_at=datetime,
            **dict.fromkeys(("trade_id", "client_order_id", "intent_id"), str),
        ),
    ),
    "round_trips": _Table(
        (events.RoundTripClosed,),
        _round_trip,
        _columns(
            **dict.fromkeys(("symbol", "intent_id"), str),
            **dict.fromkeys(
                ("quantity", "entry_price", "exit_price", "profit", "fees_quote"), Decimal
            ),
            **dict.fromkeys(("opened_at", "closed_at"), datetime),
        ),
    ),
    "trackers": _Table(
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
    "audit": _Table(
        (
            *(events.Installed, events.ProcessStarted, events.ProcessStopped),
            *(events.TradingModeChanged, events.PersonChanged, events.AccessDenied),
            *(events.ConfirmationAnswered, events.CommandExecuted, events.PositionAdjusted),
            *(events.AlertRaised, events.AlertAcknowledged, events.RecoveryReported),
        ),
        _audit,
        _columns(kind=str, facts=str),
    ),
}
