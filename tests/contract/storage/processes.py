"""Programs that the tests of stores run as real processes, to be killed or starved of disk."""

import shutil
import subprocess
import sys
from pathlib import Path

from storage import migration

_COMMON = """
import asyncio, errno, os, signal, sys
from pathlib import Path
from storage.store import open_store
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock
from trading.domain.errors import StorageLost

url, folder = sys.argv[1], Path(sys.argv[2])

def open_it(**more):
    return open_store(url, SettableClock(), data_dir=folder, **more)

# What a disk takes, until nothing goes in.
def fill(path):
    with path.open("ab", buffering=0) as ballast:
        size = 65536
        while size:
            try:
                ballast.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                size //= 2
"""

# Says after each append what is durable, until it is killed.
APPENDING = (
    _COMMON
    + """
async def main():
    store = await open_it()
    start = (await store.records.state()).last_seq
    for number in range(start, 10**9):
        seq = await store.journal.append(*samples.transaction_a(number))
        print(seq, flush=True)

asyncio.run(main())
"""
)

# Kills itself at the boundary whose number is given: 1 is before the first commit, 2 after it …
FAILING = (
    _COMMON
    + """
fatal, passed = int(sys.argv[3]), 0

def failpoint(name):
    global passed
    passed += 1
    if passed == fatal:
        print(name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = await open_it(failpoint=failpoint)
    for number in range(3):
        print(await store.journal.append(*samples.transaction_a(number)), flush=True)

asyncio.run(main())
"""
)

# Fills the disk that its database is on, until nothing goes in; then gives room back.
STARVING = (
    _COMMON
    + """
async def main():
    store = await open_it()
    await store.journal.append(*samples.transaction_a(0))
    ballast = folder / "ballast"
    fill(ballast)
    for number in range(1, 500):
        try:
            await store.journal.append(samples.heartbeat(number))
        except StorageLost as error:
            print("lost:", error, flush=True)
            break
    else:
        sys.exit("the disk never became full")
    assert store.is_degraded and store.lost_reason
    assert await store.journal.append(*samples.transaction_a(1000), reserve=True) == 0
    # A start in the middle of it: it cannot take over, but it can still save exits.
    await store.close()
    fill(ballast.with_name("more"))
    store = await open_it()
    assert store.is_degraded, store.findings
    print(store.findings, flush=True)
    assert await store.journal.append(samples.update(1), reserve=True) == 0
    before = (await store.records.state()).last_seq
    ballast.unlink()
    seq = await store.journal.append(samples.heartbeat(999))
    assert seq == before + 6, (seq, before)
    assert not store.is_degraded
    assert await store.journal.verify() == seq
    await store.close()
    print("recovered", flush=True)

asyncio.run(main())
"""
)

# Starts for the first time where the disk has less and less room, and once more when it has some.
BEGINNING_WITHOUT_ROOM = (
    _COMMON
    + """
ballast = folder.parent / "ballast"

def leave(count):
    fill(ballast)
    os.truncate(ballast, ballast.stat().st_size - count)

async def main():
    for count in (0, 4096, 8192, 65536):
        leave(count)
        for _ in range(2):
            try:
                await open_it()
            except StorageLost as error:
                print(type(error).__name__, error, flush=True)
            else:
                sys.exit("there was room")
    ballast.unlink()
    store = await open_it()
    assert await store.journal.append(samples.heartbeat()) == 1
    assert store.findings == ()
    await store.close()

asyncio.run(main())
"""
)

# Reports what an append meets when a sync fails underneath it, and whether it tries again.
SYNC_FAILING = (
    _COMMON
    + """
async def main():
    store = await open_it()
    print("open", flush=True)
    for number in range(1, 200):
        try:
            await store.journal.append(samples.heartbeat(number))
        except StorageLost as error:
            print("lost:", error, flush=True)
            break
    else:
        sys.exit("no sync failed")
    try:
        await store.journal.append(samples.heartbeat(1000))
        sys.exit("it tried again")
    except StorageLost:
        pass
    assert await store.journal.append(*samples.transaction_a(1), reserve=True) == 0
    print("reserved", flush=True)
    os._exit(3)

asyncio.run(main())
"""
)


# Says how long the slowest append took, and how often other tasks had their turn meanwhile.
SYNC_SLOW = (
    _COMMON
    + """
async def main():
    store = await open_it()
    turns, slowest = 0, (0.0, 0)

    async def turn():
        nonlocal turns
        while True:
            await asyncio.sleep(0.05)
            turns += 1

    turning = asyncio.create_task(turn())
    clock = asyncio.get_running_loop().time
    for number in range(1, 40):
        began_s, before = clock(), turns
        await store.journal.append(samples.heartbeat(number))
        slowest = max(slowest, (clock() - began_s, turns - before))
    turning.cancel()
    print(*slowest, await store.journal.verify())
    await store.close()

asyncio.run(main())
"""
)

# Makes a database, and is killed in the middle of its upgrade by the migrations of a folder.
UPGRADING = (
    _COMMON
    + """
from storage import migration, schema

async def main():
    store = await open_it()
    await store.journal.append(samples.heartbeat())
    await store.close()
    migration._MIGRATIONS, schema.REVISION = Path(sys.argv[3]), "0002"
    await open_it()

asyncio.run(main())
"""
)

# Upgrades a database while its disk is full, and once more when there is room again.
UPGRADING_WITHOUT_ROOM = (
    _COMMON
    + """
from storage import migration, room, schema

async def refused():
    try:
        await open_it()
    except StorageLost as error:
        print(type(error).__name__, error, flush=True)
    else:
        sys.exit("there was room")
    print(sorted(each.name for each in folder.glob("*.before-*")), flush=True)

async def main():
    store = await open_it()
    await store.journal.append(samples.heartbeat())
    await store.close()
    before = (folder / "umbra.sqlite").read_bytes()
    migration._MIGRATIONS, schema.REVISION = Path(sys.argv[3]), "0002"
    ballast = folder / "ballast"
    # A disk that has less than is asked for is not begun to be filled.
    ballast.write_bytes(bytes(int(sys.argv[4]) * 1024 * 1024))
    await refused()
    # Of a disk that becomes full while the copy is written nothing is left but what was there.
    room.UPGRADE_BYTES = -(2**40)
    fill(ballast)
    await refused()
    assert (folder / "umbra.sqlite").read_bytes() == before
    ballast.unlink()
    store = await open_it()
    assert await store.journal.append(samples.heartbeat(1)) == 2
    assert await store.journal.verify() == 2
    await store.close()
    print(sorted(each.name for each in folder.glob("*.before-*")), flush=True)

asyncio.run(main())
"""
)

_NEXT = '''"""A next step."""

import os, signal
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE TABLE added (one INTEGER)")
    {more}
'''


def next_version(folder: Path, more: str) -> Path:
    """Write migrations of a next version, which add a table and then do `more`; where they are."""
    copied = folder / "migrations"
    shutil.copytree(migration._MIGRATIONS, copied)
    (copied / "versions" / "0002_next.py").write_text(_NEXT.format(more=more))
    return copied


def command(program: str, url: str, folder: Path, *more: object) -> list[str]:
    """Return the command line of one of these programs."""
    return [sys.executable, "-c", program, url, str(folder), *(str(one) for one in more)]


def run(arguments: list[str], deadline_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run to the end and return everything that was said."""
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=deadline_s, check=False
    )
