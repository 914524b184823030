"""A Drawing as a PNG for a phone: dark, 1080 px wide, labels at the right edge."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bot.charts.canvas import (
    BACKGROUND,
    DOWN,
    FAINT,
    GRID,
    INK,
    PRICE,
    UP,
    dress,
    new_figure,
    png_bytes,
    watermark,
)
from bot.charts.drawing import ENTRY, STOP, TARGET, Drawing, FillMark, LevelMark

_HEIGHT_IN = 8.0
_COLOURS = {STOP: "#ff5c7a", TARGET: "#35d49a", ENTRY: "#5aa9ff"}
_LABEL_GAP = 0.042
_OUTSIDE_MAX = 0.75
_TIMES = 6


def png_of(drawing: Drawing) -> bytes:
    """Draw it; 1080 by 960 pixels."""
    figure = new_figure(_HEIGHT_IN)
    grid = figure.add_gridspec(
        2, 1, height_ratios=(5.2, 1), hspace=0.04, left=0.115, right=0.80, top=0.925, bottom=0.075
    )
    prices, volumes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    bounds = price_bounds(drawing)
    for axes in (prices, volumes):
        dress(axes)
        axes.set_xlim(-1.0, len(drawing.bars) + 0.5)
        axes.grid(True, color=GRID, linewidth=0.8)
    _candles(prices, drawing)
    _volume(volumes, drawing)
    prices.set_ylim(*bounds)
    prices.set_xticks([])
    _time_axis(volumes, drawing.times)
    _levels(prices, drawing, bounds)
    _markers(prices, drawing.markers, bounds)
    _title(figure, drawing)
    watermark(prices, drawing.watermark)
    return png_bytes(figure)


def price_bounds(drawing: Drawing) -> tuple[float, float]:
    """Lowest and highest price shown: all candles, and levels that are not too far away."""
    low = min(bar.low for bar in drawing.bars)
    high = max(bar.high for bar in drawing.bars)
    reach = max((high - low) * _OUTSIDE_MAX, high * 0.002)
    near = [
        value
        for level in drawing.levels
        for value in (level.left_price, level.right_price)
        if low - reach <= value <= high + reach
    ]
    low, high = min([low, *near]), max([high, *near])
    margin = max((high - low) * 0.06, high * 1e-6)
    return low - margin, high + margin


def time_places(count: int) -> list[int]:
    """Where times are written: evenly, and not so near an edge that a label would be cut off."""
    first, last = count * 0.05, (count - 1) * 0.96
    steps = min(_TIMES - 1, count - 1)
    if steps < 1:
        return [0]
    return sorted({round(first + (last - first) * step / steps) for step in range(steps + 1)})


def spread_labels(wanted: Sequence[float], gap: float) -> list[float]:
    """Move label places (0 bottom … 1 top) apart until neighbours keep the gap."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [min(max(wanted[index], gap / 2), 1 - gap / 2) for index in order]
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    if placed and placed[-1] > 1 - gap / 2:
        placed[-1] = 1 - gap / 2
        for index in range(len(placed) - 2, -1, -1):
            placed[index] = min(placed[index], placed[index + 1] - gap)
    result = [0.0] * len(wanted)
    for index, place in zip(order, placed, strict=True):
        result[index] = place
    return result


def format_price(value: float) -> str:
    """A price for a label: grouped, with as many places as its size needs."""
    size = abs(value)
    places = 2 if size >= 100 else 3 if size >= 10 else 4 if size >= 1 else 6
    return f"{value:,.{places}f}"


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


def _time_axis(axes: Axes, times: Sequence[str]) -> None:
    places = time_places(len(times))
    axes.set_xticks(places, [times[place] for place in places])
    axes.text(1.025, -0.06, "UTC", transform=axes.transAxes, color=FAINT, fontsize=11, va="top")


def _levels(axes: Axes, drawing: Drawing, bounds: tuple[float, float]) -> None:
    count = len(drawing.bars)
    low, high = bounds
    labels: list[tuple[float, str, str]] = []
    for level in drawing.levels:
        style = (0, (5, 4)) if level.is_dashed else "-"
        colour = _COLOURS[level.meaning]
        axes.plot(
            [-1.0, count + 0.5],
            [level.left_price, level.right_price],
            color=colour,
            linestyle=style,
            linewidth=1.8,
        )
        labels.append((level.right_price, _label(level, bounds), colour))
    if drawing.price is not None:
        axes.axhline(drawing.price, color=PRICE, linewidth=1.0, linestyle=(0, (1, 3)))
        labels.append((drawing.price, format_price(drawing.price), PRICE))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: format_price(value)))
    places = spread_labels(
        [(price - low) / (high - low) for price, _, _ in labels], _LABEL_GAP * 1.6
    )
    for (price, text, colour), place in zip(labels, places, strict=True):
        _edge_label(axes, (price - low) / (high - low), place, text, colour)


def _label(level: LevelMark, bounds: tuple[float, float]) -> str:
    low, high = bounds
    arrow = " ▲" if level.right_price > high else " ▼" if level.right_price < low else ""
    return f"{level.label}{arrow}\n{format_price(level.right_price)}"


def _edge_label(axes: Axes, at: float, place: float, text: str, colour: str) -> None:
    axes.annotate(
        text,
        xy=(1.0, min(max(at, 0.0), 1.0)),
        xytext=(1.025, place),
        xycoords="axes fraction",
        textcoords="axes fraction",
        color=BACKGROUND if "\n" not in text else colour,
        fontsize=12,
        fontweight="bold",
        va="center",
        linespacing=1.05,
        annotation_clip=False,
        bbox={
            "boxstyle": "round,pad=0.25",
            "fc": colour if "\n" not in text else BACKGROUND,
            "ec": "none",
        },
        arrowprops={
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.8,
            # From the label's edge: from its middle it would cross its neighbours.
            "relpos": (0, 0.5),
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _markers(axes: Axes, markers: Sequence[FillMark], bounds: tuple[float, float]) -> None:
    nudge = (bounds[1] - bounds[0]) * 0.022
    for is_buy, shape, meaning in ((True, "^", ENTRY), (False, "v", STOP)):
        rows = [marker for marker in markers if marker.is_buy is is_buy]
        if rows:
            xs = np.array([marker.x for marker in rows])
            ys = np.array([marker.price for marker in rows]) + (-nudge if is_buy else nudge)
            axes.scatter(
                xs,
                ys,
                marker=shape,
                s=130,
                color=_COLOURS[meaning],
                edgecolors=INK,
                linewidths=1.0,
                zorder=5,
            )


def _title(figure: Figure, drawing: Drawing) -> None:
    first, last = drawing.bars[0], drawing.bars[-1]
    change = (last.close - first.open) / first.open * 100 if first.open else 0.0
    colour = UP if change >= 0 else DOWN
    figure.text(0.02, 0.955, drawing.title, color=INK, fontsize=19, fontweight="bold")
    figure.text(
        0.98, 0.957, f"{change:+.2f}%", color=colour, fontsize=17, fontweight="bold", ha="right"
    )
