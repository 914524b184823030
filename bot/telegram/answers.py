"""Answers to questions: a tap, and what it wants besides, act once, or say why they do not."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bot.telegram import confirm, joining, words
from bot.telegram.commands import asking, inviting, removing, users, watching
from bot.telegram.commands.context import Reply, Request, Services
from bot.telegram.commands.instead import with_line_that_is_taken
from bot.telegram.confirm import TapVerdict
from bot.telegram.fat_fingers import is_meant
from bot.telegram.render.codes import code_card, number_card
from bot.telegram.render.text import Card, card_text
from bot.telegram.render.trading import refused_card
from bot.telegram.replying import Place
from bot.telegram.stepup import CodeVerdict, Waiting, code_in
from trading.domain.chat import Confirmation, ConfirmationAnswer, Person, Role
from trading.domain.errors import Refused
from trading.domain.events import ConfirmationAnswered
from trading.ports.clock import Clock
from trading.ports.storage import Records, StoredConfirmation

_TAP_AGE_MAX = timedelta(seconds=60)
# Questions that the chat itself answers, by their action; every other is a command of the core.
_OWN_QUESTIONS: Final = {
    users.ADMIT: users.admitted,
    users.REVOKE: users.revoked,
    joining.JOIN: inviting.joined,
    watching.DROP_ALL: watching.dropped_all,
    removing.REMOVE: removing.removed,
}
_GRAVE_QUESTIONS: Final = frozenset({users.ADMIT, joining.JOIN})
_TOO_EARLY = "too early"
# The outcomes that leave a question as it stands, with its buttons: what is said goes below it.
LEFT_OPEN: Final = frozenset(
    {_TOO_EARLY, "number wrong", *(f"code {each.value}" for each in CodeVerdict)}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody answered: a button's `data`, and the code or number that they typed for it."""

    data: str
    person: Person
    place: Place
    at: datetime
    said: str = ""


