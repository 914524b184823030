"""Answers the command line while the database cannot be had: nothing is known, a halt is left."""

from collections.abc import Callable

from bot.control.halt_file import HaltFile
from bot.control.messages import Ask, Reply, Request

_NOT_SOLD = (
    "NOTHING WAS SOLD: what Umbra manages is known by its database alone. End what keeps it away "
    "and ask again (umbra panic), or sell at the exchange itself."
)
_NOT_RESUMED = "Nothing was changed: a resume needs the database."


class WithoutDatabase:
    """What can be done all the same; `why` says what keeps the database away, in sentences."""

    def __init__(self, halt_file: HaltFile, why: Callable[[], str]) -> None:
        self._halt_file = halt_file
        self._why = why

    async def answer(self, request: Request) -> Reply:
        """Answer one request; only a halt can be done."""
        match request.ask:
            case Ask.STATUS:
                return self._said(False)
            case Ask.PREVIEW:
                return self._said(False, "A panic could sell nothing now.")
            case Ask.HALT:
                is_left, told = self._halted()
                return self._said(is_left, told)
            case Ask.PANIC:
                _, told = self._halted()
                return self._said(False, _NOT_SOLD, told)
            case Ask.PREVIEW_RESUME | Ask.RESUME:
                return self._said(False, _NOT_RESUMED)

    def _said(self, is_done: bool, *first: str) -> Reply:
        note = "" if first else self._halt_file.note
        return Reply(is_done, "\n".join(part for part in (*first, self._why(), note) if part))

    def _halted(self) -> tuple[bool, str]:
        path = self._halt_file.path
        try:
            self._halt_file.leave()
        except OSError as error:
            return False, f"NOT HALTED: the file {path} could not be left ({error.strerror})."
        return True, (
            f"Halted by the file {path}: the start comes up halted, and nothing new is bought. "
            f"To end the halt then: rm {path}, and umbra resume."
        )
