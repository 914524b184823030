"""From one stored update to its end: gate, age, flood, command, reply. One at a time."""

import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches

from telegram import Message, Update

from bot.telegram import access, confirm, groups, invitations, joining
from bot.telegram import words as reading
from bot.telegram.access import AccessRules, Ruling, Verdict
from bot.telegram.access_alerts import ENDED_CODE
from bot.telegram.answers import LEFT_OPEN, Answer, Answers
from bot.telegram.commands import looking, pictures
from bot.telegram.commands.context import Reply, Request, Services
from bot.telegram.commands.instead import with_line_that_is_taken
from bot.telegram.commands.registry import BY_NAME
from bot.telegram.flood import Admission, FloodGate, Said
from bot.telegram.groups import Found
from bot.telegram.joining import Knock
from bot.telegram.keyboards import IN_PLACE, is_command
from bot.telegram.progress import Progress
from bot.telegram.render.people import waiting_card
from bot.telegram.render.text import Card, Code, card_text
from bot.telegram.render.trading import refused_card
from bot.telegram.replying import Handled, Place, Surrounding, finish, is_answered
from bot.telegram.roster import Pairing
from bot.telegram.shape import is_sound
from bot.telegram.strangers import Strangers
from trading.domain.chat import InboxUpdate, Person
from trading.domain.errors import AlreadyRecorded, AuthLost, Ending, Fatal, Refused, Retryable
from trading.domain.events import (
    AccessDenied,
    Event,
    UpdateHandled,
)
from trading.poison import DEATHS_MAX
from trading.ports.clock import Clock
from trading.ports.storage import Records

logger = logging.getLogger(__name__)
_ASKED_ON_MAX = 100
_COUNTS_ONCE = "That came twice in a second; it counts once"


