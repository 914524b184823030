"""A HeatMap as a PNG for a phone: red for crashes, green for rises, dark for the ordinary."""

from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap

from bot.charts.canvas import (
    BACKGROUND,
    DOWN,
    FAINT,
    GRID,
    INK,
    UP,
    dress,
    new_figure,
    png_bytes,
)
from bot.charts.heat_map import HeatCell, HeatMap, HeatRow

_ROW_IN: Final = 0.44
_HEAD_IN: Final = 0.72
_SYMBOL_COLUMNS: Final = 2.2
_SCORE_COLUMNS: Final = 2
# In a row that narrow longer symbols are written smaller.
_SYMBOL_LETTERS: Final = 10
_COLOURS: Final = LinearSegmentedColormap.from_list("scores", (DOWN, "#1a212b", UP))


def png_of(heat_map: HeatMap) -> bytes:
    """Draw it; 1080 pixels wide, as high as its rows."""
    rows = len(heat_map.rows)
    height_in = _HEAD_IN + max(rows, 3) * _ROW_IN
    figure = new_figure(height_in)
    axes = figure.add_axes((0.02, 0.02, 0.96, 1 - _HEAD_IN / height_in))
    dress(axes)
    axes.set_xlim(0, _SYMBOL_COLUMNS + len(heat_map.columns) + _SCORE_COLUMNS)
    axes.set_ylim(max(rows, 3), -0.8)
    axes.set_xticks([])
    axes.set_yticks([])
    _head(axes, heat_map)
    _boxes(axes, heat_map)
    for number, row in enumerate(heat_map.rows):
        _row(axes, number, row)
    title_at = 1 - 0.5 / height_in
    figure.text(0.02, title_at, heat_map.title, color=INK, fontsize=19, fontweight="bold")
    # Not across the cells, which would hide it.
    more = f"and {heat_map.left_out} calmer ones" if heat_map.left_out else ""
    notes = "   ".join(note for note in (more, heat_map.watermark) if note)
    figure.text(0.98, title_at, notes, color=FAINT, fontsize=13, ha="right")
    return png_bytes(figure)


def _head(axes: Axes, heat_map: HeatMap) -> None:
    for number, name in enumerate((*heat_map.columns, "bull", "bear")):
        x = _SYMBOL_COLUMNS + number + 0.5
        axes.text(x, -0.35, name, color=FAINT, fontsize=13, ha="center", va="center")


def _boxes(axes: Axes, heat_map: HeatMap) -> None:
    """All cells at once: one patch each would take longer than everything else."""
    cells = [
        (_box(_SYMBOL_COLUMNS + place, number), _colour(cell))
        for number, row in enumerate(heat_map.rows)
        for place, cell in enumerate(row.cells)
    ]
    if cells:
        boxes, colours = zip(*cells, strict=True)
        axes.add_collection(
            PolyCollection(boxes, facecolors=colours, edgecolors="none"), autolim=False
        )


def _box(x: float, y: float) -> tuple[tuple[float, float], ...]:
    left, right, top, bottom = x + 0.03, x + 0.97, y + 0.06, y + 0.94
    return ((left, top), (left, bottom), (right, bottom), (right, top))


def _colour(cell: HeatCell) -> str | tuple[float, float, float, float]:
    return GRID if cell.warmth is None else _COLOURS((cell.warmth + 1) / 2)


def _row(axes: Axes, number: int, row: HeatRow) -> None:
    middle = number + 0.5
    size = 14 * min(1, _SYMBOL_LETTERS / max(len(row.symbol), 1))
    axes.text(0.05, middle, row.symbol, color=INK, fontsize=size, fontweight="bold", va="center")
    for place, cell in enumerate(row.cells):
        x = _SYMBOL_COLUMNS + place
        ink = FAINT if cell.warmth is None else BACKGROUND if abs(cell.warmth) > 0.8 else INK
        axes.text(x + 0.5, middle, cell.text, color=ink, fontsize=12, ha="center", va="center")
    for place, (text, colour) in enumerate(((row.bull, UP), (row.bear, DOWN))):
        axes.text(
            _SYMBOL_COLUMNS + len(row.cells) + place + 0.5,
            middle,
            text,
            color=colour if text not in {"?", "0"} else FAINT,
            fontsize=15,
            fontweight="bold",
            ha="center",
            va="center",
        )
