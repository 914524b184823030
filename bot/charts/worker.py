"""Draws charts in a process of its own, so that 150 ms of drawing never hold up a price."""

import asyncio
from pathlib import Path
from typing import Any, Final

import orjson

from bot.charts.drawing import Drawing, drawing_from_json
from bot.charts.heat_map import HeatMap, heat_map_from_json
from bot.charts.score_chart import ScoreChart, score_chart_from_json
from bot.child import Child, serve_alone
from bot.handed_out import keep_newest
from trading.domain.errors import NotInTime

_DEADLINE_S: Final = 10.0
_PICTURES_KEPT: Final = 50

Picture = Drawing | HeatMap | ScoreChart


class ChartWorker:
    """Starts its process at the first picture, and again when it died or hung."""

    def __init__(self, deadline_s: float = _DEADLINE_S) -> None:
        self._child = Child("bot.charts.worker", deadline_s)

    @property
    def pid(self) -> int | None:
        """The process that draws, None while there is none."""
        return self._child.pid

    async def draw(self, picture: Picture, path: Path) -> Path:
        """Write a PNG to `path` and return it; raises NotInTime when it takes too long."""
        try:
            png = await self._child.ask(request_of(picture))
        except NotInTime as error:
            raise NotInTime("the picture could not be drawn in time") from error
        await asyncio.to_thread(_write, path, png)
        return path

    async def close(self) -> None:
        """End the process."""
        await self._child.close()


def request_of(picture: Picture) -> bytes:
    """Return what the process is asked; on the loop, where a stop may have just fired."""
    # A tenth of the time that the standard library takes for some hundred candles.
    content = {"kind": type(picture).__name__, "content": picture}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _write(path: Path, png: bytes) -> None:
    keep_newest(path.parent, _PICTURES_KEPT, "*.png")
    path.write_bytes(png)


def png_of(request: bytes) -> bytes:
    """Draw one request."""
    wanted: dict[str, Any] = orjson.loads(request)
    return _drawn(wanted["kind"], wanted["content"])


def _drawn(kind: str, content: dict[str, Any]) -> bytes:
    from bot.charts import heat_picture, picture, score_picture

    if kind == HeatMap.__name__:
        return heat_picture.png_of(heat_map_from_json(content))
    if kind == ScoreChart.__name__:
        return score_picture.png_of(score_chart_from_json(content))
    return picture.png_of(drawing_from_json(content))


if __name__ == "__main__":
    serve_alone(png_of)
