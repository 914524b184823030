"""What leaves the journal for other programs is exact, complete, and safe to open."""

import csv
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from storage.export import TABLES, Format, export
from tests.contract.storage import samples
from tests.fakes.memory_store import MemoryStore
from trading.domain import events
from trading.domain.errors import Refused


@pytest.fixture
async def store() -> MemoryStore:
    filled = MemoryStore()
    for appended in samples.History(8).appends(150):
        await filled.append(*appended)
    return filled


@pytest.mark.parametrize("table", TABLES)
async def test_every_table_has_one_row_per_fact_in_both_formats(
    table: str, store: MemoryStore, tmp_path: Path
) -> None:
    facts = [one for one in store.all_events if isinstance(one, TABLES[table].kinds)]
    assert facts
    for form in Format:
        path = tmp_path / f"{table}.{form.value}"
        assert await export(store, table, path, form) == len(facts)
    with (tmp_path / f"{table}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = parquet.read_table(tmp_path / f"{table}.parquet")
    assert len(rows) == read.num_rows == len(facts)
    assert list(rows[0]) == read.column_names == [name for name, _ in TABLES[table].columns]
    assert [int(row["seq"]) for row in rows] == read.column("seq").to_pylist()
    assert list(tmp_path.glob("*.unfinished")) == []


async def test_decimals_keep_every_digit(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    exact = Decimal("123456789012.123456789012345678")
    await store.append(replace(booked, fill=replace(booked.fill, price=exact)))
    await export(store, "fills", tmp_path / "f.csv", Format.CSV)
    await export(store, "fills", tmp_path / "f.parquet", Format.PARQUET)
    assert "123456789012.123456789012345678" in (tmp_path / "f.csv").read_text()
    read = parquet.read_table(tmp_path / "f.parquet")
    assert read.column("price").to_pylist() == [exact]
    assert read.column("quantity").to_pylist() == [Decimal("0.3")]
    assert read.column("filled_at").to_pylist() == [booked.fill.at]


async def test_a_number_too_long_for_parquet_becomes_text(tmp_path: Path) -> None:
    store = MemoryStore()
    third = Decimal("0.3333333333333333333333333333333333333333")
    trip = samples.minimal(events.RoundTripClosed)
    await store.append(replace(trip, round_trip=replace(trip.round_trip, profit=third)))
    await export(store, "round_trips", tmp_path / "t.parquet", Format.PARQUET)
    read = parquet.read_table(tmp_path / "t.parquet")
    assert read.column("profit").to_pylist() == [str(third)]


async def test_text_cannot_act_as_a_formula(tmp_path: Path) -> None:
    store = MemoryStore()
    booked = samples.fill(1)
    await store.append(replace(booked, fill=replace(booked.fill, trade_id='=cmd|"/c calc"')))
    await export(store, "fills", tmp_path / "f.csv", Format.CSV)
    with (tmp_path / "f.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["trade_id"] == '\'=cmd|"/c calc"'


async def test_older_facts_are_left_out(tmp_path: Path) -> None:
    store = MemoryStore()
    await store.append(samples.fill(1), samples.fill(9))
    since = samples.START + timedelta(seconds=5)
    assert await export(store, "fills", tmp_path / "f.csv", Format.CSV, since) == 1


async def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="fills round_trips trackers audit, was 'orders'"):
        await export(MemoryStore(), "orders", tmp_path / "f.csv", Format.CSV)
