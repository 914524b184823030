"""A disk without room, as SQLite meets it."""

from collections.abc import Iterator
from contextlib import contextmanager

from storage.store import Store


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """Give the database no page more than it has now."""
    writer = store._database._writer  # type: ignore[attr-defined]
    thread = store._database._writer_thread  # type: ignore[attr-defined]

    def limit(pages: int) -> None:
        driver = writer.connection.driver_connection
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = pages or driver.execute("PRAGMA page_count").fetchone()[0]
        driver.execute(f"PRAGMA max_page_count = {pages}")

    thread.submit(limit, 0).result()
    yield
    thread.submit(limit, 2**30).result()
