"""The first tables: the journal, the lease, snapshots, and the projections."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORDINAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TYPES: dict[str, Any] = {
    "ordinal": ORDINAL,
    "small": sa.Integer(),
    "text": sa.Text(),
    "bytes": sa.LargeBinary(),
}

# Table: columns as "name type", `*` marks the primary key, `?` what may be NULL.
TABLES = {
    "journal": "seq* ordinal, epoch ordinal, at_ms ordinal, kind text, key? text, payload text, "
    "prev_hash bytes, hash bytes",
    "lease": "only* small, epoch ordinal, holder text",
    "meta": "name* text, number ordinal",
    "snapshots": "seq* ordinal, document text, digest bytes",
    "trackers": "tracker_id* ordinal, seq ordinal, is_ended small",
    "intents": "intent_id* text, first_seq ordinal, seq ordinal, is_ended small",
    "attempts": "client_order_id* text, first_seq ordinal, seq ordinal, intent_id text, "
    "number small, state text, is_ended small, changed_us ordinal",
    "fills": "seq* ordinal, symbol text, intent_id text, at_us ordinal",
    "positions": "symbol* text, seq ordinal, document text",
    "round_trips": "seq* ordinal, closed_us ordinal",
    "people": "user_id* ordinal, seq ordinal",
    "inbox": "update_id* ordinal, seq ordinal, is_handled small",
    "outbox": "message_key* text, seq ordinal, chat_id ordinal, card? text, is_urgent small, "
    "delivered_seq? ordinal, message_id? ordinal",
    "confirmations": "nonce* text, seq ordinal, answered_seq? ordinal",
    "alerts": "alert_id* text, seq ordinal, is_open small",
    "conditions": "condition* text, symbol* text, seq ordinal, is_active small",
    "job_runs": "job* text, seq ordinal",
}

# Name, table, columns, and the rows that a partial index holds.
INDEXES = (
    ("journal_kind_seq", "journal", "kind seq", None),
    ("attempts_intent", "attempts", "intent_id", None),
    ("fills_at", "fills", "at_us", None),
    ("fills_symbol_at", "fills", "symbol at_us", None),
    ("fills_intent", "fills", "intent_id", None),
    ("round_trips_closed", "round_trips", "closed_us", None),
    ("outbox_card", "outbox", "card chat_id", None),
    ("trackers_live", "trackers", "tracker_id", "is_ended = 0"),
    ("intents_live", "intents", "first_seq", "is_ended = 0"),
    ("attempts_live", "attempts", "first_seq", "is_ended = 0"),
    ("attempts_absent", "attempts", "changed_us", "state = 'absent'"),
    ("inbox_pending", "inbox", "seq", "is_handled = 0"),
    ("outbox_pending", "outbox", "seq", "delivered_seq IS NULL"),
    ("alerts_open", "alerts", "seq", "is_open = 1"),
    ("confirmations_open", "confirmations", "nonce", "answered_seq IS NULL"),
)


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.create_table(table, *(_column(column) for column in columns.split(", ")))
    unique = sa.text("key IS NOT NULL")
    op.create_index(
        "journal_kind_key",
        "journal",
        ["kind", "key"],
        unique=True,
        sqlite_where=unique,
        postgresql_where=unique,
    )
    for name, table, columns, rows in INDEXES:
        where = sa.text(rows) if rows else None
        op.create_index(name, table, columns.split(), sqlite_where=where, postgresql_where=where)


def _column(text: str) -> sa.Column[Any]:
    name, kind = text.split()
    return sa.Column(
        name.rstrip("*?"),
        TYPES[kind],
        primary_key=name.endswith("*"),
        nullable=name.endswith("?"),
        autoincrement=False,
    )
