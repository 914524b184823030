"""A HeatMap as a PNG for a phone: red for crashes, green for rises, dark for the ordinary."""

from dataclasses import dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap

from bot.charts.canvas import (
    BACKGROUND,
    DOWN,
    FAINT,
    GRID,
    INK,
    SMALL_PT,
    TITLE_PT,
    UP,
    WIDTH_PX,
    dress,
    new_figure,
    pixels,
    png_bytes,
    points,
)
from bot.charts.heat_map import (
    NOT_READY,
    NOT_WATCHED,
    TOO_YOUNG,
    HeatCell,
    HeatMap,
    HeatRow,
)

_EDGE_PX: Final = 16.0
_TITLE_PX: Final = 96.0
_LINE_PX: Final = 46.0
_LETTER_PX_MAX: Final = 42.0
_ROW_LETTERS: Final = 1.75
# Widths in letters: of a capital of a symbol, of a cell (+9.9) and of a score (100).
_CAPITAL, _CELL, _SCORE = 0.8, 2.43, 2.2
_GAP: Final = 0.26
# Longer symbols are written smaller.
_SYMBOL_LETTERS: Final = 9
_MEANINGS: Final = {
    NOT_WATCHED: "blank: not watched",
    NOT_READY: f"{NOT_READY} not ready",
    TOO_YOUNG: f"{TOO_YOUNG}: too young",
}
_COLOURS: Final = LinearSegmentedColormap.from_list("scores", (DOWN, "#1a212b", UP))
# On brighter ground dark letters are read better.
_BRIGHT: Final = 0.7
_SCALE: Final = tuple(step / 6 for step in range(-6, 7))


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything is, in pixels."""

    letter: float
    symbols: float
    cell: float
    score: float
    row: float
    height: float
    notes: tuple[str, ...]

    @property
    def rows_at(self) -> float:
        """Where the first row begins, from the top."""
        return _TITLE_PX + self.row * 0.8


def plan_of(heat_map: HeatMap) -> Plan:
    """Make the letters as large as the columns allow, and the picture as high as its rows."""
    columns = len(heat_map.columns)
    longest = min(max(len(_short(row, heat_map)) for row in heat_map.rows), _SYMBOL_LETTERS)
    symbols, cell, score = longest * _CAPITAL + _GAP, _CELL + _GAP, _SCORE + _GAP
    inside = WIDTH_PX - 2 * _EDGE_PX
    # What is left over widens the columns.
    wide = inside / (symbols + columns * cell + 2 * score)
    letter = min(wide, _LETTER_PX_MAX)
    row = letter * _ROW_LETTERS
    notes = notes_of(heat_map)
    height = _TITLE_PX + row * (0.8 + len(heat_map.rows)) + _LINE_PX * (len(notes) + 2)
    return Plan(letter, symbols * wide, cell * wide, score * wide, row, height, notes)


def notes_of(heat_map: HeatMap) -> tuple[str, ...]:
    """What is said below the scale, of those marks alone that are there."""
    texts = {cell.text for row in heat_map.rows for cell in row.cells if cell.warmth is None}
    marks = "   ".join(meaning for text, meaning in _MEANINGS.items() if text in texts)
    more = f"and {heat_map.left_out} calmer ones" if heat_map.left_out else ""
    return tuple(note for note in (marks, more) if note)


def png_of(heat_map: HeatMap) -> bytes:
    """Draw it; 1080 pixels wide, as high as its rows."""
    plan = plan_of(heat_map)
    figure = new_figure(plan.height / pixels(72))
    axes = figure.add_axes((0, 0, 1, 1))
    dress(axes)
    axes.set_xlim(0, WIDTH_PX)
    axes.set_ylim(plan.height, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    _head(axes, heat_map, plan)
    _boxes(axes, heat_map, plan)
    for number, row in enumerate(heat_map.rows):
        _row(axes, number, row, heat_map, plan)
    _legend(axes, plan, plan.rows_at + len(heat_map.rows) * plan.row)
    return png_bytes(figure)


def _write(axes: Axes, x: float, y: float, text: str, size: float, colour: str, **how: Any) -> None:
    # Nobody writes formulas here; to look for some takes a tenth of the time.
    axes.text(
        x, y, text, fontsize=size, color=colour, va="center_baseline", parse_math=False, **how
    )


def _short(row: HeatRow, heat_map: HeatMap) -> str:
    return row.symbol.removesuffix(f"/{heat_map.quote}") if heat_map.quote else row.symbol


def _column(plan: Plan, number: int, columns: int) -> float:
    """Return the middle of a column; the scores come after the candle lengths."""
    scores = max(number - columns + 0.5, 0) if number >= columns else 0.0
    cells = min(number + 0.5, columns)
    return _EDGE_PX + plan.symbols + cells * plan.cell + scores * plan.score


def _head(axes: Axes, heat_map: HeatMap, plan: Plan) -> None:
    _write(axes, _EDGE_PX, 48, heat_map.title, TITLE_PT, INK, fontweight="bold")
    # Not across the cells, which would hide it.
    _write(axes, WIDTH_PX - _EDGE_PX, 48, heat_map.watermark, SMALL_PT, FAINT, ha="right")
    y, size = _TITLE_PX + plan.row * 0.4, points(plan.letter)
    _write(axes, _EDGE_PX, y, heat_map.quote, size, FAINT)
    columns = len(heat_map.columns)
    for number, name in enumerate((*heat_map.columns, "bull", "bear")):
        _write(axes, _column(plan, number, columns), y, name, size, FAINT, ha="center")


def _boxes(axes: Axes, heat_map: HeatMap, plan: Plan) -> None:
    """All cells at once: one patch each would take longer than everything else."""
    cells = [
        (
            _box(
                _EDGE_PX + plan.symbols + place * plan.cell, plan.rows_at + number * plan.row, plan
            ),
            _colour(cell),
        )
        for number, row in enumerate(heat_map.rows)
        for place, cell in enumerate(row.cells)
        if cell.text != NOT_WATCHED
    ]
    if cells:
        boxes, colours = zip(*cells, strict=True)
        axes.add_collection(
            PolyCollection(boxes, facecolors=colours, edgecolors="none"), autolim=False
        )


def _box(x: float, y: float, plan: Plan) -> tuple[tuple[float, float], ...]:
    left, right, top, bottom = x + 2, x + plan.cell - 2, y + 3, y + plan.row - 3
    return ((left, top), (left, bottom), (right, bottom), (right, top))


def _colour(cell: HeatCell) -> str | tuple[float, float, float, float]:
    return GRID if cell.warmth is None else _COLOURS((cell.warmth + 1) / 2)


def _row(axes: Axes, number: int, row: HeatRow, heat_map: HeatMap, plan: Plan) -> None:
    middle, size = plan.rows_at + (number + 0.5) * plan.row, points(plan.letter)
    columns = len(row.cells)
    name = _short(row, heat_map)
    fitting = size * min(1, _SYMBOL_LETTERS / max(len(name), 1))
    _write(axes, _EDGE_PX, middle, name, fitting, INK, fontweight="bold")
    for place, cell in enumerate(row.cells):
        ink = FAINT if cell.warmth is None else BACKGROUND if abs(cell.warmth) > _BRIGHT else INK
        _write(axes, _column(plan, place, columns), middle, cell.text, size, ink, ha="center")
    for place, (text, colour) in enumerate(((row.bull, UP), (row.bear, DOWN))):
        x = _column(plan, columns + place, columns)
        ink = colour if text not in {"?", "0"} else FAINT
        _write(axes, x, middle, text, size, ink, ha="center", fontweight="bold")


def _legend(axes: Axes, plan: Plan, top: float) -> None:
    """What the numbers and the colours are."""
    y = top + _LINE_PX
    _write(axes, _EDGE_PX, y, "change in %", SMALL_PT, FAINT)
    _write(axes, 480, y, "record fall", SMALL_PT, FAINT, ha="right")
    _write(axes, 890, y, "record rise", SMALL_PT, FAINT)
    wide = 370 / len(_SCALE)
    boxes = [
        [(x, y - 16), (x, y + 16), (x + wide, y + 16), (x + wide, y - 16)]
        for x in (500 + place * wide for place in range(len(_SCALE)))
    ]
    colours = [_COLOURS((warmth + 1) / 2) for warmth in _SCALE]
    axes.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="none"), autolim=False)
    for number, note in enumerate(plan.notes, 1):
        _write(axes, _EDGE_PX, y + number * _LINE_PX, note, SMALL_PT, FAINT)