@dataclass(slots=True)
class Router:
    """Answers updates; holds no state that a restart would miss."""

    services: Services
    records: Records
    clock: Clock
    pairing: Pairing | None
    strangers: Strangers
    banner: str
    flood: FloodGate = field(default_factory=FloodGate)
    is_locked: bool = False
    kick_outbox: Callable[[], None] = lambda: None
    # Whether the owner has been asked about somebody and has not answered.
    waits: Callable[[int], bool] = lambda _user_id: False
    # What this bot is called; empty while nobody has told.
    own_name: Callable[[], str] = lambda: ""
    # The messages of guides that ended in a question; their taps are gone as soon as that shows.
    _asked_on: deque[tuple[int, int | None]] = field(
        default_factory=lambda: deque(maxlen=_ASKED_ON_MAX)
    )
    # Who has written or tapped since this start: what a question waited for is not known before.
    _heard: set[int] = field(default_factory=set)
    progress: Progress = field(init=False)
    _answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.services.journal, self.clock, self.kick_outbox)
        self._answers = Answers(self.services, self.records, self.clock)

    async def handle(self, stored: InboxUpdate) -> Handled:
        """Bring one update to its end; raises Fatal and Retryable storage errors only."""
        read = self._read(stored)
        if read is None:
            return self._finish(stored, _unreadable_reply(), self._place_of_sender(stored))
        update, ruling = read
        is_look = ruling.person is not None and ruling.kind in access.ALLOWED_KINDS
        handled = await self._ruled(stored, update, ruling)
        return replace(handled, looked=ruling.user_id) if is_look else handled

    async def _ruled(self, stored: InboxUpdate, update: Update, ruling: Ruling) -> Handled:
        group = groups.found_in(update, self._rules())
        if group is not None:
            return self._grouped(stored, ruling, group)
        if ruling.verdict is Verdict.STRANGER:
            return self._stranger(stored, update, ruling)
        if ruling.verdict is Verdict.IGNORED or ruling.person is None:
            return self._ignored(stored, ruling)
        handled = await self._admitted(stored, update, ruling.person, ruling.chat_id)
        self._heard.add(ruling.person.user_id)
        if not is_answered(handled):
            # There is nothing to wait for.
            self.flood.answered(stored.update_id, self.clock.now())
        return handled

    def set_apart(self, stored: InboxUpdate) -> Handled:
        """End an update that the process died of again and again, without looking into it."""
        owner = self.services.roster.owner
        place = Place(owner.chat_id, _card_of(stored)) if owner else None
        return self._finish(stored, _apart_reply(), place)

    def _read(self, stored: InboxUpdate) -> tuple[Update, Ruling] | None:
        try:
            content = json.loads(stored.payload)
            if not is_sound(content):
                logger.warning("update_unreadable", extra={"update_id": stored.update_id})
                return None
            update = Update.de_json(content, None)
            return update, access.judge(update, self.services.roster.active, self._rules())
        except Exception:
            # Whatever a poisoned update does to the parser, the next one still has its turn.
            logger.exception("update_unreadable", extra={"update_id": stored.update_id})
            return None

    def _rules(self) -> AccessRules:
        settings = self.services.settings
        return AccessRules(settings.allowed_chat_ids, settings.allow_groups)

    # ------------------------------------------------------------ not admitted

    def _stranger(self, stored: InboxUpdate, update: Update, ruling: Ruling) -> Handled:
        knock = joining.knock_of(update)
        entered = self._entered(stored, ruling, knock) if knock else None
        if entered is not None:
            return entered
        denied = self.strangers.denied(ruling, self.clock.now())
        if denied is not None and self.waits(ruling.user_id) and _is_own_chat(ruling):
            # As seldom as a denial is noted; nothing is told that they have not been told before.
            reply = Reply((waiting_card(),), outcome="waiting")
            return self._finish(stored, reply, Place(ruling.user_id, _card_of(stored)))
        return self._denied(stored, denied)

    def _grouped(self, stored: InboxUpdate, ruling: Ruling, group: Found) -> Handled:
        denied = self.strangers.denied(replace(ruling, kind=group.kind), self.clock.now())
        return replace(
            self._denied(stored, denied), leaves=group.chat_id if group.is_left else None
        )

    def _denied(self, stored: InboxUpdate, denied: AccessDenied | None) -> Handled:
        facts: tuple[Event, ...] = (denied,) if denied else ()
        return Handled((*facts, UpdateHandled(stored.update_id, "denied", self.clock.now())))

    def _entered(self, stored: InboxUpdate, ruling: Ruling, knock: Knock) -> Handled | None:
        """What becomes of a code: None where it is none, or nobody may know that it is one."""
        owner, now = self.services.roster.owner, self.clock.now()
        reply = None
        if owner is None:
            if self.pairing is not None:
                reply = joining.paired(knock, self.pairing, _arrived(stored), now)
        elif knock.command == "/join":
            tried = self.services.invitations.try_code(knock.word, knock.user_id, _arrived(stored))
            if tried.verdict is invitations.CodeVerdict.ENDED:
                kind = f"{ENDED_CODE}{tried.ending}"
                return self._denied(
                    stored, AccessDenied(knock.user_id, ruling.chat_id, kind, True, now)
                )
            if tried.verdict is invitations.CodeVerdict.RIGHT:
                reply = joining.ask_owner(knock, tried, owner, self.services, now)
        if reply is None:
            return None
        return self._finish(stored, reply, Place(knock.user_id, _card_of(stored)))

    def _ignored(self, stored: InboxUpdate, ruling: Ruling) -> Handled:
        if not ruling.hint or ruling.person is None:
            at = self.clock.now()
            return Handled((UpdateHandled(stored.update_id, f"ignored {ruling.kind}", at),))
        reply = Reply((Card(card_text("✋ Nothing was done", ruling.hint)),), outcome="ignored")
        return self._finish(stored, reply, Place(ruling.chat_id, _card_of(stored)))

    # ------------------------------------------------------------ admitted

    async def _admitted(
        self, stored: InboxUpdate, update: Update, person: Person, chat_id: int
    ) -> Handled:
        query = update.callback_query
        text = (query.data or "") if query else (update.message and update.message.text) or ""
        tap_id = query.id if query else None
        said = Said(
            stored.update_id,
            chat_id,
            text or str(stored.update_id),
            _arrived(stored),
            is_tap=query is not None,
        )
        # A second tap on a question is told that it is done already, however quick it came.
        is_answer = confirm.is_answer(text)
        admission = Admission.PASS if is_answer else self.flood.admit(person.user_id, said)
        if admission is not Admission.PASS:
            return self._held_back(stored, person, admission, tap_id)
        if query is None and self._is_for_another(text):
            return self._passed_by(stored, person, chat_id, text)
        working = _working(text)
        place = Place(chat_id, _card_of(stored), tap_id=tap_id, is_begun=bool(working))
        try:
            async with self.progress.shown(place, working, self.banner):
                reply, place = await self._answered(stored, update, person, place, text)
        except Ending:
            raise
        except (Retryable, AuthLost) as error:
            logger.warning("asked_in_vain", extra={"error": str(error)})
            why = f"{error.words[:1].upper()}{error.words[1:]}."
            told = card_text("⏳ Not now", why, "Nothing was changed. Try again.")
            reply = Reply((Card(told),), outcome="retry")
        except Fatal:
            raise
        except Exception:
            # The row is marked failed and the person told; a crash loop would help nobody.
            logger.exception("update_failed", extra={"update_id": stored.update_id})
            reply = _failed_reply()
        is_urgent = reply.is_urgent or reading.is_urgent(text)
        return self._finish(stored, replace(reply, is_urgent=is_urgent), place)

    def _held_back(
        self, stored: InboxUpdate, person: Person, admission: Admission, tap_id: str | None
    ) -> Handled:
        if admission is Admission.FLOOD:
            text = card_text(
                "✋ Too many messages at once", "Some were not acted on. Wait a few seconds."
            )
            place = Place(person.chat_id, _card_of(stored), tap_id=tap_id)
            return self._finish(stored, Reply((Card(text),), outcome="flood"), place)
        is_same = admission is Admission.SAME
        outcome = "collapsed" if is_same else "flood"
        handled = UpdateHandled(stored.update_id, outcome, self.clock.now())
        return Handled((handled,), _COUNTS_ONCE if is_same and tap_id else "", tap_id)

    def _is_for_another(self, text: str) -> bool:
        named, own = reading.addressee(text), self.own_name().lower()
        return bool(named and own) and named != own

    def _passed_by(self, stored: InboxUpdate, person: Person, chat_id: int, text: str) -> Handled:
        """Do nothing; in a chat with nobody else, where a name was mistyped, say so."""
        outcome = "ignored: for another bot"
        if chat_id != person.user_id:
            return Handled((UpdateHandled(stored.update_id, outcome, self.clock.now()),))
        named = reading.shown(reading.addressee(text))
        card = card_text("✋ Nothing was done", f"That is for {named}; this is {self.own_name()}.")
        reply = Reply((Card(card),), outcome=outcome, is_urgent=reading.is_urgent(text))
        return self._finish(stored, reply, Place(chat_id, _card_of(stored)))

    async def _answered(
        self, stored: InboxUpdate, update: Update, person: Person, place: Place, text: str
    ) -> tuple[Reply, Place]:
        """The reply, or what was wrong and what to send instead."""
        try:
            return await self._reply(stored, update, person, place, text)
        except AlreadyRecorded:
            card = Card(card_text("👍 Already done", "It was not done twice."))
            return Reply((card,), outcome="already_done"), place
        except Refused as error:
            told = await with_line_that_is_taken(error, person, self.services, text)
            return Reply((refused_card(told, text),), outcome="refused"), place

    async def _reply(
        self, stored: InboxUpdate, update: Update, person: Person, place: Place, text: str
    ) -> tuple[Reply, Place]:
        query = update.callback_query
        if query is None:
            waiting = self.services.step_up.waiting.get(person.user_id)
            if waiting is not None and waiting.takes(text, place.chat_id, self.clock.now()):
                own = replace(place, target=waiting.target)
                answer = Answer(waiting.data, person, own, _arrived(stored), text.strip())
                reply = await self._answers.take(answer, is_locked=self.is_locked)
                return reply, place if reply.outcome in LEFT_OPEN else own
            request = self._request(stored, update.message, person, place.chat_id, text)
            return await self._typed(request, update.message), place
        own = replace(place, target=query.message.message_id) if query.message else place
        if confirm.is_answer(text):
            answer = Answer(text, person, own, _arrived(stored))
            reply = await self._answers.take(answer, is_locked=self.is_locked)
            return reply, place if reply.outcome in LEFT_OPEN else own
        if not is_command(text):
            raise Refused("this button is too old", example="/status")
        request = self._request(stored, None, person, place.chat_id, text[1:])
        if not text.startswith(IN_PLACE):
            return await self._dispatch(request), place
        if request.command == "track":
            return await self._guided(request, own), own
        reply = await self._dispatch(request)
        is_file = any(card.document or card.picture for card in reply.cards)
        # A card stays what it is beside a question.
        is_in_place = not is_file and reply.outcome != "asked"
        return reply, own if is_in_place else place

    async def _guided(self, request: Request, own: Place) -> Reply:
        """Turn a step of a guide into the next one, the last one into the one question.

        A second tap that was on its way meanwhile opens no second one on the same message.
        """
        step = (own.chat_id, own.target)
        if step in self._asked_on:
            return Reply(outcome="asked_already", toast="It is asked already")
        reply = await self._dispatch(request)
        if reply.outcome == "asked" and own.target is not None:
            self._asked_on.append(step)
        return reply

    def _request(
        self, stored: InboxUpdate, message: Message | None, person: Person, chat_id: int, text: str
    ) -> Request:
        line = " ".join(text.split())
        name, words = reading.split(line) if line.startswith("/") else ("", line.split())
        return Request(
            cause=f"update:{stored.update_id}",
            person=person,
            chat_id=chat_id,
            text=line,
            command=name,
            words=tuple(words),
            sent_at=message.date if message else _arrived(stored),
            now=self.clock.now(),
            card=_card_of(stored),
        )

    async def _typed(self, request: Request, message: Message | None) -> Reply:
        if request.command:
            self.services.typed_next.pop(request.by, None)
            return await self._dispatch(request)
        if message is not None and message.text is None:
            raise Refused("only typed commands are understood", example="/status")
        waiting = self.services.typed_next.pop(request.by, "")
        if waiting:
            continued = f"{waiting} {request.text}"
            name, words = reading.split(continued)
            try:
                return await self._dispatch(_retyped(request, continued, name, tuple(words)))
            except Refused as error:
                # A slip of the finger ends no guide; any command does.
                self.services.typed_next[request.by] = waiting
                raise _still_asked(error) from error
        if request.text.startswith("/"):
            raise Refused("a command's name should follow the slash, was nothing", example="/help")
        if "/" in request.text and " " not in request.text:
            return await looking.show_price(request, self.services)
        raise _not_understood(is_first=request.by not in self._heard)

    async def _dispatch(self, request: Request) -> Reply:
        entry = BY_NAME.get(request.command)
        if entry is None:
            if request.command == "pair":
                raise Refused("this bot has its owner already", example="/status")
            raise _unknown(request)
        if not access.may_use(entry.name, request.person.role):
            role = request.person.role.value
            raise Refused(f"/{entry.name} is not for a {role}", example="/status")
        if self.is_locked and entry.name in {"buy", "trade", "resume"}:
            raise Refused(
                "another program reads this bot's messages, so risk may not be added now",
                example="/status",
            )
        return await entry.handler(request, self.services)

    # ------------------------------------------------------------ finishing

    def _place_of_sender(self, stored: InboxUpdate) -> Place | None:
        """Where to tell of an update that cannot be read, as far as its ids can be trusted."""
        try:
            sender = json.loads(stored.payload)["message"]["from"]["id"]
            person = self.services.roster.active.get(sender)
        except (ValueError, KeyError, TypeError):
            return None
        return Place(person.chat_id, _card_of(stored)) if person else None

    def _finish(self, stored: InboxUpdate, reply: Reply, place: Place | None) -> Handled:
        now = self.clock.now()
        handled = UpdateHandled(stored.update_id, reply.outcome, now)
        people = self.services.roster.active.values()
        return finish(handled, reply, place, Surrounding(self.banner, tuple(people), now))


