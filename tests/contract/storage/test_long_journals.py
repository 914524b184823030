"""Starting on a long journal: what is read of it, and what that costs, does not run away."""

import shutil
import time
from pathlib import Path

import pytest

from storage import codec, snapshots
from storage.store import open_store
from tests.catalogue import fired
from tests.contract.storage import samples
from tests.fakes.memory_store import SettableClock

pytestmark = pytest.mark.slow

BATCH = 1_000
# Both end as far behind their newest snapshot as a journal ever does.
SHORT = 2 * snapshots.SNAPSHOT_EVENTS - BATCH
LONG = 4 * snapshots.SNAPSHOT_EVENTS - BATCH
MILLION = 10**6
START_S_MAX = 10.0


async def _grown(folder: Path, lengths: tuple[int, ...]) -> dict[int, Path]:
    """Let a journal grow; copies of it as a power cut at each of these lengths leaves them."""
    database = folder / "umbra.sqlite"
    store = await open_store(f"sqlite+aiosqlite:///{database}", SettableClock(), data_dir=folder)
    copies = {}
    for length in range(BATCH, max(lengths) + BATCH, BATCH):
        await store.journal.append(*(samples.heartbeat(one % 50) for one in range(BATCH)))
        snapshot = store._snapshots._task
        if snapshot is not None:
            await snapshot
        if length in lengths:
            copies[length] = folder / str(length)
            copies[length].mkdir()
            for path in folder.glob("umbra.sqlite*"):
                shutil.copy(path, copies[length])
    await store.close()
    return copies


class Reading:
    """Counts the events that are read back, and the processor's seconds of a start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events = 0
        self.cpu_s = 0.0

        def counted(kind: str, payload: str) -> object:
            self.events += 1
            return codec.decode(kind, payload)

        monkeypatch.setattr(snapshots, "decode", counted)

    async def start(self, folder: Path) -> int:
        """Open a database; its length."""
        self.events, began_s = 0, time.process_time()
        url = f"sqlite+aiosqlite:///{folder / 'umbra.sqlite'}"
        store = await open_store(url, SettableClock(), data_dir=folder)
        self.cpu_s = time.process_time() - began_s
        length = (await store.records.state()).last_seq
        await store.close()
        return length


@pytest.mark.fault("S13", "SAID")
async def test_a_start_reads_what_came_since_the_newest_snapshot_however_long_the_journal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = await _grown(tmp_path, (SHORT, LONG))
    reading = Reading(monkeypatch)
    cost_s = {}
    for length, folder in copies.items():
        assert await reading.start(folder) == length
        assert reading.events == snapshots.SNAPSHOT_EVENTS - BATCH
        cost_s[length] = reading.cpu_s
    # What is left grows with the rows, of which only the chain is checked.
    per_row_s = max(cost_s[LONG] - cost_s[SHORT], 0.0) / (LONG - SHORT)
    million_s = cost_s[LONG] + per_row_s * (MILLION - LONG)
    assert million_s <= START_S_MAX
    rows = LONG - reading.events
    fired(rows, words=f"rows unread, {cost_s[LONG]:.2f} s, so 10^6 take {million_s:.1f} s")
