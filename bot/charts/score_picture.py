"""A ScoreChart as a PNG for a phone: the price above, both scores and their thresholds below."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from bot.charts.canvas import (
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
from bot.charts.picture import format_price
from bot.charts.score_chart import ScoreChart

_HEIGHT_IN: Final = 8.0
# Narrower ones have no room for the words.
_LABELLED_SHARE: Final = 0.18

Floats = NDArray[np.float64]


def png_of(chart: ScoreChart) -> bytes:
    """Draw it; 1080 by 960 pixels."""
    figure = new_figure(_HEIGHT_IN)
    grid = figure.add_gridspec(
        2, 1, height_ratios=(1.4, 1), hspace=0.06, left=0.115, right=0.965, top=0.92, bottom=0.075
    )
    prices, scores = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    for axes in (prices, scores):
        dress(axes)
        axes.grid(True, color=GRID, linewidth=0.8)
        axes.set_xlim(*_bounds(chart))
        _shade_gaps(axes, chart)
    _draw(prices, chart, chart.prices, PRICE)
    prices.yaxis.set_major_locator(MaxNLocator(6))
    prices.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: format_price(value)))
    prices.set_xticks([])
    _scores(scores, chart)
    _label_gaps(prices, chart)
    scores.set_xticks([place for place, _ in chart.ticks], [label for _, label in chart.ticks])
    figure.text(0.02, 0.95, chart.title, color=INK, fontsize=19, fontweight="bold")
    figure.text(0.98, 0.952, "UTC", color=FAINT, fontsize=12, ha="right")
    watermark(prices, chart.watermark)
    return png_bytes(figure)


def _scores(axes: Axes, chart: ScoreChart) -> None:
    rows = (
        ("bull: asks to sell", chart.bull, UP, chart.bull_threshold),
        ("bear: asks to buy", chart.bear, DOWN, chart.bear_threshold),
    )
    for name, values, colour, threshold in rows:
        shares = _draw(axes, chart, values, colour, name)
        axes.fill_between(chart.minutes, 0, shares, color=colour, alpha=0.18)
        axes.axhline(threshold, color=colour, linewidth=1.0, linestyle=(0, (5, 4)))
    # Room for the legend above a full score.
    axes.set_ylim(0, 122)
    axes.set_yticks([0, 25, 50, 75, 100])
    legend = axes.legend(loc="upper left", fontsize=12, frameon=False, ncols=2)
    for text in legend.get_texts():
        text.set_color(INK)


def _draw(
    axes: Axes, chart: ScoreChart, values: Sequence[float | None], colour: str, name: str = ""
) -> Floats:
    """Draw a line that is broken where nothing is known, and points that stand alone."""
    known = np.array([np.nan if value is None else value for value in values])
    axes.plot(chart.minutes, known, color=colour, linewidth=1.8, label=name or None)
    fence = np.concatenate(([True], np.isnan(known), [True]))
    alone = ~fence[1:-1] & fence[:-2] & fence[2:]
    axes.plot(np.array(chart.minutes)[alone], known[alone], ".", color=colour, markersize=7)
    return known


def _bounds(chart: ScoreChart) -> tuple[float, float]:
    room = max(chart.minutes[-1] * 0.01, 0.5)
    return -room, chart.minutes[-1] + room


def _shade_gaps(axes: Axes, chart: ScoreChart) -> None:
    for began, ended in chart.gaps:
        axes.axvspan(began, ended, facecolor=GRID, alpha=0.6, linewidth=0, zorder=0.3)


def _label_gaps(axes: Axes, chart: ScoreChart) -> None:
    for began, ended in chart.gaps:
        if ended - began >= chart.minutes[-1] * _LABELLED_SHARE:
            axes.text(
                (began + ended) / 2,
                0.03,
                "nothing recorded",
                transform=axes.get_xaxis_transform(),
                color=FAINT,
                fontsize=12,
                ha="center",
            )
