"""What leaves the journal for other programs is exact, complete, and safe to open."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from storage.export import TABLES, Format, export
from tests.contract.storage import samples
from tests.fakes.memory_store import MemoryStore
from trading.domain import events
from trading.domain.errors import Refused, StorageLost
from trading.ports.storage import Recorded


async def _exported(store: MemoryStore, table: str, folder: Path) -> tuple[list[Any], Any]:
    """Export in both formats and read both files."""
    paths = {form: folder / f"{table}.{form.value}" for form in Format}
    counts = {await export(store, table, path, form) for form, path in paths.items()}
    with paths[Format.CSV].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert counts == {len(rows)}
    assert list(folder.glob("*.unfinished")) == []
    return rows, parquet.read_table(paths[Format.PARQUET])


@pytest.mark.parametrize("table", TABLES)
async def test_every_table_has_one_row_per_fact_in_both_formats(table: str, tmp_path: Path) -> None:
    store = MemoryStore()
    for appended in samples.History(8).appends(1500):
        await store.append(*(one for one in appended if not isinstance(one, events.FillBooked)))
    await store.append(*(samples.fill(number) for number in range(2500)))
    kinds = TABLES[table].kinds or samples.KINDS
    facts = [one for one in store.all_events if isinstance(one, kinds)]
    assert facts
    rows, columns = await _exported(store, table, tmp_path / "new")
    assert len(rows) == columns.num_rows == len(facts)
    assert list(rows[0]) == columns.column_names == [name for name, _ in TABLES[table].columns]
    assert [int(row["seq"]) for row in rows] == columns.column("seq").to_pylist()
    assert columns.column("at").to_pylist() == [one.at for one in facts]


async def test_what_the_exchange_said_keeps_every_digit(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    exact = Decimal("123456789012.123456789012345678")
    await store.append(replace(booked, fill=replace(booked.fill, price=exact)))
    rows, columns = await _exported(store, "fills", tmp_path)
    assert rows[0]["price"] == "123456789012.123456789012345678"
    assert rows[0]["at"] == "2026-03-01T12:00:01.123456Z"
    assert columns.column("price").to_pylist() == [exact]
    assert columns.column("quantity").to_pylist() == [Decimal("0.3")]
    assert columns.column("filled_at").to_pylist() == [booked.fill.at]


async def test_a_quotient_is_rounded_in_parquet_only(tmp_path: Path) -> None:
    store = MemoryStore()
    third = Decimal("0.3333333333333333333333333333333333333333")
    trip = samples.minimal(events.RoundTripClosed)
    await store.append(replace(trip, round_trip=replace(trip.round_trip, profit=third)))
    rows, columns = await _exported(store, "trades", tmp_path)
    assert rows[0]["profit"] == str(third)
    assert columns.column("profit").to_pylist() == [Decimal("0.333333333333333333")]


async def test_money_of_two_currencies_is_told_apart(tmp_path: Path) -> None:
    store = MemoryStore()
    trip = samples.minimal(events.RoundTripClosed)
    unpriced = (("BNB", Decimal("0.0734")), ("XYZ", Decimal(2)))
    for symbol, fees in (("ETH/BTC", ()), ("BTC/USDT", unpriced)):
        closed = replace(trip.round_trip, symbol=symbol, intent_id=symbol, fees_unpriced=fees)
        await store.append(replace(trip, round_trip=closed))
    rows, _ = await _exported(store, "trades", tmp_path)
    assert [(row["quote"], row["fees_unpriced"]) for row in rows] == [
        ("BTC", ""),
        ("USDT", "0.0734 BNB 2 XYZ"),
    ]


async def test_each_fee_is_told_in_the_quote_of_its_fill_where_anybody_knew(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    paid = replace(booked.fill, fee=Decimal(2), fee_asset="BNB", price=Decimal(100))
    fees = ((paid, ""), (replace(paid, fee_worth=Decimal(7)), "7"))
    in_coins = (replace(paid, fee_asset="BTC"), "200")
    for number, (fill, _) in enumerate((*fees, in_coins)):
        await store.append(replace(booked, fill=replace(fill, trade_id=str(number))))
    rows, _ = await _exported(store, "fills", tmp_path)
    assert [row["fee_quote"] for row in rows] == [told for _, told in (*fees, in_coins)]
    assert {row["quote"] for row in rows} == {"USDT"}


async def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    rows, columns = await _exported(MemoryStore(), "trades", tmp_path)
    assert rows == []
    assert columns.num_rows == 0
    assert "profit" in columns.column_names


async def test_text_cannot_act_as_a_formula(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    await store.append(replace(booked, fill=replace(booked.fill, trade_id='=cmd|"/c calc"')))
    rows, _ = await _exported(store, "fills", tmp_path)
    assert rows[0]["trade_id"] == '\'=cmd|"/c calc"'


async def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        async def events(
            self, after_seq: int = 0, limit: int = 1000, kinds: Sequence[str] = ()
        ) -> Sequence[Recorded]:
            if after_seq:
                raise StorageLost("the disk went away")
            return await super().events(after_seq, 1, kinds)

    store = Broken()
    await store.append(samples.fill(1), samples.fill(2))
    for form in Format:
        with pytest.raises(StorageLost):
            await export(store, "fills", tmp_path / "fills", form)
    assert list(tmp_path.iterdir()) == []


async def test_older_facts_are_left_out(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.append(samples.fill(1), samples.fill(9))
    since = samples.START + timedelta(seconds=5)
    assert await export(store, "fills", tmp_path / "f.csv", Format.CSV, since) == 1


async def test_a_number_beyond_parquet_is_refused_and_not_changed(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    huge = replace(booked.fill, price=Decimal("1E+20"))
    await store.append(replace(booked, fill=huge))
    with pytest.raises(Refused, match="below 10"):
        await export(store, "fills", tmp_path / "f.parquet", Format.PARQUET)
    assert list(tmp_path.iterdir()) == []


async def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="fills trades trackers audit journal, was 'orders'"):
        await export(MemoryStore(), "orders", tmp_path / "orders.csv", Format.CSV)
