"""The Telegram front end: owns the bot and its tasks, joins inbox, router, addresser and outbox."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from telegram import BotCommand
from telegram.error import InvalidToken, TelegramError

from bot.repetition import Standing
from bot.telegram.addressing import Addresser, is_news, wait_for_kick
from bot.telegram.asides import Asides
from bot.telegram.commands.context import ChartDrawer, Services
from bot.telegram.commands.registry import MENU
from bot.telegram.connection import Connection
from bot.telegram.expiry import Expiry
from bot.telegram.folding import Folding
from bot.telegram.handling import Handling
from bot.telegram.holdings import ArchiveReader, ArchiveRemover, NoArchive
from bot.telegram.inbox import Inbox
from bot.telegram.invitations import Invitations
from bot.telegram.outbox import Outbox
from bot.telegram.recurring import Recurring
from bot.telegram.render.brief import brief
from bot.telegram.render.text import headline, strip_markup
from bot.telegram.replying import Handled, answered_update
from bot.telegram.requesting import bot_of, silence_request_logs
from bot.telegram.roster import Pairing, Roster
from bot.telegram.router import Router
from bot.telegram.sending import Sender
from bot.telegram.settings import TelegramSettings
from bot.telegram.stepup import StepUp
from bot.telegram.strangers import Strangers
from bot.telegram.tasks import Tasks
from trading.bus import Bus
from trading.desk import Desk
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person, Severity
from trading.domain.errors import AlreadyRecorded, StorageLost
from trading.domain.events import Event
from trading.poison import InHand, Unmarked
from trading.ports.clock import Clock
from trading.ports.on_the_way import OnTheWay, UnmarkedWay
from trading.ports.storage import Journal, Records
from trading.scanner.desk import ScannerDesk

logger = logging.getLogger(__name__)
_CONNECT_AGAIN_S = 2.0
_DRAIN_S = 3.0
_TIMER_S = 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the front end needs from the rest of the process."""

    desk: Desk
    scanner: ScannerDesk
    journal: Journal
    records: Records
    # Makes a condition durable and lets the agent know, so that it stands until it ends.
    record: Callable[[Event], Awaitable[object]]
    clock: Clock
    bus: Bus
    charts: ChartDrawer
    random_nonce: Callable[[], str]
    random_code: Callable[[], str]
    export: Callable[[str], Awaitable[Path]]
    data_dir: Path
    version: str
    # Called with everybody who is active, at the start and with each change of one of them.
    on_people: Callable[[Collection[Person]], None] = lambda _people: None
    # Puts the inbox's mark in the place of every secret of a text.
    without_secrets: Callable[[str], str] = lambda text: text
    archive: ArchiveReader = field(default_factory=NoArchive)
    remover: ArchiveRemover = field(default_factory=NoArchive)
    in_hand: InHand = field(default_factory=Unmarked)
    on_the_way: OnTheWay = field(default_factory=UnmarkedWay)


