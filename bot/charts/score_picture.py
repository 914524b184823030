"""A ScoreChart as a PNG for a phone: the price above, both scores and their thresholds below."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bot.charts.canvas import (
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
from bot.charts.labels import format_price, price_ticks
from bot.charts.score_chart import ScoreChart

_HEIGHT_IN: Final = 10.0
_LEFT: Final = 0.02
# Narrower ones have no room for the words.
_LABELLED_SHARE: Final = 0.32
# Room for the legend above a full score.
_SCORES_TOP: Final = 132.0

Floats = NDArray[np.float64]


def png_of(chart: ScoreChart) -> bytes:
    """Draw it; 1080 by 1200 pixels."""
    figure = new_figure(_HEIGHT_IN)
    bounds = _price_bounds(chart)
    ticks = price_ticks(bounds, chart.places)
    chips = _price_chips(chart)
    right = 1 - margin_of([*(text for _, text in ticks), *(chip.text for chip in chips), "100"])
    grid = figure.add_gridspec(
        2, 1, height_ratios=(1.2, 1), hspace=0.05, left=_LEFT, right=right, top=0.925, bottom=0.075
    )
    prices, scores = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    for axes in (prices, scores):
        dress(axes)
        axes.grid(True, color=GRID, linewidth=1.2)
        axes.set_xlim(*_times(chart))
        _shade_gaps(axes, chart)
    _draw(prices, chart, chart.prices, PRICE)
    prices.set_ylim(*bounds)
    value_axis(prices, ticks, chips)
    prices.set_xticks([place for place, _ in chart.ticks], [""] * len(chart.ticks))
    _scores(scores, chart)
    time_axis(scores, chart.ticks)
    _label_gaps(prices, chart)
    figure.text(0.02, 0.947, chart.title, color=INK, fontsize=TITLE_PT, fontweight="bold")
    figure.text(0.98, 0.018, chart.zone, color=FAINT, fontsize=SMALL_PT, ha="right")
    watermark(prices, chart.watermark)
    return png_bytes(figure)


def threshold_chips(chart: ScoreChart) -> list[Chip]:
    """One line for each threshold, and one for both where they are the same."""
    bull, bear = chart.bull_threshold, chart.bear_threshold
    if bull == bear:
        return [Chip(bull, f"{bull:.0f}", PRICE)]
    return [Chip(bull, f"{bull:.0f}", UP), Chip(bear, f"{bear:.0f}", DOWN)]


def _price_bounds(chart: ScoreChart) -> tuple[float, float]:
    known = [price for price in chart.prices if price is not None]
    low, high = min(known), max(known)
    margin = (high - low) * 0.08 or high * 0.002
    return low - margin, high + margin


def _price_chips(chart: ScoreChart) -> list[Chip]:
    last = chart.prices[-1]
    return [] if last is None else [Chip(last, format_price(last, chart.places), PRICE)]


def _scores(axes: Axes, chart: ScoreChart) -> None:
    rows = (("bull: asks to sell", chart.bull, UP), ("bear: asks to buy", chart.bear, DOWN))
    for place, (name, values, colour) in enumerate(rows):
        shares = _draw(axes, chart, values, colour)
        axes.fill_between(chart.minutes, 0, shares, step="post", color=colour, alpha=0.18)
        axes.text(
            0.01 + 0.5 * place,
            0.985,
            f"■ {name}",
            transform=axes.transAxes,
            color=colour,
            fontsize=SMALL_PT,
            va="top",
        )
    # A little below, so that a score of nothing is a whole line.
    axes.set_ylim(-2, _SCORES_TOP)
    thresholds = threshold_chips(chart)
    for chip in thresholds:
        axes.axhline(chip.value, color=chip.colour, linewidth=1.6, linestyle=(0, (5, 4)))
    value_axis(axes, [(share, f"{share}") for share in (0, 25, 50, 75, 100)], thresholds)


def _draw(axes: Axes, chart: ScoreChart, values: Sequence[float | None], colour: str) -> Floats:
    """Draw what held until the next moment, broken where unknown; lone points and the newest."""
    known = np.array([np.nan if value is None else value for value in values])
    axes.plot(chart.minutes, known, color=colour, linewidth=2.0, drawstyle="steps-post")
    fence = np.concatenate(([True], np.isnan(known), [True]))
    alone = ~fence[1:-1] & fence[:-2] & fence[2:]
    alone[-1] = not fence[-2]
    axes.plot(np.array(chart.minutes)[alone], known[alone], ".", color=colour, markersize=12)
    return known


def _times(chart: ScoreChart) -> tuple[float, float]:
    return chart.since, chart.minutes[-1] + (chart.minutes[-1] - chart.since) * 0.015


def _shade_gaps(axes: Axes, chart: ScoreChart) -> None:
    for began, ended in chart.gaps:
        axes.axvspan(began, ended, facecolor=GRID, alpha=0.6, linewidth=0, zorder=0.3)


def _label_gaps(axes: Axes, chart: ScoreChart) -> None:
    for began, ended in chart.gaps:
        if ended - began >= (chart.minutes[-1] - chart.since) * _LABELLED_SHARE:
            axes.text(
                (began + ended) / 2,
                0.03,
                "nothing recorded",
                transform=axes.get_xaxis_transform(),
                color=FAINT,
                fontsize=SMALL_PT,
                ha="center",
            )
