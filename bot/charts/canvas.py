"""What all pictures share: colours, size for a phone, the word across what is simulated."""

import io
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BACKGROUND, GRID, INK, FAINT = "#11151c", "#1f2630", "#e6e9ef", "#8a94a6"
UP, DOWN, PRICE = "#26a69a", "#ef5350", "#d7dde8"
_DPI: Final = 120
_WIDTH_IN: Final = 9.0
_COMPRESSION: Final = 3


def new_figure(height_in: float) -> Figure:
    """Begin a picture 1080 pixels wide."""
    figure = Figure(figsize=(_WIDTH_IN, height_in), dpi=_DPI, facecolor=BACKGROUND)
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


def dress(axes: Axes) -> None:
    """Take the frame away and give the ground its colour."""
    axes.set_facecolor(BACKGROUND)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=11, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def watermark(axes: Axes, text: str) -> None:
    """Write across a picture that no real money moves: it may be passed on alone."""
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        color=FAINT,
        alpha=0.28,
        fontsize=56,
        fontweight="bold",
        ha="center",
        va="center",
        zorder=0.5,
    )
