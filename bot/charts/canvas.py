"""What all pictures share: colours, size for a phone, the word across what is simulated."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bot.charts.labels import spread_labels, width_of

BACKGROUND, GRID, INK, FAINT = "#11151c", "#1f2630", "#e6e9ef", "#8a94a6"
UP, DOWN, PRICE = "#26a69a", "#ef5350", "#d7dde8"
# A phone shows a third of the pixels: 30 of them, which are 18 points, are the least to be read.
SMALL_PT, TITLE_PT = 18.0, 27.0
WIDTH_PX: Final = 1080
_DPI: Final = 120
_COMPRESSION: Final = 3
_POINTS_PER_IN: Final = 72
_CHIP_PX: Final = 46
_WATERMARK_PT_MAX: Final = 70.0
_EDGE_PX: Final = 20


def new_figure(height_in: float) -> Figure:
    """Begin a picture 1080 pixels wide."""
    figure = Figure(figsize=(WIDTH_PX / _DPI, height_in), dpi=_DPI, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Finish a picture."""
    buffer = io.BytesIO()
    # The last tenth of the size would cost as long as drawing a whole line of text.
    figure.savefig(
        buffer, format="png", facecolor=BACKGROUND, pil_kwargs={"compress_level": _COMPRESSION}
    )
    return buffer.getvalue()


def pixels(size_pt: float) -> float:
    """Return how many pixels a size in points has."""
    return size_pt * _DPI / _POINTS_PER_IN


def points(size_px: float) -> float:
    """Return how many points a size in pixels has."""
    return size_px * _POINTS_PER_IN / _DPI


def dress(axes: Axes) -> None:
    """Take the frame away and give the ground its colour."""
    axes.set_facecolor(BACKGROUND)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=SMALL_PT, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def watermark(axes: Axes, text: str) -> None:
    """Write across a picture that no real money moves: it may be passed on alone."""
    (left_px, _), (right_px, _) = axes.transAxes.transform([(0, 0), (1, 0)])
    fitting = (right_px - left_px) / max(width_of(text, 1.0), 1.0)
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        color=FAINT,
        alpha=0.28,
        fontsize=min(_WATERMARK_PT_MAX, points(0.95 * fitting)),
        fontweight="bold",
        ha="center",
        va="center",
        zorder=0.5,
    )


@dataclass(frozen=True, slots=True)
class Chip:
    """A value that stands out on an axis: written there on its colour."""

    value: float
    text: str
    colour: str


def margin_of(texts: Sequence[str]) -> float:
    """Return which share of a picture's width an axis at its right edge takes."""
    widest = max(width_of(text, pixels(SMALL_PT)) for text in texts)
    return (widest + 2 * _EDGE_PX) / WIDTH_PX


def gap_of(axes: Axes) -> float:
    """Return which share of the height of axes a line of text beside them takes."""
    (_, bottom), (_, top) = axes.transAxes.transform([(0, 0), (0, 1)])
    return float(_CHIP_PX / (top - bottom))


def value_axis(
    axes: Axes,
    ticks: Sequence[tuple[float, str]],
    chips: Sequence[Chip],
    beside_px: float = 0.0,
) -> None:
    """Write values at the right: chips all of them, and the ticks that they leave room for.

    `beside_px` is how much room between the axes and the values is for something else.
    """
    low, high = axes.get_ylim()
    gap = gap_of(axes)
    at = [(chip.value - low) / (high - low) for chip in chips]
    places = spread_labels(at, gap)
    for chip, where, place in zip(chips, at, places, strict=True):
        _chip(axes, chip, where, place, beside_px)
    free = [
        (value, text)
        for value, text in ticks
        if all(abs((value - low) / (high - low) - place) >= gap for place in places)
    ]
    axes.yaxis.tick_right()
    axes.set_yticks([value for value, _ in free], [text for _, text in free])
    axes.tick_params(axis="y", pad=points(_EDGE_PX + beside_px))


def time_axis(axes: Axes, ticks: Sequence[tuple[float, str]]) -> None:
    """Write times below, their first lines all at one height."""
    written = [text if "\n" in text else f"{text}\n " for _, text in ticks]
    axes.set_xticks([place for place, _ in ticks], written)


def _chip(axes: Axes, chip: Chip, where: float, place: float, beside_px: float) -> None:
    box = axes.get_position()
    width_px, height_px = box.width * WIDTH_PX, _CHIP_PX / gap_of(axes)
    beside = 1 + beside_px / width_px
    ends = [1, beside] if beside_px else [1]
    left, right = beside + _EDGE_PX / width_px / 2, (1 - box.x0) / box.width
    tall = (_CHIP_PX - 4) / height_px
    at = axes.transAxes
    corner = (left, place - tall / 2)
    ground = Rectangle(corner, right - left, tall, color=chip.colour, linewidth=0, transform=at)
    line = Line2D(
        [*ends, left],
        [*(where for _ in ends), place],
        color=chip.colour,
        linewidth=1.5,
        transform=at,
    )
    for artist in (axes.add_artist(ground), axes.add_artist(line)):
        # Beside the axes, which would cut them off.
        artist.set_clip_on(False)
    axes.text(
        beside + _EDGE_PX / width_px,
        place,
        chip.text,
        transform=at,
        color=BACKGROUND,
        fontsize=SMALL_PT,
        fontweight="bold",
        va="center_baseline",
    )
