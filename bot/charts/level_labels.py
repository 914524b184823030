"""Names and prices of levels in a column of their own, between the candles and the price scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bot.charts.canvas import BACKGROUND, SMALL_PT, WIDTH_PX, pixels
from bot.charts.drawing import LevelMark
from bot.charts.labels import format_price, spread_labels, width_of

_LINE_PX: Final = 37
_PAD_PX: Final = 8
# From the end of a level's line to its label, so that it is seen which belongs to which.
_LEADER_PX: Final = 30
_BETWEEN_PX: Final = 6


@dataclass(frozen=True, slots=True)
class LevelLabel:
    """A level's name, its price below it, and where it belongs: part of the height from below.

    `is_in_sight`: whether its line ends there; one out of sight is pinned to the edge it lies
    beyond.
    """

    name: str
    price: str
    colour: str
    where: float
    is_in_sight: bool = True


def label_of(level: LevelMark, bounds: tuple[float, float], places: int, colour: str) -> LevelLabel:
    """Return what is written of a level: an arrow says on which side it is out of sight."""
    low, high = bounds
    where = (level.right_price - low) / (high - low)
    arrow = "▼ " if where < 0 else "▲ " if where > 1 else ""
    price = format_price(level.right_price, places)
    return LevelLabel(level.label, f"{arrow}{price}", colour, min(max(where, 0.0), 1.0), not arrow)


def width_px(labels: Sequence[LevelLabel]) -> float:
    """Return how wide the column is, with its lines to the levels; 0 without labels."""
    if not labels:
        return 0.0
    widest = max(
        width_of(text, pixels(SMALL_PT)) for one in labels for text in (one.name, one.price)
    )
    return _LEADER_PX + widest + 2 * _PAD_PX


def share_of(labels: Sequence[LevelLabel]) -> float:
    """Return which share of the picture's width the column takes."""
    return width_px(labels) / WIDTH_PX


def write_labels(axes: Axes, labels: Sequence[LevelLabel]) -> None:
    """Write them beside the axes at their lines, moved no further than they need be.

    Where there is no room for all prices, the names stand alone: the scale has the numbers.
    """
    (left_px, bottom_px), (right_px, top_px) = axes.transAxes.transform([(0, 0), (1, 1)])
    size = float(right_px - left_px), float(top_px - bottom_px)
    lines = 2 if len(labels) * _height_px(2) <= size[1] else 1
    gap = _height_px(lines) / size[1]
    places = spread_labels([one.where for one in labels], gap)
    for label, place in zip(labels, places, strict=True):
        _write(axes, label, place, lines, size)


def _height_px(lines: int) -> float:
    return lines * _LINE_PX + _BETWEEN_PX + 4


def _alone(label: LevelLabel) -> str:
    """A name without its price, which still says on which side a level is out of sight."""
    return label.name if label.is_in_sight else f"{label.name} {label.price[0]}"


def _write(
    axes: Axes, label: LevelLabel, place: float, lines: int, size: tuple[float, float]
) -> None:
    across, up = size
    at = axes.transAxes
    left = 1 + _LEADER_PX / across
    texts = (label.name, label.price) if lines > 1 else (_alone(label),)
    wide = max(width_of(text, pixels(SMALL_PT)) for text in texts) + 2 * _PAD_PX
    tall = _height_px(lines) - _BETWEEN_PX
    ground = Rectangle(
        (left, place - tall / up / 2),
        wide / across,
        tall / up,
        color=label.colour,
        linewidth=0,
        transform=at,
        zorder=4,
    )
    artists = [axes.add_artist(ground)]
    if label.is_in_sight:
        bent = Line2D(
            [1, left], [label.where, place], color=label.colour, linewidth=2.4, transform=at
        )
        artists.append(axes.add_artist(bent))
    for artist in artists:
        # Beside the axes, which would cut them off.
        artist.set_clip_on(False)
    for number, text in enumerate(texts):
        axes.text(
            left + _PAD_PX / across,
            place + ((lines - 1) / 2 - number) * _LINE_PX / up,
            text,
            transform=at,
            color=BACKGROUND,
            fontsize=SMALL_PT,
            fontweight="bold",
            va="center_baseline",
            zorder=5,
        )
