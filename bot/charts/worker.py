"""Draws charts in a process of its own, so that 150 ms of drawing never hold up a price."""

import asyncio
import contextlib
import json
import logging
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

from bot.charts.drawing import Drawing, drawing_from_json
from bot.charts.heat_map import HeatMap, heat_map_from_json
from bot.charts.score_chart import ScoreChart, score_chart_from_json
from trading.domain.errors import NotInTime

logger = logging.getLogger(__name__)
_DEADLINE_S: Final = 10.0
_NICE: Final = 19
_LENGTH: Final = struct.Struct(">I")
_PICTURES_KEPT: Final = 50

Picture = Drawing | HeatMap | ScoreChart


class ChartWorker:
    """Starts its process at the first picture, and again when it died or hung.

    A child started by exec, not by multiprocessing, which would import the whole agent again; it
    gets an environment of its own, because it has no use for the agent's secrets.
    """

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def draw(self, picture: Picture, path: Path) -> Path:
        """Write a PNG to `path` and return it; raises NotInTime when it takes too long."""
        png = await self._png(picture)
        _write(path, png)
        return path

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _png(self, picture: Picture) -> bytes:
        async with self._turn:
            for attempt in (1, 2):
                try:
                    async with asyncio.timeout(self._deadline_s):
                        return await self._exchange(picture)
                except (TimeoutError, OSError, EOFError) as error:
                    logger.warning(
                        "chart_worker_failed",
                        extra={"error": type(error).__name__, "attempt": attempt},
                    )
                    await self.close()
                    if isinstance(error, TimeoutError):
                        break
        raise NotInTime("the picture could not be drawn in time")

    async def _exchange(self, picture: Picture) -> bytes:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        assert process.stdout is not None  # noqa: S101
        kind = type(picture).__name__
        request = json.dumps({"kind": kind, "content": picture.as_json()}).encode()
        process.stdin.write(_LENGTH.pack(len(request)) + request)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot.charts.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
                limit=4 * 1024 * 1024,
            )
        return self._process


def _write(path: Path, png: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget_old(path.parent)
    path.write_bytes(png)


def _forget_old(folder: Path) -> None:
    pictures = sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime)
    for path in pictures[:-_PICTURES_KEPT]:
        path.unlink(missing_ok=True)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Draw each request until the other end closes."""
    while len(head := requests.read(_LENGTH.size)) == _LENGTH.size:
        request = json.loads(requests.read(_LENGTH.unpack(head)[0]))
        png = _drawn(request["kind"], request["content"])
        answers.write(_LENGTH.pack(len(png)) + png)
        answers.flush()


def _drawn(kind: str, content: dict[str, Any]) -> bytes:
    from bot.charts import heat_picture, picture, score_picture

    if kind == HeatMap.__name__:
        return heat_picture.png_of(heat_map_from_json(content))
    if kind == ScoreChart.__name__:
        return score_picture.png_of(score_chart_from_json(content))
    return picture.png_of(drawing_from_json(content))


if __name__ == "__main__":
    os.nice(_NICE)
    serve(sys.stdin.buffer, sys.stdout.buffer)
