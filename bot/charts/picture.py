"""A Drawing as a PNG for a phone: dark, levels named beside their lines, prices at the right."""

from typing import Final

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from bot.charts.canvas import (
    BACKGROUND,
    DOWN,
    FAINT,
    GRID,
    INK,
    PRICE,
    SMALL_PT,
    TITLE_PT,
    UP,
    Chip,
    dress,
    margin_of,
    new_figure,
    png_bytes,
    time_axis,
    value_axis,
    watermark,
)
from bot.charts.drawing import (
    ENTRY,
    PAUSED,
    RECORD,
    RESISTANCE,
    STOP,
    TARGET,
    Drawing,
    FillMark,
)
from bot.charts.labels import format_price, price_ticks
from bot.charts.level_labels import label_of, share_of, width_px, write_labels

_HEIGHT_IN: Final = 10.0
COLOURS: Final = {
    STOP: "#ff5c7a",
    TARGET: "#fff08a",
    ENTRY: "#4f9dff",
    RECORD: "#d6b3ff",
    RESISTANCE: "#ff9f43",
    PAUSED: "#7878b0",
}
# Of the height of the candles: what lies further away would squash them.
_OUTSIDE_MAX: Final = 0.35
_MARGIN: Final = 0.08
# A line of text as part of the height, and how many of them move the candles.
_LINE: Final = 0.06
_LINES_MAX: Final = 3
_LEFT: Final = 0.02
# From the end of a candle to the mark of an execution, part of the height.
_MARK_GAP: Final = 0.025


def png_of(drawing: Drawing) -> bytes:
    """Draw it; 1080 by 1200 pixels."""
    figure = new_figure(_HEIGHT_IN)
    bounds = price_bounds(drawing)
    ticks = price_ticks(bounds, drawing.places)
    chips = _chips(drawing)
    labels = [
        label_of(level, bounds, drawing.places, COLOURS[level.meaning]) for level in drawing.levels
    ]
    scale = margin_of([*(text for _, text in ticks), *(chip.text for chip in chips)])
    right = 1 - scale - share_of(labels)
    grid = figure.add_gridspec(
        2, 1, height_ratios=(6, 1), hspace=0.03, left=_LEFT, right=right, top=0.925, bottom=0.075
    )
    prices, volumes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    count = len(drawing.bars)
    for axes in (prices, volumes):
        dress(axes)
        # So far to the right that the mark of an execution is not cut.
        axes.set_xlim(-1.0, count - 0.5 + max(count * 0.025, 0.5))
        axes.grid(True, color=GRID, linewidth=1.2)
    _candles(prices, drawing)
    _volume(volumes, drawing)
    prices.set_ylim(*bounds)
    value_axis(prices, ticks, chips, width_px(labels))
    prices.set_xticks([place for place, _ in drawing.times], [""] * len(drawing.times))
    time_axis(volumes, drawing.times)
    _levels(prices, drawing)
    write_labels(prices, labels)
    _markers(prices, drawing, bounds)
    _title(figure, drawing)
    watermark(prices, drawing.watermark)
    return png_bytes(figure)


def price_bounds(drawing: Drawing) -> tuple[float, float]:
    """Lowest and highest price shown: all candles, what was filled, and levels that are near."""
    now = () if drawing.price is None else (drawing.price,)
    filled = [mark.price for mark in drawing.markers]
    low = min(*(bar.low for bar in drawing.bars), *now, *filled, float("inf"))
    high = max(*(bar.high for bar in drawing.bars), *now, *filled, 0.0)
    reach = (high - low) * _OUTSIDE_MAX or high * 0.002
    near = [
        value
        for level in drawing.levels
        for value in (level.left_price, level.right_price)
        if low - reach <= value <= high + reach
    ]
    low, high = min([low, *near]), max([high, *near])
    margin = max((high - low) * _MARGIN, high * 1e-6)
    line = max((high - low) * _LINE, high * 1e-6)
    # Room for what is said of levels out of sight.
    below = sum(level.right_price < low for level in drawing.levels)
    above = sum(level.right_price > high for level in drawing.levels)
    return (
        low - margin - line * min(below, _LINES_MAX),
        high + margin + line * min(above, _LINES_MAX),
    )


