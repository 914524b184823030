"""Whether the journal is what was written: the hash chain, checked row by row, to its end."""

from sqlalchemy import Connection, select

from storage import schema
from storage.codec import GENESIS, digest
from storage.projections import JOURNAL_END
from trading.domain.errors import JournalCorrupt

_BATCH_ROWS = 2000


def verify_chain(connection: Connection) -> int:
    """Check every row and return the last seq; raises JournalCorrupt with the place."""
    table = schema.journal
    columns = (table.c.prev_hash, table.c.seq, table.c.epoch, table.c.at_ms, table.c.kind)
    query = select(*columns, table.c.key, table.c.payload, table.c.hash).order_by(table.c.seq)
    seq, last_hash = 0, GENESIS
    # The option belongs to this query alone; set on the connection it would stay.
    for row in connection.execute(query, execution_options={"yield_per": _BATCH_ROWS}):
        seq += 1
        if row[1] != seq or row[0] != last_hash or digest(*row[:7]) != row[7]:
            raise JournalCorrupt(f"the journal was changed at event {seq}")
        last_hash = row[7]
    meta = schema.meta
    end = connection.execute(select(meta.c.number).where(meta.c.name == JOURNAL_END)).scalar() or 0
    if end != seq:
        raise JournalCorrupt(f"the journal should end at event {end}, it ends at {seq}")
    return seq
