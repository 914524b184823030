"""A chat with the commands: what each answers, narrow enough for a phone, and what it records."""

import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.charts.worker import Picture
from bot.telegram.render.text import WIDTH, columns
from bot.telegram.router import Router
from tests.security.front import OWNER, Front, tapped, typed
from trading.domain.chat import OutboxMessage, Person, Role
from trading.domain.errors import NotInTime
from trading.domain.events import Event, MessageQueued, PersonChanged
from trading.domain.time import Timeframe, to_ms
from trading.domain.watching import Interest
from trading.scanner.scores import RankScore, Standing, TimeframeScore

VIEWER, TRADER = 8, 9


@dataclass(frozen=True)
class Answer:
    """All that one update made the bot say and record."""

    events: tuple[Event, ...]
    messages: tuple[OutboxMessage, ...]
    aside: tuple[int, str] | None

    def to(self, chat_id: int) -> str:
        """What was said to one chat, on one line."""
        return " ".join(
            " ".join(_plain(one.text).split()) for one in self.messages if one.chat_id == chat_id
        )

    @property
    def text(self) -> str:
        """What was said to anybody, on one line."""
        return " ".join(" ".join(_plain(one.text).split()) for one in self.messages)

    @property
    def title(self) -> str:
        """The first line of the first message."""
        return _plain(self.messages[0].text).splitlines()[0]

    @property
    def buttons(self) -> dict[str, str]:
        """What every button sends, by its label."""
        rows = [row for one in self.messages for row in one.buttons]
        return {button.label: button.data for row in rows for button in row}


@dataclass
class Easel:
    """Draws nothing and keeps what it was asked to draw."""

    drawn: list[tuple[Picture, Path]] = field(default_factory=list)
    is_stuck: bool = False

    async def draw(self, picture: Picture, path: Path) -> Path:
        if self.is_stuck:
            raise NotInTime("the picture could not be drawn in time")
        self.drawn.append((picture, path))
        return path


class Talk(Front):
    """A front whose clock moves on between messages, and whose cards are measured."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        for user_id, name, role in ((VIEWER, "Bob", Role.VIEWER), (TRADER, "Cy", Role.TRADER)):
            self.roster.put(Person(user_id, user_id, name, role))

    def person(self, user_id: int = OWNER) -> Person:
        """Somebody as the roster knows them now."""
        found = self.roster.get(user_id)
        assert found is not None
        return found

    def watched(self, user_id: int = OWNER) -> list[str]:
        """The symbols that somebody watches, in their order."""
        return [one.symbol for one in self.person(user_id).wishes.interests]

    async def ask(self, text: str, by: int = OWNER) -> Answer:
        """Type a command."""
        self.later(seconds=2)
        body = typed(text, by)
        body["message"]["date"] = int(self.clock.now().timestamp())
        return await self._answer(body)

    async def press(self, data: str, by: int = OWNER) -> Answer:
        """Press a button by what it sends."""
        self.later(seconds=2)
        return await self._answer(tapped(data, by, by))

    async def _answer(self, body: dict[str, Any]) -> Answer:
        handled = await self.take(body)
        messages = tuple(one.message for one in handled.events if isinstance(one, MessageQueued))
        for message in messages:
            _assert_fits(message)
        return Answer(handled.events, messages, handled.aside)

    def restarted(self) -> None:
        """Forget everything but the journal."""
        people = {one.person.user_id: one.person for one in self.store.of(PersonChanged)}
        self.roster.replace_all({**self.roster.active, **people}.values())
        self.services.typed_next.clear()
        self.router = Router(self.services, self.store, self.clock, None, self.router.strangers, "")


def _plain(text: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", text))


def _assert_fits(message: OutboxMessage) -> None:
    too_wide = [line for line in _plain(message.text).splitlines() if columns(line) > WIDTH]
    assert too_wide == []
    assert len(message.text) < 4096
    for row in message.buttons:
        assert len(row) <= 4
        assert all(len(button.data.encode()) <= 64 for button in row)


def tf(*names: str) -> tuple[Timeframe, ...]:
    """Candle lengths by name."""
    return tuple(Timeframe(name) for name in names)


def interest(symbol: str, *names: str, threshold: int | None = 50) -> Interest:
    """What somebody watches."""
    return Interest(symbol, tf(*names), threshold)


def crashed(front: Front, symbol: str = "BTC/USDT", *, young: str = "1d") -> RankScore:
    """A score of now: 15m and 1h fell as they rarely do, one length is too young."""
    rows = (
        TimeframeScore(
            *(Timeframe("15m"), Standing.SCORED, 8231, -4.213, 5.1, 0.31, 1.2, 88.0, 0.4),
            bear_points=5,
            change_points=4,
            amplitude_points=5,
        ),
        TimeframeScore(
            *(Timeframe("1h"), Standing.SCORED, 4020, -12.1, 15.0, 0.01, 0.02, 99.0, 0.01),
            bear_points=6,
            change_points=4,
            amplitude_points=6,
        ),
        TimeframeScore(Timeframe(young), Standing.TOO_YOUNG, 12),
    )
    at_ms = to_ms(front.clock.now())
    return RankScore(symbol, at_ms, 60000.12, 0.0, 11 / 12, 8 / 12, rows)
