"""Storage faults of the catalogue (S01 … S08, S14): each is made to happen, and asserted."""

import asyncio
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from storage import migration, schema, sqlite
from storage.reserve import Reserve
from storage.store import Store, open_store
from tests.catalogue import fired
from tests.contract.storage import processes, samples
from tests.contract.storage.conftest import both_databases
from tests.fakes.full_disk import full_disk
from tests.fakes.memory_store import SettableClock
from trading.domain import events
from trading.domain.errors import AlreadyRecorded, InstanceConflict, JournalCorrupt, StorageLost


async def _open(url: str, folder: Path, **more: Any) -> Store:
    return await open_store(url, SettableClock(), data_dir=folder, **more)


# ---------------------------------------------------------------- killed processes


@pytest.mark.fault("P01", "KEEP")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_killed_while_appending_it_keeps_all_that_it_promised(
    seed: int, sqlite_url: str, tmp_path: Path
) -> None:
    place = random.Random(seed)
    acked = kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            processes.command(processes.APPENDING, sqlite_url, tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for _ in range(place.randrange(1, 60)):
            acked = int(process.stdout.readline())
        process.kill()
        acked = max([acked, *(int(line) for line in process.stdout if line.endswith("\n"))])
        assert process.wait() == -signal.SIGKILL
        kills += 1
        process.stdout.close()
        store = await _open(sqlite_url, tmp_path)  # at once: the lock died with its process
        durable = await store.journal.verify()
        # The transaction after the last answer may be durable too: maybe sent, never forgotten.
        assert durable in (acked, acked + 4)
        acked = durable
        await store.close()
    fired(kills, words=f"killed after {acked} events")


@pytest.mark.slow
@pytest.mark.fault("P01", "KEEP")
@pytest.mark.parametrize(
    ("database_url", "boundary"),
    [
        *(("sqlite_url", boundary) for boundary in range(1, 7)),
        *(
            pytest.param("postgres_url", boundary, marks=pytest.mark.postgres)
            for boundary in (3, 4)
        ),
    ],
    indirect=["database_url"],
)
async def test_killed_at_each_boundary_a_transaction_is_whole_or_absent(
    boundary: int, database_url: str, tmp_path: Path
) -> None:
    done = await asyncio.to_thread(
        processes.run, processes.command(processes.FAILING, database_url, tmp_path, boundary)
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    side = "before" if boundary % 2 else "after"
    kinds = "TrackerChanged+IntentOpened+AttemptPrepared+MessageQueued"
    assert done.stdout.splitlines()[-1] == f"{side}_commit:{kinds}"
    store = await _open(database_url, tmp_path)
    assert await store.journal.verify() == 4 * (boundary // 2)
    assert len(await store.records.trackers()) == boundary // 2
    await store.close()
    reached = [line for line in done.stdout.splitlines() if line.startswith(f"{side}_commit:")]
    fired(reached, words=reached[-1])


# ---------------------------------------------------------------- a full disk


async def _append_until_lost(store: Store) -> int:
    """Append until the database takes no more; returns how many it took."""
    for number in range(1000):
        try:
            await store.journal.append(samples.message(f"x{number}", card="x" * 200))
        except StorageLost:
            assert "full" in store.lost_reason
            return number
    raise AssertionError("the disk never became full")


async def _append_into_reserve(store: Store) -> int:
    """Append updates until one needs the reserve; half-filled pages may still take some."""
    for number in range(5, 1_000):
        await store.journal.append(samples.update(number), reserve=True)
        if store.is_degraded:
            return number
    raise AssertionError("the reserve was never needed")


@pytest.mark.fault("S01")
@pytest.mark.fault("S03")
async def test_a_full_disk_refuses_entries_and_takes_exits_into_the_reserve(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    await store.journal.append(*samples.transaction_a(1))
    with full_disk(store):
        taken = await _append_until_lost(store)
        assert store.is_degraded
        with pytest.raises(StorageLost, match="full") as refused:
            await store.journal.append(*samples.transaction_a(2))
        fired(refused)
        assert await store.journal.append(*samples.transaction_a(3), reserve=True) == 0
        with pytest.raises(AlreadyRecorded):  # known to the reserve
            await store.journal.append(*samples.transaction_a(3), reserve=True)
        with pytest.raises(AlreadyRecorded):  # known to the journal, which can still be read
            await store.journal.append(*samples.transaction_a(1), reserve=True)
    seq = await store.journal.append(samples.heartbeat())
    assert seq == 4 + taken + 4 + 1
    assert not store.is_degraded
    tail = await store.journal.latest(5)
    assert tuple(one.event for one in reversed(tail)) == (
        *samples.transaction_a(3),
        samples.heartbeat(),
    )
    assert await store.journal.verify() == seq
    await store.close()


@both_databases
@pytest.mark.parametrize(("moment", "is_kept"), [("before_commit", False), ("after_commit", True)])
async def test_without_memory_an_append_is_in_doubt_and_the_next_one_is_well(
    database_url: str, tmp_path: Path, moment: str, is_kept: bool
) -> None:
    refusals = 0

    def refuse(boundary: str) -> None:
        nonlocal refusals
        if boundary.startswith(f"{moment}:Heartbeat") and not refusals:
            refusals += 1
            raise MemoryError

    store = await _open(database_url, tmp_path, failpoint=refuse)
    event = samples.heartbeat()
    with pytest.raises(StorageLost, match="no memory left"):
        await store.journal.append(event)
    last = await store.journal.append(samples.heartbeat(1))
    assert await store.journal.verify() == last
    written = [one.event for one in await store.journal.events()]
    assert written == [*[event] * is_kept, samples.heartbeat(1)]
    await store.close()


@pytest.mark.fault("S02", "KEEP SAID")
async def test_what_the_reserve_holds_enters_the_journal_at_the_next_start(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    with full_disk(store):
        taken = await _append_until_lost(store)
        await store.journal.append(*samples.transaction_a(3), reserve=True)
        await store.journal.append(samples.heartbeat(5), reserve=True)
    await store.close()
    for _ in range(2):
        again = await _open(sqlite_url, tmp_path)
        state = await again.records.state()
        assert state.last_seq == taken + 5
        assert [one.tracker_id for one in state.trackers] == [3]
        assert not again.is_degraded
        await again.close()
    fired(taken)


async def test_a_refused_repetition_does_not_lose_the_reserve(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    with full_disk(store):
        await _append_until_lost(store)
        last = await _append_into_reserve(store)
    with pytest.raises(AlreadyRecorded):
        await store.journal.append(samples.update(last))
    assert store.is_degraded
    await store.journal.append()
    assert not store.is_degraded
    assert len(await store.records.pending_updates()) == last - 4
    await store.close()


async def test_a_start_without_room_for_its_reserve_opens_and_finds_that_it_lacks(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Reserve) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Reserve, "_allocate", full)
        store = await _open(sqlite_url, tmp_path)
    [finding] = store.findings
    assert "umbra.sqlite.reserve lacks room on the disk (No space left on device)" in finding
    await store.journal.append(samples.heartbeat())
    await store.close()
    store = await _open(sqlite_url, tmp_path)
    assert store.findings == ()
    await store.close()


def _can_mount() -> bool:
    tool = shutil.which("unshare")
    mount = "mount -t tmpfs -o size=64k none /mnt"
    return (
        tool is not None
        and subprocess.call([tool, "-Urm", "sh", "-c", mount], stderr=subprocess.DEVNULL) == 0
    )


@pytest.mark.fault("S01")
@pytest.mark.fault("S03")
@pytest.mark.slow
@pytest.mark.skipif(not _can_mount(), reason="this machine lets nobody mount a tmpfs (unshare)")
def test_a_really_full_file_system_is_survived(tmp_path: Path) -> None:
    inner = processes.command(
        processes.STARVING, f"sqlite+aiosqlite:///{tmp_path}/umbra.sqlite", tmp_path
    )
    script = f'mount -t tmpfs -o size=4m none "{tmp_path}" && exec "$@"'
    done = processes.run(["unshare", "-Urm", "sh", "-c", script, "sh", *inner])
    assert done.returncode == 0, done.stderr
    assert "disk is full" in done.stdout
    assert done.stdout.splitlines()[-1] == "recovered"
    fired(done.stdout.count("disk is full"))


@pytest.mark.fault("S01", "SAID")
@pytest.mark.slow
@pytest.mark.skipif(not _can_mount(), reason="this machine lets nobody mount a tmpfs (unshare)")
def test_an_upgrade_on_a_full_disk_names_it_changes_nothing_and_is_made_once_there_is_room(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    versions = processes.next_version(tmp_path, "")
    inner = processes.command(
        processes.UPGRADING_WITHOUT_ROOM,
        f"sqlite+aiosqlite:///{disk}/umbra.sqlite",
        disk,
        *(versions, 15),
    )
    script = f'mount -t tmpfs -o size=32m none "{disk}" && exec "$@"'
    done = processes.run(["unshare", "-Urm", "sh", "-c", script, "sh", *inner])
    assert done.returncode == 0, done.stderr
    told, left, full, left_then, kept = done.stdout.splitlines()
    assert told.startswith(f"StorageFull this version brings the database in {disk} up to date")
    assert f"the disk at {disk} has 1" in told
    assert told.endswith("MB free. The database is as it was")
    assert full == (
        f"StorageFull the disk at {disk} has no room left for the database in {disk}, which is as "
        "it was"
    )
    assert (left, left_then) == ("[]", "[]")
    assert kept == "['umbra.sqlite.before-0002-was-0001']"
    fired(done.stdout.count("StorageFull"), words=told)


@pytest.mark.fault("S01", "SAID")
@pytest.mark.slow
@pytest.mark.skipif(not _can_mount(), reason="this machine lets nobody mount a tmpfs (unshare)")
def test_a_first_start_on_a_full_disk_names_it_keeps_no_lock_and_begins_once_there_is_room(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    inner = processes.command(
        processes.BEGINNING_WITHOUT_ROOM,
        f"sqlite+aiosqlite:///{disk}/umbra/umbra.sqlite",
        disk / "umbra",
    )
    script = f'mount -t tmpfs -o size=4m none "{disk}" && mkdir "{disk}/umbra" && exec "$@"'
    done = processes.run(["unshare", "-Urm", "sh", "-c", script, "sh", *inner])
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert len(told) == 8
    for line in told:
        assert line.startswith(f"StorageFull the disk at {disk} has no room left for the ")
    fired(told, words=told[0])


# ---------------------------------------------------------------- a disk that lies


def _can_trace() -> bool:
    tool = shutil.which("strace")
    return tool is not None and subprocess.call([tool, "-o", "/dev/null", "true"]) == 0


@pytest.mark.fault("S06", "SAID")
@pytest.mark.slow
@pytest.mark.skipif(not _can_trace(), reason="strace cannot trace on this machine")
async def test_after_a_failed_sync_nothing_is_written_to_the_database(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    await store.close()
    trace = tmp_path / "trace"
    inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=25"]
    strace = ["strace", "-f", "-o", str(trace), *inject]
    inner = processes.command(processes.SYNC_FAILING, sqlite_url, tmp_path)
    done = await asyncio.to_thread(processes.run, [*strace, *inner])
    failed = [line for line in trace.read_text().splitlines() if "EIO" in line]
    assert done.returncode == 3, done.stderr
    assert "lost: the journal cannot be written" in done.stdout
    assert done.stdout.splitlines()[-1] == "reserved"
    again = await _open(sqlite_url, tmp_path)
    assert [one.tracker_id for one in await again.records.trackers()] == [1]
    [told] = again.findings
    assert told.startswith("1 record of what was done while nothing could be written came out of")
    assert "umbra.sqlite.reserve: /history" in told
    beats = await again.journal.events(kinds=["Heartbeat"])
    assert len(set(beats)) == len(beats)
    await again.close()
    fired(failed, words=failed[0])


@pytest.mark.fault("S07", "SAID")
@pytest.mark.slow
@pytest.mark.skipif(not _can_trace(), reason="strace cannot trace on this machine")
async def test_while_a_sync_takes_five_seconds_everything_else_has_its_turn(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    await store.close()
    trace = tmp_path / "trace"
    inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=5000000:when=25"]
    strace = ["strace", "-f", "-o", str(trace), *inject]
    inner = processes.command(processes.SYNC_SLOW, sqlite_url, tmp_path)
    done = await asyncio.to_thread(processes.run, [*strace, *inner])
    assert done.returncode == 0, done.stderr
    slowest_s, turns, last = map(float, done.stdout.split())
    assert slowest_s >= 5
    # Of a hundred that a quiet machine would give.
    assert turns >= 50
    assert last == 39
    fired(trace.read_text().count("DELAYED"), words=f"sync: {slowest_s:.1f} s, {turns:g} turns")


# ---------------------------------------------------------------- a new version


@pytest.mark.fault("S12", "SAID")
async def test_an_upgrade_that_is_killed_half_way_is_made_by_the_next_start_or_never_was(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = processes.next_version(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    inner = processes.command(processes.UPGRADING, sqlite_url, tmp_path, killing)
    done = await asyncio.to_thread(processes.run, inner)
    fired(-done.returncode, words="is the signal that ended it")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "umbra.sqlite.before-0002-was-0001").exists()
    again = await _open(sqlite_url, tmp_path)
    assert await again.journal.append(samples.heartbeat(1)) == 2
    await again.close()

    shutil.rmtree(killing)
    monkeypatch.setattr(migration, "_MIGRATIONS", processes.next_version(tmp_path, ""))
    monkeypatch.setattr(schema, "REVISION", "0002")
    upgraded = await _open(sqlite_url, tmp_path)
    assert await upgraded.journal.append(samples.heartbeat(2)) == 3
    assert await upgraded.journal.verify() == 3
    await upgraded.close()


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def _make_read_only(path: Path) -> None:
    path.chmod(0o400)


def _remove_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.fault("S08", "SAID")
@pytest.mark.parametrize("change", [_remove, _replace, _make_read_only, _remove_log])
async def test_a_file_that_is_no_longer_ours_is_noticed_at_the_next_append(
    change: Any, sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    await store.journal.append(samples.heartbeat())
    change(tmp_path / "umbra.sqlite")
    with pytest.raises(StorageLost, match=r"gone|replaced|read-only") as lost:
        await store.journal.append(samples.heartbeat())
    fired(lost, words=str(lost.value))
    assert store.is_degraded
    assert store.is_broken
    assert await store.journal.append(*samples.transaction_a(1), reserve=True) == 0
    with pytest.raises(StorageLost):
        await store.journal.append(samples.heartbeat())
    await store.close()


@pytest.mark.fault("S04", "SAID")
async def test_a_busy_database_gives_up_in_time_and_never_blocks_the_loop(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.5)
    store = await _open(sqlite_url, tmp_path)
    await store.journal.append(samples.heartbeat())
    other = sqlite3.connect(tmp_path / "umbra.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.journal.append(samples.heartbeat()))
    reads = 0
    while not writing.done():
        assert (await store.records.state()).last_seq == 1
        reads += 1
    with pytest.raises(StorageLost, match="locked") as gave_up:
        await writing
    fired(gave_up, words=f"{reads} reads meanwhile")
    assert reads > 10
    assert await store.journal.append(*samples.transaction_a(1), reserve=True) == 0
    other.execute("ROLLBACK")
    other.close()
    assert await store.journal.append(samples.heartbeat()) == 6
    await store.close()


@pytest.mark.fault("S04")
async def test_only_the_first_write_waits_for_a_database_that_is_held(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 1)
    store = await _open(sqlite_url, tmp_path)
    other = sqlite3.connect(tmp_path / "umbra.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began_s = time.monotonic()
    # Stops that fire at once, with a probe and a sign of life among them.
    probe = asyncio.create_task(store.journal.append())
    sales = [
        asyncio.create_task(
            store.journal.append(*samples.transaction_a(number), reserve=True, urgent=True)
        )
        for number in range(20)
    ]
    beat = asyncio.create_task(store.journal.append(samples.heartbeat()))
    assert await asyncio.gather(*sales) == [0] * 20
    refused = await asyncio.gather(probe, beat, return_exceptions=True)
    locked = [one for one in refused if isinstance(one, StorageLost) and "locked" in str(one)]
    assert len(locked) == 2
    took_s = time.monotonic() - began_s
    assert 1 <= took_s < 3
    fired(locked, words=f"twenty within {took_s:.1f} s")
    other.execute("ROLLBACK")
    assert await store.journal.append() == 80
    # Found free, the next lock is waited for again: one of a moment is no loss.
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.journal.append(samples.heartbeat()))
    for _ in range(20):
        assert (await store.records.state()).last_seq == 80
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting == 81
    assert await store.journal.verify() == 81
    await store.close()


@pytest.mark.fault("S05", "SAID")
async def test_a_read_never_becomes_a_write_and_a_write_takes_its_lock_first(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await _open(sqlite_url, tmp_path)
    writer = store._database._writer  # type: ignore[attr-defined]
    said: list[str] = []

    def listen() -> None:
        writer.connection.driver_connection.set_trace_callback(said.append)

    store._database._writer_thread.submit(listen).result()  # type: ignore[attr-defined]
    await store.journal.append(samples.heartbeat())
    await store.journal.append(*samples.transaction_a(1))
    assert [one for one in said if one.startswith("BEGIN")] == ["BEGIN IMMEDIATE"] * 2

    def write(connection: Any) -> None:
        connection.exec_driver_sql("DELETE FROM journal")

    with pytest.raises(StorageLost, match="readonly") as refused:
        await store._database.read(write)
    fired(refused, words=str(refused.value))
    assert await store.journal.verify() == 5
    await store.close()


# ---------------------------------------------------------------- two instances


@pytest.mark.fault("S14", "SAID")
@both_databases
async def test_a_second_instance_refuses_and_names_the_first(
    database_url: str, tmp_path: Path
) -> None:
    store = await _open(database_url, tmp_path)
    with pytest.raises(InstanceConflict, match=f"in use by pid {os.getpid()} on") as refused:
        await _open(database_url, tmp_path)
    fired(refused, words=str(refused.value))
    assert await store.journal.append(samples.heartbeat()) == 1
    await store.close()
    again = await _open(database_url, tmp_path)
    await again.close()


@pytest.mark.slow
@pytest.mark.fault("S14")
@both_databases
async def test_a_dead_process_holds_nothing(database_url: str, tmp_path: Path) -> None:
    command = processes.command(processes.APPENDING, database_url, tmp_path)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    with pytest.raises(InstanceConflict, match=f"pid {process.pid}"):
        await _open(database_url, tmp_path)
    process.kill()
    await process.communicate()
    store = await _open(database_url, tmp_path)
    assert await store.journal.verify() >= 4
    await store.close()
    fired([process.returncode].count(-signal.SIGKILL))


@pytest.mark.fault("S14", "SAID")
@both_databases
async def test_a_replaced_writer_is_fenced_off(database_url: str, tmp_path: Path) -> None:
    store = await _open(database_url, tmp_path)
    await store.journal.append(samples.heartbeat())
    lease = store.lease
    store._ledger.lease = replace(lease, epoch=lease.epoch - 1)  # as if another had taken over
    with pytest.raises(InstanceConflict, match="taken this database over") as fenced:
        await store.journal.append(samples.heartbeat())
    fired(fenced)
    with pytest.raises(InstanceConflict):
        await store.journal.append(samples.heartbeat(), reserve=True)
    store._ledger.lease = lease
    assert await store.journal.append(samples.heartbeat()) == 2
    await store.close()


# ---------------------------------------------------------------- callers that go away


@pytest.mark.fault("P06")
@both_databases
async def test_a_cancelled_caller_leaves_a_whole_transaction_or_none(
    database_url: str, tmp_path: Path
) -> None:
    store = await _open(database_url, tmp_path)
    tasks = []
    for number in range(20):
        task = asyncio.create_task(store.journal.append(*samples.transaction_a(number)))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        tasks.append(task)
    await store.journal.append(samples.heartbeat())
    await asyncio.wait(tasks)
    last = await store.journal.verify()
    assert last % 4 == 1
    assert len(await store.records.trackers()) == last // 4
    await store.close()
    fired(sum(task.cancelled() for task in tasks))


async def test_an_event_that_could_not_be_read_back_is_not_written(store: Any) -> None:
    bad = events.DayOpened(samples.START.date(), Decimal("NaN"), samples.START)
    with pytest.raises(ValueError, match=r"finite|survive"):
        await store.journal.append(samples.heartbeat(), bad)
    assert await store.journal.append(samples.heartbeat()) == 1


def test_errors_of_the_driver_are_told_apart() -> None:
    error = sqlite3.OperationalError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # type: ignore[misc]
    wrapped = OperationalError("SELECT", (), error)
    assert isinstance(sqlite._read_error(wrapped, Path("x")), JournalCorrupt)
    assert isinstance(
        sqlite._read_error(sqlite3.OperationalError("no such table"), Path("x")), StorageLost
    )
