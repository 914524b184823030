"""What a start does inside a database, in its one order: upgrade, verify, repair, take over."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from storage import codec, integrity, migration, projections, snapshots
from storage.high_water import HighWater, lost, mark_beside
from storage.lease import Lease, current_lease, next_lease
from storage.ledger import Ledger, drained_generation
from storage.reserve import Reserve
from trading.ports.storage import LostRecords


@dataclass(frozen=True, slots=True)
class Opening:
    """What a start found and made."""

    ledger: Ledger
    last_seq: int
    snapshot_seq: int
    findings: tuple[str, ...]
    lost_records: LostRecords | None


def prepare(
    connection: Connection,
    reserve_path: Path,
    back_up: migration.BackUp,
) -> Opening:
    """Bring tables up to date, verify, take over and take in the reserve; raises JournalCorrupt."""
    findings = []
    is_new = migration.upgrade(connection, back_up)
    with connection.begin():
        last_seq = integrity.verify_chain(connection)
        if not snapshots.check(connection):
            snapshots.rebuild(connection)
            findings.append("the stored state differed from the journal and was made anew from it")
        snapshot_seq = snapshots.newest_seq(connection)
        generation = drained_generation(connection)
        high_water = HighWater(mark_beside(reserve_path))
        lost_records = lost(connection, high_water.read())
        # Kept until somebody was told of it, durably.
        high_water.is_held = lost_records is not None
    lease, lost_reason = _take_over(connection)
    if is_new and reserve_path.exists():
        # It belongs to a database that is no longer here; kept for whoever looks for it.
        reserve_path.replace(reserve_path.with_name(f"{reserve_path.name}.orphaned"))
    reserve = Reserve(reserve_path, generation)
    if reserve.has_pending:
        number = len(reserve.pending)
        records = "1 record" if number == 1 else f"{number} records"
        findings.append(
            f"{records} of what was done while nothing could be written came out of "
            f"{reserve_path.name}: /history and /orders show it"
        )
    if reserve.shortage:
        findings.append(
            f"the reserve {reserve_path.name} lacks room on the disk ({reserve.shortage}): a stop "
            "that fires while nothing can be written leaves without a record. Make room, and "
            "start Umbra again"
        )
    if lost_reason:
        # It is told once the start could write.
        findings.append(f"the database took no writes when this start began: {lost_reason}")
    ledger = Ledger(lease, reserve, lost_reason, high_water)
    codec.make_ready()
    projections.make_ready(connection)
    return Opening(ledger, last_seq, snapshot_seq, tuple(findings), lost_records)


def _take_over(connection: Connection) -> tuple[Lease, str]:
    """Become the writer; on a full disk at least the one who may use the reserve."""
    try:
        with connection.begin():
            return next_lease(connection), ""
    except OperationalError as error:
        with connection.begin():
            lease = current_lease(connection)
        if lease is None:
            raise
        return lease, str(error.orig)
