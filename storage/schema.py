"""The tables: one append-only journal, and projections that point into it.

A projection row holds what queries filter by, and the `seq` of the journal row that holds the
whole value. So every value that is read back lies under the hash chain, and is stored once.
Positions and snapshots are sums of many events: they carry a document of their own.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

REVISION = "0001"
ORDINAL = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

journal = Table(
    "journal",
    metadata,
    Column("seq", ORDINAL, primary_key=True, autoincrement=False),
    Column("epoch", ORDINAL, nullable=False),
    Column("at_ms", ORDINAL, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text),
    Column("payload", Text, nullable=False),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
Index("journal_kind_seq", journal.c.kind, journal.c.seq)
Index(
    "journal_kind_key",
    journal.c.kind,
    journal.c.key,
    unique=True,
    sqlite_where=text("key IS NOT NULL"),
    postgresql_where=text("key IS NOT NULL"),
)

# One row: who may write. A writer whose epoch is older has been replaced.
lease = Table(
    "lease",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("epoch", ORDINAL, nullable=False),
    Column("holder", Text, nullable=False),
)

# Single values: the seq of the newest event of a kind, or a number.
meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", ORDINAL, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("seq", ORDINAL, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

trackers = Table(
    "trackers",
    metadata,
    Column("tracker_id", ORDINAL, primary_key=True, autoincrement=False),
    Column("seq", ORDINAL, nullable=False),
    Column("is_ended", Integer, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("intent_id", Text, primary_key=True),
    Column("first_seq", ORDINAL, nullable=False),
    Column("seq", ORDINAL, nullable=False),
    Column("is_ended", Integer, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("first_seq", ORDINAL, nullable=False),
    Column("seq", ORDINAL, nullable=False),
    Column("intent_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_ended", Integer, nullable=False),
    Column("changed_us", ORDINAL, nullable=False),
)
Index("attempts_intent", attempts.c.intent_id)

fills = Table(
    "fills",
    metadata,
    Column("seq", ORDINAL, primary_key=True, autoincrement=False),
    Column("symbol", Text, nullable=False),
    Column("intent_id", Text, nullable=False),
    Column("at_us", ORDINAL, nullable=False),
)
Index("fills_at", fills.c.at_us)
Index("fills_symbol_at", fills.c.symbol, fills.c.at_us)
Index("fills_intent", fills.c.intent_id)

positions = Table(
    "positions",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
    Column("document", Text, nullable=False),
)

round_trips = Table(
    "round_trips",
    metadata,
    Column("seq", ORDINAL, primary_key=True, autoincrement=False),
    Column("closed_us", ORDINAL, nullable=False),
)
Index("round_trips_closed", round_trips.c.closed_us)

people = Table(
    "people",
    metadata,
    Column("user_id", ORDINAL, primary_key=True, autoincrement=False),
    Column("seq", ORDINAL, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("update_id", ORDINAL, primary_key=True, autoincrement=False),
    Column("seq", ORDINAL, nullable=False),
    Column("is_handled", Integer, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("message_key", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
    Column("chat_id", ORDINAL, nullable=False),
    Column("card", Text),
    Column("is_urgent", Integer, nullable=False),
    Column("delivered_seq", ORDINAL),
    Column("message_id", ORDINAL),
)
Index("outbox_card", outbox.c.card, outbox.c.chat_id)

confirmations = Table(
    "confirmations",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
    Column("answered_seq", ORDINAL),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
    Column("is_open", Integer, nullable=False),
)

conditions = Table(
    "conditions",
    metadata,
    Column("condition", Text, primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
    Column("is_active", Integer, nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("job", Text, primary_key=True),
    Column("seq", ORDINAL, nullable=False),
)

# What still matters is a handful of rows in tables that only grow: a partial index finds them.
for _name, _column, _where in (
    ("trackers_live", trackers.c.tracker_id, "is_ended = 0"),
    ("intents_live", intents.c.first_seq, "is_ended = 0"),
    ("attempts_live", attempts.c.first_seq, "is_ended = 0"),
    ("attempts_absent", attempts.c.changed_us, "state = 'absent'"),
    ("inbox_pending", inbox.c.seq, "is_handled = 0"),
    ("outbox_pending", outbox.c.seq, "delivered_seq IS NULL"),
    ("alerts_open", alerts.c.seq, "is_open = 1"),
    ("confirmations_open", confirmations.c.nonce, "answered_seq IS NULL"),
):
    Index(_name, _column, sqlite_where=text(_where), postgresql_where=text(_where))

PROJECTIONS = (
    *(trackers, intents, attempts, fills, positions, round_trips, people, inbox, outbox),
    *(confirmations, alerts, conditions, job_runs),
)