def _unknown(request: Request) -> Refused:
    """There is no such command, but perhaps one that somebody may use is spelled alike."""
    role = request.person.role
    names = [name for name in BY_NAME if access.may_use(name, role)]
    near = [f"/{name}" for name in get_close_matches(request.command[:24], names, n=2, cutoff=0.7)]
    said = request.text.split(maxsplit=1)[0]
    return Refused(
        f"there is no command /{request.command[:24]}", example="/help", wrong=said, near=near
    )


def _not_understood(*, is_first: bool) -> Refused:
    ended = (
        "If it answers a question, that ended when Umbra restarted: tap a button there, or begin "
        "again. "
    )
    told = f"this was not understood. {ended if is_first else ''}Commands start with a slash"
    return Refused(told, example="/help")


def _is_own_chat(ruling: Ruling) -> bool:
    return ruling.user_id == ruling.chat_id and ruling.kind == "message"


def _working(text: str) -> str:
    """What is shown while a command takes its time; a card that is turned over shows it itself."""
    if text.startswith(IN_PLACE) or len(text) > reading.TEXT_LENGTH_MAX:
        return ""
    words = text.lstrip("+").split()
    entry = BY_NAME.get(reading.split(words[0])[0]) if words and words[0].startswith("/") else None
    if entry is None or not entry.working:
        return ""
    return "Drawing…" if pictures.WORD in words[1:] else entry.working


