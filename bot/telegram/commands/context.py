"""What a command handler gets and gives back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bot.charts.worker import Picture
from bot.telegram import confirm
from bot.telegram.holdings import ArchiveReader, ArchiveRemover, NoArchive
from bot.telegram.invitations import Invitations
from bot.telegram.render.text import Card
from bot.telegram.roster import Roster
from bot.telegram.settings import TelegramSettings
from bot.telegram.stepup import StepUp
from bot.telegram.words import quoted, shown
from trading.desk import Desk
from trading.domain.chat import Person
from trading.domain.errors import Refused
from trading.domain.events import ConfirmationAsked, Event
from trading.ports.storage import Journal
from trading.scanner.desk import ScannerDesk

PAGE_MAX = 1000


class ChartDrawer(Protocol):
    """Draws chart pictures; raises NotInTime when it cannot."""

    async def draw(self, picture: Picture, path: Path) -> Path:
        """Write a PNG to `path` and return it."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One admitted command, typed or tapped.

    `cause` makes its effect happen once; `card` names the message that answers it; `is_continued`
    tells that the line was begun by a guide and its end typed.
    """

    cause: str
    person: Person
    chat_id: int
    text: str
    command: str
    words: tuple[str, ...]
    sent_at: datetime
    now: datetime
    card: str
    is_continued: bool = False

    @property
    def by(self) -> int:
        """Whose request this is."""
        return self.person.user_id


@dataclass(frozen=True, slots=True)
class Letter:
    """A card for another chat than the one that is answered."""

    chat_id: int
    card: Card


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of an update: cards to send, facts to record with them, a toast over a tap.

    `aside` is the HTML of a message that is sent once and never stored: it holds a secret. What
    `is_urgent` overtakes everything else that waits to be sent.
    """

    cards: tuple[Card, ...] = ()
    events: tuple[Event, ...] = ()
    outcome: str = "answered"
    toast: str = ""
    letters: tuple[Letter, ...] = ()
    aside: str = ""
    is_urgent: bool = False


@dataclass(slots=True)
class Services:
    """Everything that handlers may use."""

    settings: TelegramSettings
    desk: Desk
    scanner: ScannerDesk
    journal: Journal
    roster: Roster
    random_nonce: Callable[[], str]
    charts: ChartDrawer
    export: Callable[[str], Awaitable[Path]]
    data_dir: Path
    version: str
    standing_alert_ids: Callable[[], tuple[str, ...]] = field(default=tuple)
    # The titles of what is critical, stands, and nobody has acknowledged.
    unseen: Callable[[], tuple[str, ...]] = field(default=tuple)
    typed_next: dict[int, str] = field(default_factory=dict)
    step_up: StepUp = field(default_factory=StepUp)
    invitations: Invitations = field(default_factory=Invitations)
    archive: ArchiveReader = field(default_factory=NoArchive)
    remover: ArchiveRemover = field(default_factory=NoArchive)


Handler = Callable[[Request, Services], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One command: who answers it, its line in /help, an example, its place in the menu.

    `working` is what is shown while an answer takes its time; empty for what never does.
    """

    name: str
    handler: Handler
    about: str
    example: str
    in_menu: bool = False
    working: str = ""


def whole_number(
    words: tuple[str, ...], index: int, default: int, most: int, name: tuple[str, str]
) -> int:
    """Read an optional whole number at a place, at least 1; `name` goes with an example."""
    if index >= len(words):
        return default
    word = words[index]
    if not (word.isascii() and word.isdigit() and len(word) <= 9 and 1 <= int(word) <= most):
        what, example = name
        raise Refused(f"{what} should be between 1 and {most}, was {shown(word)}", example)
    return int(word)


def page_of(request: Request) -> int:
    """Read the number of a page where a command takes nothing else; 1 where none was said."""
    command = f"/{request.command}"
    word = request.words[0] if request.words else "1"
    is_number = word.isascii() and word.isdigit() and len(request.words) < 2
    if not is_number:
        said = quoted(request.words)
        raise Refused(f"{command} takes the number of a page or nothing, was {said}", command)
    if len(word) > 9 or not 1 <= int(word) <= PAGE_MAX:
        raise Refused(
            f"the page should be between 1 and {PAGE_MAX}, was {shown(word)}", f"{command} 1"
        )
    return int(word)


def no_more(words: tuple[str, ...], most: int, example: str) -> None:
    """Refuse words that nobody asked for."""
    if len(words) > most:
        raise Refused(f"this was not understood: {shown(words[most])}", example=example)


def asked(question: confirm.Question, text: str, request: Request, services: Services) -> Reply:
    """Put a question to the person who made it necessary: durable, with its buttons under it."""
    put = confirm.ask(
        question,
        nonce=services.random_nonce(),
        user_id=request.by,
        chat_id=request.chat_id,
        card=request.card,
        now=request.now,
    )
    return Reply((Card(text, confirm.buttons(put)),), (ConfirmationAsked(put),), "asked")
