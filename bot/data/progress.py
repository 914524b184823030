"""A bar with the time that is left, on a terminal; elsewhere nothing moves."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """Shown while entered; lines may be said above it, and in its place while it stands still."""

    def __init__(self, title: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TextColumn("candles, left:"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._title = title
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._bar.stop()

    def begin(self, candles: int) -> None:
        """So many candles are to be asked for."""
        if candles:
            self._bar.update(self._line(), total=candles)

    def advance(self, candles: int) -> None:
        """So many more have been."""
        if self._task is not None:
            self._bar.advance(self._task, candles)

    def stand_still(self, why: str | None) -> None:
        """Show why nothing moves, or the title again when it is None."""
        if not self._bar.console.is_terminal:
            if why is not None:
                self.say(why)
        elif why is not None or self._task is not None:
            self._bar.update(self._line(), description=why or self._title)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, markup=False, highlight=False)

    def _line(self) -> TaskID:
        if self._task is None:
            self._task = self._bar.add_task(self._title, total=None)
            self._bar.start()
        return self._task
