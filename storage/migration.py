"""Brings a database to this version's tables, with a copy kept before anything old is changed."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from storage import schema
from trading.domain.errors import SettingsInvalid

if TYPE_CHECKING:
    from alembic.config import Config

# Keeps a copy of a database at a revision, and returns what takes that away again.
BackUp = Callable[[Connection, str], Callable[[], None]]
_MIGRATIONS = Path(__file__).with_name("migrations")


def upgrade(connection: Connection, back_up: BackUp) -> bool:
    """Upgrade inside one transaction and return whether the database was empty before.

    `back_up` is called with the old revision when there is one that must change, and what it
    returns where that came to nothing: a copy of what is still there only takes room.

    Raises SettingsInvalid when a newer version of Umbra has written this database.
    """
    with connection.begin():
        found = revision(connection)
    if found == schema.REVISION:
        return False
    if found is not None:
        _require_known(found)
        take_back = back_up(connection, found)
        try:
            _upgrade(connection)
        except Exception:
            with contextlib.suppress(SQLAlchemyError), connection.begin():
                if revision(connection) == found:
                    take_back()
            raise
        return False
    _upgrade(connection)
    return True


def _upgrade(connection: Connection) -> None:
    # Most starts find everything as it should be, and never pay for this import.
    from alembic import command

    with connection.begin():
        command.upgrade(_config(connection), "head")


def revision(connection: Connection) -> str | None:
    """Return the revision that a database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _require_known(found: str) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        ScriptDirectory(str(_MIGRATIONS)).get_revision(found)
    except CommandError as error:
        raise SettingsInvalid(
            f"the database is at revision {found}, this version of Umbra knows up to "
            f"{schema.REVISION}: a newer version has written it; install that one, or set "
            "UMBRA_DATABASE_URL to another database, for example "
            "sqlite+aiosqlite:///umbra.sqlite"
        ) from error


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
