"""Whether the journal is what was written: the hash chain, checked row by row."""

from sqlalchemy import Connection, select

from storage import schema
from storage.codec import GENESIS, digest
from trading.domain.errors import JournalCorrupt

_BATCH_ROWS = 2000


def verify_chain(connection: Connection, after_seq: int = 0, last_hash: bytes = GENESIS) -> int:
    """Check every row after one whose hash is known and return the last seq.

    Raises JournalCorrupt with the place.
    """
    table = schema.journal
    columns = (table.c.prev_hash, table.c.seq, table.c.epoch, table.c.at_ms, table.c.kind)
    query = select(*columns, table.c.key, table.c.payload, table.c.hash).order_by(table.c.seq)
    result = connection.execution_options(yield_per=_BATCH_ROWS).execute(
        query.where(table.c.seq > after_seq)
    )
    for row in result:
        after_seq += 1
        if row[1] != after_seq or row[0] != last_hash or digest(*row[:7]) != row[7]:
            raise JournalCorrupt(f"the journal was changed at event {after_seq}")
        last_hash = row[7]
    return after_seq