@dataclass(slots=True)
class Answers:
    """Judges answers against the questions that were stored; the first one counts."""

    services: Services
    records: Records
    clock: Clock

    async def take(self, answer: Answer, *, is_locked: bool) -> Reply:
        """Act on an answer once; `is_locked` while nothing may add risk. Raises Refused."""
        data, person, place = answer.data, answer.person, answer.place
        nonce = confirm.nonce_of(data)
        found = await self.records.confirmation(nonce)
        tap = confirm.judge_tap(data, found, person.user_id, place.chat_id, answer.at)
        self.services.step_up.forget(person.user_id, nonce)
        match tap.verdict:
            case TapVerdict.CONFIRMED if held := self._held(tap, answer):
                reply = held
            case TapVerdict.CONFIRMED:
                reply = await self._confirmed(tap, answer, is_locked=is_locked)
            case TapVerdict.CANCELLED:
                text = card_text("✖️ Cancelled", "Nothing was done.")
                fact = self._answered(nonce, ConfirmationAnswer.CANCELLED, person)
                letters = joining.letter_after(tap.confirmation, fact.answer)
                reply = Reply((Card(text),), (fact,), "cancelled", "Cancelled", letters)
            case TapVerdict.EXPIRED:
                reply = self._expired(nonce, found, person)
            case TapVerdict.ALREADY_DONE:
                reply = Reply((), outcome="already_done", toast="Already done")
            case _:
                reply = Reply((), outcome=tap.verdict.value, toast="This button is not yours")
        return replace(reply, is_urgent=_is_urgent(tap.confirmation))

    def _held(self, tap: confirm.Tap, answer: Answer) -> Reply | None:
        """Ask for what a question wants besides the tap; None when it has come, or for nothing."""
        asked = tap.confirmation
        if asked is None:
            return None
        is_own = asked.action in _OWN_QUESTIONS
        number = "" if is_own else asking.number_of(tap.payload)
        if not number:
            return self._held_for_code(tap, asked, answer)
        if is_meant(answer.said, number):
            return None
        place = answer.place
        wanted = Waiting(answer.data, place.chat_id, place.target, number, asked.expires_at)
        self.services.step_up.waiting[asked.user_id] = wanted
        # What was wrong is said below it, and the question above keeps its buttons.
        card = number_card(number, answer.said, () if answer.said else confirm.buttons(asked))
        outcome = "number wrong" if answer.said else "number asked"
        # A second tap changes nothing on the card: it says what is waited for.
        return Reply((card,), outcome=outcome, toast=f"Send {number} as a message")

    def _held_for_code(self, tap: confirm.Tap, asked: Confirmation, answer: Answer) -> Reply | None:
        step_up = self.services.step_up
        if not step_up.is_on:
            return None
        is_own = asked.action in _OWN_QUESTIONS
        if not (asked.action in _GRAVE_QUESTIONS if is_own else asking.needs_code(tap.payload)):
            return None
        code, place = code_in(answer.said) or "", answer.place
        verdict = step_up.judge(code, self.clock.now()) if code else None
        if verdict is CodeVerdict.RIGHT:
            return None
        step_up.waiting[asked.user_id] = Waiting(answer.data, place.chat_id, place.target)
        # The question's buttons stay: after a restart Confirm asks again.
        buttons = () if verdict else confirm.buttons(asked)
        card = code_card(verdict, step_up.locked_until, buttons)
        outcome = f"code {verdict.value}" if verdict else "code asked"
        return Reply((card,), outcome=outcome, toast="Send your code as a message")

    def _expired(self, nonce: str, found: StoredConfirmation | None, person: Person) -> Reply:
        text = card_text("⌛ Expired", "Nothing was done. Ask again.")
        is_recorded = found is None or found.answer is not None
        if found is None or is_recorded:
            return Reply((Card(text),), (), "expired", "Expired")
        fact = self._answered(nonce, ConfirmationAnswer.EXPIRED, person)
        letters = joining.letter_after(found.confirmation, fact.answer)
        return Reply((Card(text),), (fact,), "expired", "Expired", letters)

    async def _confirmed(self, tap: confirm.Tap, answer: Answer, *, is_locked: bool) -> Reply:
        person, place = answer.person, answer.place
        nonce = tap.confirmation.nonce if tap.confirmation else ""
        fact = self._answered(nonce, ConfirmationAnswer.CONFIRMED, person)
        request = Request(
            cause=nonce,
            person=person,
            chat_id=place.chat_id,
            text="",
            command="",
            words=(),
            sent_at=answer.at,
            now=self.clock.now(),
            card=place.card,
        )
        own = _OWN_QUESTIONS.get(tap.confirmation.action) if tap.confirmation else None
        try:
            if own is not None:
                reply = await own(request, self.services, tap.payload)
            else:
                self._refuse_demoted(request, tap.payload, is_locked=is_locked)
                reply = await asking.confirmed(request, self.services, tap.payload)
        except Refused as error:
            if own is None and not self.services.desk.status().is_ready:
                return _too_early(error)
            told = await with_line_that_is_taken(error, person, self.services)
            reply = Reply((refused_card(told),), outcome="refused")
        return replace(reply, events=(fact, *reply.events), toast="👍")

    def _refuse_demoted(self, request: Request, payload: str, *, is_locked: bool) -> None:
        """A role may have changed between the question and the tap; so may the time."""
        command, _ = asking.unpack(payload, self.services)
        if request.person.role is Role.VIEWER:
            raise Refused("a viewer may not do this", example="/status")
        asking.refuse_unseen(self.services, command)
        is_late = request.now - request.sent_at > _TAP_AGE_MAX
        if asking.adds_risk(command) and (is_late or is_locked):
            raise Refused("this tap waited too long and adds risk: see /orders", example="/orders")

    def _answered(
        self, nonce: str, answer: ConfirmationAnswer, person: Person
    ) -> ConfirmationAnswered:
        return ConfirmationAnswered(nonce, answer, person.user_id, self.clock.now())


def _too_early(error: Refused) -> Reply:
    """A start is no answer to what was asked before it: the question waits for another tap."""
    said = "Nothing was done. Tap the button above again then."
    return Reply((Card(card_text(f"⏳ {error}", said)),), outcome=_TOO_EARLY, toast="Not yet")


def _is_urgent(asked: Confirmation | None) -> bool:
    if asked is None or asked.action in _OWN_QUESTIONS:
        return False
    return words.is_urgent(asking.said(asked.payload))