def _card_of(stored: InboxUpdate) -> str:
    return f"u{stored.update_id}"


def _arrived(stored: InboxUpdate) -> datetime:
    return stored.received_at.astimezone(UTC)


def _retyped(request: Request, text: str, name: str, words: tuple[str, ...]) -> Request:
    return replace(request, text=text, command=name, words=words, is_continued=True)


def _still_asked(error: Refused) -> Refused:
    told = f"{str(error).rstrip('. ')}. Type it again, or send cancel to leave this"
    return Refused(told, error.example, wrong=error.wrong, near=error.near)


def _failed_reply() -> Reply:
    text = card_text(
        "💥 That failed inside",
        "It is recorded. Look at the state before you try again:",
        Code("/status"),
    )
    return Reply((Card(text),), outcome="failed")


def _apart_reply() -> Reply:
    text = card_text(
        "☠️ A message was set apart",
        f"Umbra died {DEATHS_MAX} times while it worked on it. Nothing more is done about it. "
        "Look at the state before you send it again:",
        Code("/status"),
    )
    return Reply((Card(text),), outcome="set apart")


def _unreadable_reply() -> Reply:
    text = card_text("✋ That message could not be read", "Nothing was done.", Code("/help"))
    return Reply((Card(text),), outcome="failed: unreadable")