def _candles(axes: Axes, drawing: Drawing) -> None:
    bars = drawing.bars
    colours = [UP if bar.close >= bar.open else DOWN for bar in bars]
    wicks = [((x, bar.low), (x, bar.high)) for x, bar in enumerate(bars)]
    axes.add_collection(LineCollection(wicks, colors=colours, linewidths=1.4))
    span = max(bar.high for bar in bars) - min(bar.low for bar in bars)
    thinnest = max(span * 0.0015, 1e-12)
    bodies = [_box(x, bar.open, bar.close, thinnest) for x, bar in enumerate(bars)]
    axes.add_collection(PolyCollection(bodies, facecolors=colours, edgecolors="none"))


def _box(x: int, first: float, last: float, thinnest: float) -> list[tuple[float, float]]:
    low, high = min(first, last), max(first, last)
    high = max(high, low + thinnest)
    left, right = x - 0.36, x + 0.36
    return [(left, low), (left, high), (right, high), (right, low)]


def _volume(axes: Axes, drawing: Drawing) -> None:
    colours = [UP if bar.close >= bar.open else DOWN for bar in drawing.bars]
    boxes = [_box(x, 0.0, bar.volume, 0.0) for x, bar in enumerate(drawing.bars)]
    axes.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="none", alpha=0.45))
    most = max((bar.volume for bar in drawing.bars), default=0.0)
    axes.set_ylim(0, most * 1.1 if most > 0 else 1.0)
    axes.set_yticks([])


def _chips(drawing: Drawing) -> list[Chip]:
    if drawing.price is None:
        return []
    return [Chip(drawing.price, format_price(drawing.price, drawing.places), PRICE)]


def _levels(axes: Axes, drawing: Drawing) -> None:
    first, last = axes.get_xlim()
    now = len(drawing.bars) - 0.5
    for level in drawing.levels:
        begun = [first, -0.5] if level.from_x is None else [min(level.from_x, now)]
        axes.plot(
            [*begun, now, last],
            [level.left_price] * len(begun) + [level.right_price] * 2,
            color=COLOURS[level.meaning],
            linestyle=(0, (5, 4)) if level.is_dashed else "-",
            linewidth=2.4,
        )
    if drawing.price is not None:
        axes.axhline(drawing.price, color=PRICE, linewidth=1.4, linestyle=(0, (1, 3)))


def _markers(axes: Axes, drawing: Drawing, bounds: tuple[float, float]) -> None:
    """A triangle beyond the candle of each execution, and a stroke across it at the price."""
    if not drawing.markers:
        return
    for is_buy, shape in ((True, "^"), (False, "v")):
        rows = [mark for mark in drawing.markers if mark.is_buy is is_buy]
        axes.scatter(
            [mark.x for mark in rows],
            [mark_height(mark, drawing, bounds) for mark in rows],
            marker=shape,
            s=260,
            color=INK,
            edgecolors=BACKGROUND,
            linewidths=2.0,
            zorder=5,
        )
    strokes = [((mark.x - 0.9, mark.price), (mark.x + 0.9, mark.price)) for mark in drawing.markers]
    axes.add_collection(LineCollection(strokes, colors=INK, linewidths=2.0, zorder=5))


def mark_height(mark: FillMark, drawing: Drawing, bounds: tuple[float, float]) -> float:
    """Return at which price an execution is marked: below its candle a buy, above it a sale."""
    bar = drawing.bars[min(max(round(mark.x), 0), len(drawing.bars) - 1)]
    gap = (bounds[1] - bounds[0]) * _MARK_GAP
    return min(bar.low, mark.price) - gap if mark.is_buy else max(bar.high, mark.price) + gap


def _title(figure: Figure, drawing: Drawing) -> None:
    first, last = drawing.bars[0], drawing.bars[-1]
    change = (last.close - first.open) / first.open * 100 if first.open else 0.0
    colour = UP if change >= 0 else DOWN
    figure.text(0.02, 0.947, drawing.title, color=INK, fontsize=TITLE_PT, fontweight="bold")
    figure.text(
        0.98,
        0.947,
        f"{change:+.2f}%",
        color=colour,
        fontsize=TITLE_PT,
        fontweight="bold",
        ha="right",
    )
    figure.text(0.98, 0.018, drawing.zone, color=FAINT, fontsize=SMALL_PT, ha="right")
