"""The local socket itself: who listens, who asks, and how long either waits."""

import asyncio
import contextlib
import errno
import logging
import os
import select
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bot.clock import SystemClock
from bot.control.messages import (
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    Ask,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from trading.domain.errors import Refused, UmbraError

logger = logging.getLogger(__name__)

SOCKET = "control.sock"
# Of a start that waits for its database: whoever asks is answered, and no stop is watched.
WAITING_SOCKET = "waiting.sock"
_READ_S = 5.0
# Longer than a panic waits for its sales.
_ACT_S = 25.0
_PATIENCE_S = 30.0
# What is only read waits for nothing: an agent that is silent for so long hangs.
_READING_PATIENCE_S = 5.0
# Of this user alone: who connects and says nothing must not use up what orders go out by.
_AT_ONCE_MAX = 32
# What is at work, also where its asker has gone: each may last for as long as the disk hangs.
_ACTING_MAX = 16
_BUSY = Reply(False, "too many requests are at work already: nothing was begun, ask again")
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_ACCEPT_AGAIN_S = 1.0
_MAKE_AGAIN_S = 5.0
_NO_TIME_S = 0.001
_CLOCK = SystemClock()
_PEER = struct.Struct("3i")


class NobodyListens(Refused):
    """No agent serves this data directory."""


class ControlServer:
    """Answers one request per connection, from this user or root alone."""

    def __init__(
        self,
        data_dir: Path,
        answer: Callable[[Request], Awaitable[Reply]],
        name: str = SOCKET,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._data_dir = data_dir
        self._name = name
        self._answer = answer
        self._sleep = sleep
        self._is_unmade = False
        self._spare = _Spare()
        self._talks: set[asyncio.Task[None]] = set()
        self._acting: set[asyncio.Task[Reply]] = set()

    async def run(self) -> None:
        """Serve until cancelled. Only the holder of the data directory's lock may call this.

        Raises Refused the first time that no socket can be made; called again it waits for one.
        """
        with contextlib.ExitStack() as stack:
            listener = await self._made(stack)
            stack.enter_context(self._spare)
            while True:
                connected = await self._accepted(listener)
                if len(self._talks) >= _AT_ONCE_MAX:
                    self._spare.close(connected)
                    continue
                talk = asyncio.ensure_future(self._talk(connected))
                self._talks.add(talk)
                talk.add_done_callback(self._talks.discard)

    async def _made(self, stack: contextlib.ExitStack) -> socket.socket:
        while True:
            try:
                listener = stack.enter_context(_listener(self._data_dir, self._name))
            except (OSError, Refused) as error:
                if not self._is_unmade:
                    self._is_unmade = True
                    raise Refused(_unmade(self._data_dir / self._name, error)) from error
                await self._sleep(_MAKE_AGAIN_S)
            else:
                self._is_unmade = False
                return listener

    async def _accepted(self, listener: socket.socket) -> socket.socket:
        """Return the next connection; what cannot be accepted yet is tried again."""
        is_told = False
        while True:
            await _somebody_asks(listener)
            try:
                return self._accept(listener)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                if not is_told:
                    logger.warning("local_request_waits", extra={"error": str(error)})
                is_told = True
                await asyncio.sleep(_ACCEPT_AGAIN_S)

    def _accept(self, listener: socket.socket) -> socket.socket:
        """Accept whoever asks, for whom the spare is given up where nothing else is.

        Linux refuses a descriptor before it looks whether anybody asks: given up for nobody, or
        with a turn of the loop in between, the spare would be had by whoever opens something next.
        """
        try:
            connected, _ = listener.accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED or not self._spare.give_up():
                raise
            connected, _ = listener.accept()
        connected.setblocking(False)
        return connected

    async def _talk(self, connected: socket.socket) -> None:
        try:
            if _is_own(connected):
                reply = encode_reply(await self._reply(connected))
                async with asyncio.timeout(_READ_S):
                    await asyncio.get_running_loop().sock_sendall(connected, reply)
        except (OSError, TimeoutError) as error:
            logger.info("local_request_broken_off", extra={"error": type(error).__name__})
        finally:
            self._spare.close(connected)

    async def _reply(self, connected: socket.socket) -> Reply:
        try:
            async with asyncio.timeout(_READ_S):
                request = decode_request(await _asked(connected))
        except Refused as error:
            return Reply(False, str(error))
        if _CLOCK.monotonic() >= request.expires_s or _has_gone(connected):
            # Its asker has read that it failed, and may have done something else since.
            logger.warning("local_request_expired", extra={"ask": request.ask.value})
            return Reply(False, "this request came too late and was not begun: ask again")
        if len(self._acting) >= _ACTING_MAX:
            return _BUSY
        logger.info("local_request", extra={"ask": request.ask.value, "id": request.request_id})
        return await self._act(request)

    async def _act(self, request: Request) -> Reply:
        # Who asked may go away, and patience may end: a panic that has begun is finished.
        acting = asyncio.ensure_future(self._answer(request))
        self._acting.add(acting)
        acting.add_done_callback(self._acting.discard)
        await asyncio.wait({acting}, timeout=_ACT_S)
        if not acting.done():
            return Reply(False, f"not finished within {_ACT_S:.0f} s: umbra status shows how it is")
        try:
            return acting.result()
        except UmbraError as error:
            return Reply(False, str(error))
        except Exception as error:
            # Whoever panics at a terminal must read something.
            logger.exception("local_request_failed", extra={"ask": request.ask.value})
            return Reply(False, f"it failed ({type(error).__name__}): the log says more")


class _Spare:
    """One open descriptor, for the request that comes when the process may open nothing more."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._is_given_up = False

    def __enter__(self) -> None:
        self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def __exit__(self, *_: object) -> None:
        self.give_up()
        self._is_given_up = False

    def give_up(self) -> bool:
        """Let go of it for whoever needs one now; False where there is none any more."""
        if self._descriptor is None:
            return False
        os.close(self._descriptor)
        self._descriptor, self._is_given_up = None, True
        return True

    def close(self, connected: socket.socket) -> None:
        """End a connection; one that is missing is had back by it, before anybody else has it."""
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)
        if self._is_given_up:
            self._descriptor, self._is_given_up = connected.detach(), False
        else:
            connected.close()


async def _somebody_asks(listener: socket.socket) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener.fileno(), asked.set)
    try:
        await asked.wait()
    finally:
        loop.remove_reader(listener.fileno())


async def _asked(connected: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n") and len(received) <= REQUEST_BYTES_MAX:
        # More than is taken: what lies unread when a connection ends would tear the answer up.
        piece = await asyncio.get_running_loop().sock_recv(connected, 4 * REQUEST_BYTES_MAX)
        if not piece:
            break
        received += piece
    return bytes(received)


def patience_s(wanted: Ask) -> float:
    """How long an answer may take before the agent counts as silent."""
    return _READING_PATIENCE_S if wanted is Ask.STATUS else _PATIENCE_S


def ask(data_dir: Path, request: Request, within_s: float | None = None) -> Reply:
    """Ask the agent that runs, or waits to start.

    Raises NobodyListens, or Refused when it does not answer in time.
    """
    try:
        return _ask(data_dir, SOCKET, request, within_s)
    except NobodyListens:
        return _ask(data_dir, WAITING_SOCKET, request, within_s)


def _ask(data_dir: Path, name: str, request: Request, within_s: float | None) -> Reply:
    waited_s = within_s or patience_s(request.ask)
    ends_s = _CLOCK.monotonic() + waited_s
    request = replace(request, expires_s=ends_s)
    with _asking(data_dir) as (asking, reachable):
        asking.settimeout(waited_s)
        try:
            asking.connect(f"{reachable}/{name}")
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NobodyListens(f"no agent serves {data_dir}") from error
        except PermissionError as error:
            raise Refused(_locked_away(data_dir, error)) from error
        except OSError as error:
            raise Refused(_silent(data_dir, request.ask, error, 0)) from error
        try:
            asking.sendall(encode_request(request))
            return decode_reply(_line(asking, ends_s))
        except OSError as error:
            raise Refused(_silent(data_dir, request.ask, error, _peer(asking)[0])) from error


def is_served(data_dir: Path) -> bool:
    """Whether an agent that runs listens on the data directory's socket."""
    try:
        with _asking(data_dir) as (asking, reachable):
            asking.settimeout(_READ_S)
            asking.connect(f"{reachable}/{SOCKET}")
    except (OSError, Refused):
        return False
    return True


def _silent(data_dir: Path, wanted: Ask, error: OSError, process_id: int) -> str:
    who = f" (process {process_id})" if process_id else ""
    said = (
        f"the agent of {data_dir}{who} does not answer ({type(error).__name__}), "
        "so its stops may not be watched"
    )
    if wanted in {Ask.HALT, Ask.PANIC, Ask.RESUME}:
        said += (
            ". What was asked for is not begun later; "
            "whether it had begun already, umbra status shows"
        )
    if wanted in {Ask.PANIC, Ask.PREVIEW}:
        kill = f"kill -9 {process_id}" if process_id else f"its id is in {data_dir / 'agent.lock'}"
        return (
            f"{said}. To sell all the same, end its process ({kill}) and send umbra panic again: "
            "it takes over and acts itself"
        )
    if wanted is Ask.RESUME:
        return said
    return f"{said}; a file halts it as soon as it can: touch {data_dir / 'HALT'}"


def _locked_away(data_dir: Path, error: OSError) -> str:
    return (
        f"{data_dir} cannot be looked into ({error.strerror or type(error).__name__}), so that "
        "nobody was asked and nothing was done: ask as the user whose agent it is, or as root"
    )


def _line(asking: socket.socket, ends_s: float) -> bytes:
    """Read until a line has ended; raises TimeoutError when all of it is not there in time."""
    received = bytearray()
    while not received.endswith(b"\n") and len(received) <= REPLY_BYTES_MAX:
        # Of a socket without a blocking wait, zero seconds would make another error.
        asking.settimeout(max(ends_s - _CLOCK.monotonic(), _NO_TIME_S))
        piece = asking.recv(REPLY_BYTES_MAX)
        if not piece:
            raise ConnectionResetError("the answer was broken off")
        received += piece
    return bytes(received)


@contextlib.contextmanager
def _asking(data_dir: Path) -> Iterator[tuple[socket.socket, str]]:
    """Give what asks, and how the directory is reached.

    Raises NobodyListens where there is no directory, and Refused where that cannot be found out:
    whoever takes that for silence would act beside an agent that runs.
    """
    with contextlib.ExitStack() as stack:
        try:
            reachable = stack.enter_context(_directory(data_dir))
            asking = stack.enter_context(socket.socket(socket.AF_UNIX))
        except FileNotFoundError as error:
            raise NobodyListens(f"no agent serves {data_dir}") from error
        except PermissionError as error:
            raise Refused(_locked_away(data_dir, error)) from error
        except OSError as error:
            raise Refused(
                f"{data_dir} cannot be looked into ({error.strerror or type(error).__name__}), "
                "so that nobody was asked and nothing was done"
            ) from error
        yield asking, reachable


@contextlib.contextmanager
def _directory(data_dir: Path) -> Iterator[str]:
    # The name of a socket may have 107 bytes; through the open directory any path is short.
    opened = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)


@contextlib.contextmanager
def _listener(data_dir: Path, name: str) -> Iterator[socket.socket]:
    path = data_dir / name
    with _directory(data_dir) as reachable, socket.socket(socket.AF_UNIX) as listener:
        # What lies there is of a process that is gone: its lock is ours.
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(f"{reachable}/{name}")
        finally:
            os.umask(before)
        if stat.S_IMODE(path.stat().st_mode) != 0o600:
            raise Refused("it would not be for its owner alone")
        listener.setblocking(False)
        listener.listen()
        try:
            yield listener
        finally:
            # On a disk that is lost it stays, and whoever connects learns that nobody listens.
            with contextlib.suppress(OSError):
                path.unlink()


def _unmade(path: Path, error: OSError | Refused) -> str:
    why = str(error) if isinstance(error, Refused) else error.strerror or type(error).__name__
    return (
        f"no socket can be made at {path} ({why}), so umbra status, halt and panic do not reach "
        f"this agent: the chat does, and a file {path.parent / 'HALT'} halts it. Give "
        "UMBRA_DATA_DIR a folder on a local disk that its user may write"
    )


def _is_own(connected: socket.socket) -> bool:
    return _peer(connected)[1] in {0, os.getuid()}


def _peer(connected: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end, 0 for a process that cannot be named."""
    found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    process_id, user_id, _ = _PEER.unpack(found)
    return process_id, user_id


def _has_gone(connected: socket.socket) -> bool:
    # The loop may have read the request and not yet its end: both can lie there since long ago.
    waiting = select.poll()
    waiting.register(connected.fileno(), select.POLLRDHUP)
    return bool(waiting.poll(0))
