"""A benchmark that did nothing must fail: its figure would be a lie."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import (
    armed,
    bench_journal,
    bench_pictures,
    bench_quotes,
    bench_recovery,
    bench_scanner,
    bench_start,
    bench_stop_scanning,
    bench_trackers,
)
from benchmarks.bench_stop_latency import Exchange, Stamps
from benchmarks.processes import Processes, resident_mb, until
from benchmarks.table import NotDone, Row, at_most, quantile, table
from bot.clock import SystemClock, now_ms
from storage.archive.live import LiveArchive
from storage.store import open_store
from tests.announced import address_in
from trading.domain.events import AttemptChanged, AttemptPrepared, IntentClosed, IntentOpened
from trading.domain.order import AttemptState, IntentState
from trading.domain.tracker import TrackerKind, TrackerState

pytestmark = pytest.mark.slow


def test_a_walk_too_short_to_fire_anything_is_not_done() -> None:
    with pytest.raises(NotDone, match="too little to measure"):
        bench_trackers.measure(100, few=10, many=20)


def test_the_quote_bench_reads_every_frame_and_fires_every_stop() -> None:
    rows = bench_quotes.measure(200)
    assert [row.identity for row in rows] == ["V4", "V4", "V4"]


def test_frames_that_nobody_reads_are_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_quotes.MarketStream, "take_frame", lambda _self, _frame: False)
    with pytest.raises(NotDone, match="200 frames should be observed, were 0"):
        bench_quotes.measure(200)


def test_the_scanner_bench_scans_what_has_crashed_and_reads_its_records_back() -> None:
    held, waited = bench_scanner.rows(True)
    assert held.identity == waited.identity == "V9"
    # How long it took is for `make bench` to say.
    assert float(held.figure.split()[0]) > 0


def test_a_scan_that_scores_something_else_is_no_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_scanner, "ROUNDS", 1)
    calm = bench_scanner.StillMarket.candles

    async def without_a_crash(market, symbol, timeframe, limit, since=None):  # type: ignore[no-untyped-def]
        *closed, running = await calm(market, symbol, timeframe, limit, since)
        return [*closed, replace(running, low=running.open, close=running.open)]

    monkeypatch.setattr(bench_scanner.StillMarket, "candles", without_a_crash)
    with pytest.raises(NotDone, match="should reach the full score"):
        bench_scanner.rows(True)


def test_the_journal_bench_finds_what_it_wrote_at_small_scale() -> None:
    rows = asyncio.run(bench_journal.measure(0.001))
    assert {row.identity for row in rows} == {"V11a", "V11b", "V11c", "V11d", "V11e", "V11f"}


@pytest.mark.parametrize("arrivals", [[], [1.0, 1.1]])
def test_a_stop_counts_only_when_it_made_exactly_one_order(arrivals: list[float]) -> None:
    stamps = Stamps(written_s={"BTCUSDT": 0.5})
    stamps.arrived_s["BTCUSDT"] = arrivals
    with pytest.raises(NotDone, match="one order"):
        stamps.latency_ms("BTCUSDT")


def test_a_stop_takes_from_the_written_frame_to_the_order() -> None:
    stamps = Stamps(written_s={"BTCUSDT": 0.5})
    stamps.arrived_s["BTCUSDT"] = [0.502]
    assert stamps.latency_ms("BTCUSDT") == pytest.approx(2.0)


async def test_the_exchange_goes_on_where_the_archived_past_ends(tmp_path: Path) -> None:
    made = armed.plan(9, 9, 7)
    symbol = made.instruments[-1].symbol
    exchange = Exchange(made, Processes(tmp_path))
    bench_stop_scanning.lay_out_pasts(exchange, tmp_path, [symbol])
    market = exchange.service.venue.world.markets[symbol]
    for timeframe in bench_stop_scanning.TIMEFRAMES:
        running = market.candles.running(timeframe, now_ms())
        closed = market.candles.last_closed(timeframe, now_ms())
        held = await LiveArchive(tmp_path, "binancesimulated").load(symbol, timeframe, 3_000)
        assert len(held) == 2_000
        # One may have ended since.
        apart_ms = running.open_ms - held.open_time_ms[-1]
        assert apart_ms in {timeframe.length_ms, 2 * timeframe.length_ms}
        assert held.close[-1] == pytest.approx(closed.close)
        assert running.close == float(market.price)


async def test_more_stops_and_symbols_than_markets_are_no_measurement() -> None:
    with pytest.raises(NotDone, match="more than the markets"):
        await bench_stop_scanning.measure(200, 1, 10, 200)


async def test_an_agent_that_never_answers_ends_the_wait() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(NotDone, match="no answer"):
        await until(never, "no answer", patience_s=0.0)


async def test_an_exchange_that_cannot_start_is_no_measurement(tmp_path: Path) -> None:
    async with Processes(tmp_path, patience_s=0.0) as processes:
        with pytest.raises(NotDone):
            await processes.start_exchange("--markets", "0")


async def test_where_a_server_is_the_server_says(tmp_path: Path) -> None:
    async with Processes(tmp_path) as processes:
        await processes.start_chat()
        assert processes.chat == address_in(processes.log("chat"))
        assert await processes.messages() == []


async def test_the_armed_database_holds_every_tracker_and_its_coins(tmp_path: Path) -> None:
    made = armed.plan(40, 9, 7)
    database = tmp_path / "agent" / "umbra.db"
    await armed.write(made, database)
    store = await open_store(
        f"sqlite+aiosqlite:///{database}", SystemClock(), data_dir=database.parent
    )
    try:
        state = await store.records.state()
    finally:
        await store.close()
    assert len(state.trackers) == 40
    assert {tracker.state for tracker in state.trackers} <= {
        TrackerState.TRAILING,
        TrackerState.WATCHING,
    }
    assert {symbol: one.quantity for symbol, one in state.positions.items()} == made.holdings


def test_every_market_of_a_recovery_has_one_stop() -> None:
    made = bench_recovery.stops(20)
    assert len({tracker.symbol for tracker in made.trackers}) == 20
    assert {tracker.spec.kind for tracker in made.trackers} == {TrackerKind.STOP}


async def test_a_journal_is_read_while_its_writer_has_it_open(tmp_path: Path) -> None:
    changed, opened, prepared, _ = bench_journal.transaction_a(1)
    assert isinstance(opened, IntentOpened)
    assert isinstance(prepared, AttemptPrepared)
    async with Processes(tmp_path) as processes:
        path = processes.database
        path.parent.mkdir()
        store = await open_store(f"sqlite+aiosqlite:///{path}", SystemClock(), data_dir=path.parent)
        try:
            seq = await store.journal.append(changed, opened, prepared)
            async with bench_recovery.journal_of(processes) as journal:
                assert journal.last_seq() == seq
                assert journal.count("TrackerChanged", "triggered:%") == 1
                assert (journal.attempts(0), journal.done(0)) == (set(), set())
                unknown = replace(prepared.attempt, state=AttemptState.UNKNOWN)
                ended = replace(opened.intent, state=IntentState.DONE)
                await store.journal.append(
                    AttemptChanged(unknown, "", opened.at), IntentClosed(ended, opened.at)
                )
                assert journal.attempts(seq) == {("BTC/USDT", "unknown")}
                assert journal.done(seq) == {"BTC/USDT"}
                assert journal.done(seq + 2) == set()
        finally:
            await store.close()


@pytest.mark.parametrize("sold", [["0.1", "0.1"], ["0.2"]])
async def test_a_stop_that_sold_twice_or_too_much_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sold: list[str]
) -> None:
    tracker = replace(bench_recovery.stops(1).trackers[0], quantity=Decimal("0.1"))
    symbol = tracker.symbol.replace("/", "")

    async def seen(_self: Processes, _name: str) -> list[dict[str, str]]:
        return [{"symbol": symbol, "executedQty": quantity} for quantity in sold]

    monkeypatch.setattr(Processes, "seen", seen)
    monkeypatch.setattr(Processes, "log", lambda _self: "")
    monkeypatch.setattr(bench_recovery, "_ORDERS_S", 0.0)
    async with Processes(tmp_path) as processes:
        with pytest.raises(NotDone):
            await bench_recovery.check_sold(processes, [tracker])


def test_own_memory_can_be_read() -> None:
    import os

    assert resident_mb(os.getpid()) > 10


def test_the_exit_code_tells_a_bench_that_did_nothing_from_a_goal_that_was_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missed(is_quick: bool) -> list[Row]:
        return [at_most("V0", f"quick {is_quick}", 3, 2, "ms")]

    def idle(is_quick: bool) -> list[Row]:
        raise NotDone("nothing fired")

    benches: dict[str, Callable[[bool], list[Row]]] = {"V0": missed}
    monkeypatch.setattr(program, "BENCHMARKS", benches)
    assert program.main(True) == 0
    assert "MISSED" in capsys.readouterr().out
    benches["V1"] = idle
    assert program.main(True) == 1
    shown = capsys.readouterr()
    assert "did not do its work" in shown.out
    assert "nothing fired" in shown.err


def test_every_bench_is_in_the_table() -> None:
    identities = ["V4", "V4b", "V7", "V8", "V8e", "V9", "V9b", "V10", "V11", "S10", "G4", "G5"]
    assert list(program.BENCHMARKS) == identities
    assert program.BENCHMARKS["V7"] is bench_start.rows


def test_rows_stand_under_one_head() -> None:
    head, row = table([at_most("V7a", "start", 1.5, 2.5, "s")]).splitlines()
    assert head.split() == ["id", "workload", "figure", "goal", "ok"]
    assert row.split() == ["V7a", "start", "1.50", "s", "<=", "2.5", "s", "ok"]


def test_the_quantile_of_few_values_is_the_worst_of_them() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_both_pictures_of_scores_are_drawn_as_wide_as_a_phone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = [bench_pictures.heat_map(2), bench_pictures.score_history(50)]
    assert [bench_pictures.measure("a picture", each, 1).identity for each in drawn] == ["S10"] * 2
    monkeypatch.setattr(bench_pictures, "WIDTH_PX", 999)
    with pytest.raises(NotDone, match="1080 px wide"):
        bench_pictures.measure("a picture", drawn[0], 1)
