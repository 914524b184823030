"""The gate, the router and the commands over a desk and a store with memory, without a network."""

import itertools
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.telegram.commands.context import Services
from bot.telegram.replying import Handled
from bot.telegram.roster import Pairing, Roster
from bot.telegram.router import Router
from bot.telegram.settings import TelegramSettings
from bot.telegram.stepup import StepUp
from bot.telegram.strangers import Strangers
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from tests.fakes.scanner import FakeScanner
from trading.domain.chat import InboxUpdate, Person, Role
from trading.domain.errors import Refused
from trading.domain.events import ConfirmationAsked, Event, MessageQueued, PersonChanged
from trading.overview import ChartView

OWNER, STRANGER, GROUP, CHANNEL = 7, 666, -100, -200
ADA: dict[str, Any] = {"id": OWNER, "is_bot": False, "first_name": "Ada"}
SECRET = b"12345678901234567890"


class _NoCharts:
    async def draw(self, view: ChartView, path: Path) -> Path:
        raise Refused("nothing is drawn here")


class Front:
    """A router that is given updates as Telegram spells them."""

    def __init__(
        self, *, secret: bytes = b"", pairing: Pairing | None = None, owned: bool = True
    ) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.desk = FakeDesk(self.clock, self.store)
        self.scanner = FakeScanner()
        self.roster = Roster()
        if owned:
            self.roster.put(Person(OWNER, OWNER, "Ada", Role.OWNER))
        self._numbers = itertools.count(1)
        self.step_up = StepUp(secret, self.clock.now())
        self.services = Services(
            settings=TelegramSettings("1:x"),
            desk=self.desk,
            scanner=self.scanner,
            journal=self.store,
            roster=self.roster,
            random_nonce=lambda: f"nonce{next(self._numbers)}",
            charts=_NoCharts(),
            export=self._export,
            data_dir=Path("/nonexistent"),
            version="0",
            step_up=self.step_up,
        )
        self.router = Router(self.services, self.store, self.clock, pairing, Strangers(), "")

    async def _export(self, what: str) -> Path:
        raise Refused(f"{what} is not written here")

    def later(self, **span: float) -> datetime:
        """Let time pass."""
        self.clock.time += timedelta(**span)
        self.clock.seconds += timedelta(**span).total_seconds()
        return self.clock.now()

    async def take(self, body: dict[str, Any]) -> Handled:
        """Bring one update to its end and store what it did, as the running bot does."""
        number = next(self._numbers)
        payload = json.dumps({"update_id": number, **body})
        handled = await self.router.handle(InboxUpdate(number, payload, self.clock.now()))
        await self.store.append(*handled.events)
        for event in handled.events:
            if isinstance(event, PersonChanged):
                self.roster.put(event.person, event.at)
            self.services.invitations.note(event)
        return handled

    async def say(self, text: str, user_id: int = OWNER) -> str:
        """Type in one's own chat and return what the bot says."""
        body = typed(text, user_id)
        body["message"]["date"] = int(self.clock.now().timestamp())
        return said(await self.take(body))

    async def tap(self, data: str, user_id: int = OWNER, chat_id: int = OWNER) -> Handled:
        """Press a button under message 5."""
        return await self.take(tapped(data, user_id, chat_id))

    def question(self) -> str:
        """The nonce of the newest question."""
        return self.store.of(ConfirmationAsked)[-1].confirmation.nonce


def typed(text: str, user_id: int = OWNER, chat_id: int | None = None) -> dict[str, Any]:
    chat = {"id": chat_id or user_id, "type": "private" if (chat_id or user_id) > 0 else "group"}
    sender = {"id": user_id, "is_bot": False, "first_name": "N"}
    stamp = int(START.timestamp())
    return {"message": {"message_id": 4, "date": stamp, "chat": chat, "from": sender, "text": text}}


def tapped(data: str, user_id: int = OWNER, chat_id: int = OWNER) -> dict[str, Any]:
    under = typed("card", 1, chat_id)["message"] | {"message_id": 5}
    sender = {"id": user_id, "is_bot": False, "first_name": "N"}
    query = {"id": "q", "from": sender, "chat_instance": "c", "data": data, "message": under}
    return {"callback_query": query}


def said(handled: Handled) -> str:
    """Everything an update made the bot say."""
    texts = [event.message.text for event in handled.events if isinstance(event, MessageQueued)]
    return " ".join(re.sub("<[^>]*>", "", " ".join([*texts, handled.toast])).split())


def kinds(events: tuple[Event, ...]) -> set[str]:
    return {type(event).__name__ for event in events}
