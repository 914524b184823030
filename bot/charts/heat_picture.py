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
_FOOT_IN: Final = 0.42
_SYMBOL_COLUMNS: Final = 2.2
_SCORE_COLUMNS: Final = 2
# In a row that narrow longer symbols are written smaller.
_SYMBOL_LETTERS: Final = 10
# With as many columns as this the letters have their smallest size; with fewer they grow.
_COLUMNS_USUAL: Final = 14.2
_GROWTH_MAX: Final = 1.7
# All rows together are no higher than a phone shows.
_ROWS_IN: Final = 13.4
_LEGEND: Final = (
    "Change of each candle. Colour: how rare, red as a fall, green as a rise.",
    "Empty: not watched.  -: not ready.",
)
_COLOURS: Final = LinearSegmentedColormap.from_list("scores", (DOWN, "#1a212b", UP))


def png_of(heat_map: HeatMap) -> bytes:
    """Draw it; 1080 pixels wide, as high as its rows."""
    rows = len(heat_map.rows)
    columns = _SYMBOL_COLUMNS + len(heat_map.columns) + _SCORE_COLUMNS
    growth = max(min(_COLUMNS_USUAL / columns, _GROWTH_MAX, _ROWS_IN / ((rows + 0.8) * _ROW_IN)), 1)
    row_in = _ROW_IN * growth
    # The names of the columns take eight tenths of a row.
    height_in = _HEAD_IN + (rows + 0.8) * row_in + _FOOT_IN
    figure = new_figure(height_in)
    bottom = _FOOT_IN / height_in
    axes = figure.add_axes((0.02, bottom, 0.96, 1 - bottom - _HEAD_IN / height_in))
    dress(axes)
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, -0.8)
    axes.set_xticks([])
    axes.set_yticks([])
    _head(axes, heat_map, growth)
    _boxes(axes, heat_map)
    for number, row in enumerate(heat_map.rows):
        _row(axes, number, row, growth)
    legend = "  ".join(_LEGEND)
    figure.text(0.02, 0.15 / height_in, legend, color=FAINT, fontsize=12)
    title_at = 1 - 0.5 / height_in
    figure.text(0.02, title_at, heat_map.title, color=INK, fontsize=19, fontweight="bold")
    # Not across the cells, which would hide it.
    more = f"and {heat_map.left_out} calmer ones" if heat_map.left_out else ""
    notes = "   ".join(note for note in (more, heat_map.watermark) if note)
    figure.text(0.98, title_at, notes, color=FAINT, fontsize=13, ha="right")
    return png_bytes(figure)


def _head(axes: Axes, heat_map: HeatMap, growth: float) -> None:
    for number, name in enumerate((*heat_map.columns, "bull", "bear")):
        x = _SYMBOL_COLUMNS + number + 0.5
        axes.text(x, -0.35, name, color=FAINT, fontsize=13 * growth, ha="center", va="center")


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


def _row(axes: Axes, number: int, row: HeatRow, growth: float) -> None:
    middle = number + 0.5
    size = 14 * growth * min(1, _SYMBOL_LETTERS / max(len(row.symbol), 1))
    axes.text(0.05, middle, row.symbol, color=INK, fontsize=size, fontweight="bold", va="center")
    for place, cell in enumerate(row.cells):
        x = _SYMBOL_COLUMNS + place
        ink = FAINT if cell.warmth is None else BACKGROUND if abs(cell.warmth) > 0.8 else INK
        axes.text(
            x + 0.5, middle, cell.text, color=ink, fontsize=12 * growth, ha="center", va="center"
        )
    for place, (text, colour) in enumerate(((row.bull, UP), (row.bear, DOWN))):
        axes.text(
            _SYMBOL_COLUMNS + len(row.cells) + place + 0.5,
            middle,
            text,
            color=colour if text not in {"?", "0"} else FAINT,
            fontsize=15 * growth,
            fontweight="bold",
            ha="center",
            va="center",
        )
