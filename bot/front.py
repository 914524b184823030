"""The chat of one process: what it stands on, when it speaks, and the second channel behind it."""

import asyncio
import contextlib
from collections.abc import Collection
from pathlib import Path

from bot import notify, scanning
from bot.clock import random_code, random_nonce
from bot.config import Settings
from bot.data.holdings import ArchiveHoldings
from bot.data.removal import ArchiveRemoval
from bot.escalation import Escalation
from bot.handed_out import keep_newest
from bot.on_the_way import MarkedOnTheWay
from bot.opening import Opened
from bot.owners_chat import OwnersChat
from bot.repetition import Standing
from bot.shares import telegram_settings
from bot.telegram.access import WITHHELD
from bot.telegram.app import Surroundings, TelegramBot
from trading.agent import TradingAgent
from trading.bus import Bus
from trading.desk import Desk
from trading.domain.chat import Person
from trading.domain.redaction import masking_typed
from trading.ports.clock import Clock
from trading.scanner.engine import ScannerEngine

# How long the chat stays silent for an exchange that may just be starting, too.
_FIRST_ANSWER_S = 5.0
_EXPORTS_KEPT = 5


class Front:
    """Has a chat once it is wired; an agent that was started for one request never has one."""

    def __init__(self, settings: Settings, version: str, opened: Opened, clock: Clock) -> None:
        self._settings = settings
        self._version = version
        self._opened = opened
        self._clock = clock
        self._chat: TelegramBot | None = None
        self._owners_chat = OwnersChat(settings.directory)
        self.escalation = Escalation(
            settings.directory,
            notify.ways(settings.channel_urls, settings.secrets),
            self._standing,
            clock,
        )

    @property
    def chat(self) -> TelegramBot:
        """The chat; raises RuntimeError where none was wired."""
        if self._chat is None:
            raise RuntimeError("an agent without a chat runs answer_alone() only")
        return self._chat

    def wire(self, agent: TradingAgent, desk: Desk, scanner: ScannerEngine, bus: Bus) -> None:
        """Give the chat what it shows, asks and tells."""
        opened, settings = self._opened, self._settings
        archive = scanning.archive_root(settings)

        def watch_for(people: Collection[Person]) -> None:
            self._owners_chat.keep(people)
            scanner.watch(one for person in people for one in person.wishes.interests)

        around = Surroundings(
            desk=desk,
            scanner=scanner,
            journal=opened.store.journal,
            records=opened.store.records,
            record=agent.record,
            clock=self._clock,
            bus=bus,
            charts=opened.charts,
            random_nonce=random_nonce,
            random_code=random_code,
            export=self._export,
            data_dir=settings.directory,
            version=self._version,
            on_people=watch_for,
            archive=ArchiveHoldings(archive),
            remover=ArchiveRemoval(archive, scanning.archive_name(settings)),
            in_hand=opened.in_hand,
            on_the_way=MarkedOnTheWay(settings.directory),
            without_secrets=masking_typed(settings.secrets, WITHHELD),
        )
        self._chat = TelegramBot(telegram_settings(settings), around)

    async def run(self, ready: asyncio.Event) -> None:
        """Answer from soon on, until cancelled: an exchange that is just starting is waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ANSWER_S):
                await ready.wait()
        await self.chat.run()

    async def stop(self) -> None:
        """Say what is left to say, where there is a chat."""
        if self._chat is not None:
            await self._chat.stop()

    async def tell_owner(self, text: str) -> bool:
        """Tell the owner past the journal; False where there is no chat, or it took nothing."""
        return self._chat is not None and await self._chat.tell_owner_now(text)

    async def tell_now(self, text: str, is_unseen: bool) -> bool:
        """Tell the owner past the journal, and the second channel of what is not seen there."""
        told = await self.chat.tell_owner_now(text)
        if told and not is_unseen:
            return True
        return await self.escalation.tell_now(text) or told

    async def tick(self) -> None:
        """Queue the summaries and reports that are due."""
        await self.chat.tick()

    async def tell_scores(self) -> None:
        """Tell whoever watches of what a scan has found."""
        await self.chat.tell_scores()

    def _standing(self) -> dict[str, Standing]:
        return {} if self._chat is None else self._chat.standing()

    async def _export(self, what: str) -> Path:
        # Parquet is heavy and rarely asked for.
        from storage.export import Format, export

        name, _, ending = what.partition(".")
        form = Format(ending or Format.CSV.value)
        at = self._clock.now()
        path = self._settings.directory / "exports" / f"{name}-{at:%Y%m%d-%H%M%S}.{form.value}"
        # A whole journal each time: what is sent already must not fill the disk.
        await asyncio.to_thread(keep_newest, path.parent, _EXPORTS_KEPT)
        await export(self._opened.store.journal, name, path, form)
        return path