class TelegramBot:
    """`start`, then `run` until cancelled, then `stop`; `tick` each minute."""

    def __init__(self, settings: TelegramSettings, around: Surroundings) -> None:
        silence_request_logs()
        self._settings, self._around = settings, around
        self._clock, self._journal, self._records = around.clock, around.journal, around.records
        self._bot = bot_of(settings)
        self._roster = Roster()
        self._ready = asyncio.Event()
        self._address_kick = asyncio.Event()
        self._tasks = Tasks(self._clock)
        self._asides = Asides(self._bot)
        sender = Sender(self._bot)
        self.outbox = Outbox(
            sender,
            self._journal,
            self._records,
            self._clock,
            self._message_ended,
            around.on_the_way,
            lambda: self._tasks.beat("send"),
            Folding(self._banner, lambda: brief(around.desk.status())),
            self._message_leaves,
        )
        self._addresser = Addresser(
            self._journal,
            self._records,
            around.desk,
            self._roster,
            self._clock,
            self._banner,
            self.outbox.kick,
            around.in_hand,
        )
        self._recurring = Recurring(
            desk=around.desk,
            scanner=around.scanner,
            charts=around.charts,
            sender=sender,
            journal=self._journal,
            records=self._records,
            roster=self._roster,
            clock=self._clock,
            folder=around.data_dir,
            banner=self._banner,
            kick_outbox=self.outbox.kick,
        )
        self.connection = Connection(self._clock, self._announce)
        self._expiry = Expiry(self._journal, self._clock, self._banner, self.outbox.kick)
        self._inbox = Inbox(
            self._bot,
            self._journal,
            self._records,
            self._clock,
            settings.poll_timeout_s,
            self._polled,
            self._without_secrets,
        )
        self._strangers = Strangers()
        self._invitations = Invitations()
        self._handling = Handling(self._journal, self._recurring, around.in_hand, self._note)
        self._pairing: Pairing | None = None
        around.bus.subscribe(self._on_event)

    # ------------------------------------------------------------ life

    async def start(self) -> str | None:
        """Load people and addressing; returns a pairing code when nobody owns this bot yet."""
        self._roster.replace_all(await self._records.people())
        await self._pair_from_settings()
        self._around.on_people(self._roster.active.values())
        code = None if self._roster.owner else self._around.random_code()
        if code is not None:
            self._pairing = Pairing(code, self._clock.now(), self._around.random_nonce())
        denied = await self._journal.latest(200, ("AccessDenied",))
        found = [one.event for one in reversed(denied)]
        self._strangers.load(one for one in found if isinstance(one, events.AccessDenied))
        made = await self._journal.latest(200, ("InvitationMade", "InvitationClosed"))
        self._invitations.load(one.event for one in reversed(made))
        await self._addresser.load()
        await self._recurring.load()
        self.connection.load((await self._records.state()).conditions)
        await self._expiry.load(self._records)
        self._handling.router = Router(
            self._services(),
            self._records,
            self._clock,
            self._pairing,
            self._strangers,
            self._banner(),
            kick_outbox=self.outbox.kick,
            waits=self._expiry.waits,
            own_name=lambda: self._bot.username if self._ready.is_set() else "",
        )
        return code

    async def run(self) -> None:
        """Run every task of the front end until cancelled; a Fatal error ends it."""
        await self._tasks.run(
            {
                "connect": self._connect,
                "poll": self._poll,
                "handle": self._handle_updates,
                "handle_slow": self._handle_slow_ones,
                "address": self._address,
                "send": self._send,
                "expire": self._expire,
            }
        )

    async def stop(self) -> None:
        """Finish the command at work, say what is left to say, close; all within seconds."""
        await self._tasks.end("handle", self._handling.turn)
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._addresser.address_new()
                if self._ready.is_set():
                    await self.outbox.drain()
        except (TimeoutError, StorageLost) as error:
            logger.warning("outbox_not_drained", extra={"error": type(error).__name__})
        self._asides.end()
        await self._bot.shutdown()

    async def tick(self) -> int:
        """Queue the summaries and reports that are due; returns how many."""
        return await self._recurring.tick()

    async def tell_scores(self) -> int:
        """Tell whoever watches of what a scan has found; returns how many messages."""
        return await self._recurring.tell_scores()

    @property
    def beats(self) -> dict[str, float]:
        """When each task was last at work, in monotonic seconds."""
        return self._tasks.beats

    def hanging(self) -> tuple[str, ...]:
        """Name the tasks that alerts need and that came to a stand; no outage makes them wait."""
        return self._tasks.hanging()

    def standing(self) -> dict[str, Standing]:
        """Critical things that nobody has acknowledged, by alert id."""
        return {
            key: Standing(strip_markup(alert.card.text), alert.since)
            for key, alert in self._addresser.alarms.standing().items()
        }

    def _unseen(self) -> tuple[str, ...]:
        # What concerns everything first.
        alerts = sorted(self._addresser.alarms.standing().values(), key=lambda one: bool(one.sort))
        return tuple(headline(alert.card.text) for alert in alerts)

    async def tell_owner_now(self, text: str) -> bool:
        """Tell the owner directly, past the journal, for when that cannot be written."""
        owner = self._roster.owner
        if owner is None:
            return False
        try:
            await self._bot.send_message(owner.chat_id, text[:3000])
        except TelegramError as error:
            logger.warning("owner_not_told", extra={"error": type(error).__name__})
            return False
        return True

    # ------------------------------------------------------------ tasks

    async def _connect(self) -> None:
        while not self._ready.is_set():
            try:
                await self._bot.initialize()
                self._ready.set()
            except TelegramError as error:
                # Not the message: the library puts the token into it.
                hint = "UMBRA_TELEGRAM_TOKEN is refused" if isinstance(error, InvalidToken) else ""
                extra = {"error": type(error).__name__, "hint": hint}
                logger.warning("telegram_unreachable", extra=extra)
                await self.connection.polled(error)
                await asyncio.sleep(_CONNECT_AGAIN_S)
        try:
            await self._bot.set_my_commands([BotCommand(entry.name, entry.about) for entry in MENU])
        except TelegramError as error:
            logger.warning("menu_not_set", extra={"error": type(error).__name__})

    async def _poll(self) -> None:
        await self._ready.wait()
        await self._inbox.poll_forever()

    async def _polled(self, error: TelegramError | None) -> None:
        self._tasks.beat("poll")
        await self.connection.polled(error)
        if self._handling.router is not None:
            self._handling.router.is_locked = self.connection.is_contested

    def _message_leaves(self, message: OutboxMessage) -> None:
        update_id, router = answered_update(message.message_key), self._handling.router
        if update_id is not None and router is not None:
            router.flood.answered(update_id, self._clock.now())

    async def _message_ended(self, chat_id: int, refused: str) -> None:
        owner = self._roster.owner
        if owner is not None and chat_id == owner.chat_id:
            await self.connection.delivered(is_taken=not refused)
        elif refused:
            await self._tell_refused(chat_id, refused)

    async def _tell_refused(self, chat_id: int, why: str) -> None:
        now = self._clock.now()
        text = f"Nothing reaches {chat_id} any more: {why}. Messages for that chat are dropped"
        alert_id = f"unreachable:{chat_id}:{now.date().isoformat()}"
        with contextlib.suppress(AlreadyRecorded):
            await self._around.record(events.AlertRaised(alert_id, Severity.WARN, text, now))

    async def _handle_updates(self) -> None:
        await self._inbox.handle_forever(self._handling.in_turn)

    async def _handle_slow_ones(self) -> None:
        await self._inbox.handle_slow_forever(self._handling.beside)

    def _note(self, handled: Handled) -> None:
        for event in handled.events:
            if isinstance(event, events.PersonChanged):
                self._roster.put(event.person, event.at)
                self._around.on_people(self._roster.active.values())
            self._invitations.note(event)
            self._expiry.note(event)
        self.outbox.kick()
        self._address_kick.set()
        self._asides.begin(handled)
        self._tasks.beat("handle")

    async def _address(self) -> None:
        while True:
            self._tasks.beat("address")
            await self._addresser.address_new()
            await self._addresser.alarms.repeat()
            self._tasks.beat("address")
            await wait_for_kick(self._address_kick, _TIMER_S)

    async def _send(self) -> None:
        await self._ready.wait()
        await self.outbox.send_forever()

    async def _expire(self) -> None:
        await self._inbox.is_caught_up.wait()
        while True:
            async with self._handling.turn:
                await self._expiry.expire_due()
            self._tasks.beat("expire")
            await asyncio.sleep(_TIMER_S)

    # ------------------------------------------------------------ parts

    def _on_event(self, event: Event) -> None:
        if is_news(event):
            self._address_kick.set()

    async def _announce(self, condition: events.ConditionChanged) -> None:
        await self._around.record(condition)
        self._address_kick.set()

    async def _pair_from_settings(self) -> None:
        owner_id = self._settings.owner_id
        if owner_id is None:
            return
        changes = self._roster.named_owner(owner_id, self._clock.now())
        if changes:
            await self._journal.append(*changes)
        for change in changes:
            self._roster.put(change.person)

    def _services(self) -> Services:
        around = self._around
        return Services(
            settings=self._settings,
            desk=around.desk,
            scanner=around.scanner,
            journal=around.journal,
            roster=self._roster,
            random_nonce=around.random_nonce,
            charts=around.charts,
            export=around.export,
            data_dir=around.data_dir,
            version=around.version,
            standing_alert_ids=self._addresser.alarms.own_ids,
            unseen=self._unseen,
            step_up=StepUp(self._settings.totp_secret, self._clock.now()),
            invitations=self._invitations,
            archive=around.archive,
            remover=around.remover,
        )

    def _without_secrets(self, text: str) -> str:
        if self._pairing is not None:
            text = self._pairing.hashed(text, self._clock.now())
        return self._around.without_secrets(text)

    def _banner(self) -> str:
        return banner_of(self._around.desk)


def banner_of(desk: Desk) -> str:
    """The line that every card carries when no real money moves."""
    if desk.mode == "paper":
        return "📝 PAPER: SIMULATED, no real money"
    return ("", "🧪 SIMULATED: no real money")[desk.is_simulated]
