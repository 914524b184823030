"""A process of its own for heavy work: bytes in, bytes out, one request at a time."""

import asyncio
import contextlib
import logging
import os
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

from trading.domain.errors import NotInTime

logger = logging.getLogger(__name__)

_NICE: Final = 19
_LENGTH: Final = struct.Struct(">I")


class Child:
    """Starts its process at the first request, and again when it died or hung.

    A child started by exec, not by multiprocessing, which would import the whole agent again; it
    gets an environment of its own, because it has no use for the agent's secrets. Its module calls
    `serve` when it is run.
    """

    def __init__(self, module: str, deadline_s: float) -> None:
        self._module = module
        self._deadline_s = deadline_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process that answers, None while there is none."""
        return self._process.pid if self._process is not None else None

    async def ask(self, request: bytes) -> bytes:
        """Return the answer to one request; raises NotInTime when it takes too long.

        A child that dies is asked once more, by another one.
        """
        async with self._turn:
            for attempt in (1, 2):
                try:
                    async with asyncio.timeout(self._deadline_s):
                        return await self._exchange(request)
                except (TimeoutError, OSError, EOFError) as error:
                    extra = {"child": self._module, "error": type(error).__name__}
                    logger.warning("child_failed", extra={**extra, "attempt": attempt})
                    await self.close()
                    if isinstance(error, TimeoutError):
                        break
                except asyncio.CancelledError:
                    # Nobody waits for the answer any more, and the next one must not get it.
                    self._kill()
                    raise
        raise NotInTime("this could not be worked out in time")

    async def close(self) -> None:
        """End the process."""
        process = self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> asyncio.subprocess.Process | None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return process

    async def _exchange(self, request: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(_LENGTH.pack(len(request)) + request)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
                limit=4 * 1024 * 1024,
            )
        return self._process


def serve(answer: Callable[[bytes], bytes], requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each request until the other end closes."""
    while len(head := requests.read(_LENGTH.size)) == _LENGTH.size:
        answered = answer(requests.read(_LENGTH.unpack(head)[0]))
        answers.write(_LENGTH.pack(len(answered)) + answered)
        answers.flush()


def serve_alone(answer: Callable[[bytes], bytes]) -> None:
    """Be a child: last in line for the processor, requests at standard input."""
    os.nice(_NICE)
    serve(answer, sys.stdin.buffer, sys.stdout.buffer)
