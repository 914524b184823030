"""A ScoreChart as a PNG for a phone: the price above, both scores and their thresholds below."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

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
from bot.charts.picture import format_price, time_places
from bot.charts.score_chart import ScoreChart

_HEIGHT_IN: Final = 8.0


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
        axes.set_xlim(-0.5, max(len(chart.times) - 0.5, 0.5))
    prices.plot(chart.prices, color=PRICE, linewidth=1.8)
    prices.yaxis.set_major_locator(MaxNLocator(6))
    prices.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: format_price(value)))
    prices.set_xticks([])
    _scores(scores, chart)
    places = time_places(len(chart.times))
    scores.set_xticks(places, [chart.times[place] for place in places])
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
        shares = np.array([np.nan if value is None else value for value in values])
        axes.plot(shares, color=colour, linewidth=1.8, label=name)
        axes.fill_between(np.arange(len(shares)), 0, shares, color=colour, alpha=0.18)
        axes.axhline(threshold, color=colour, linewidth=1.0, linestyle=(0, (5, 4)))
    # Room for the legend above a full score.
    axes.set_ylim(0, 122)
    axes.set_yticks([0, 25, 50, 75, 100])
    legend = axes.legend(loc="upper left", fontsize=12, frameon=False, ncols=2)
    for text in legend.get_texts():
        text.set_color(INK)
