"""Tells people of scores as they cross: each who watches, within what they wish to hear."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from bot.telegram.access import buttons_for
from bot.telegram.alert_pictures import AlertPictures
from bot.telegram.delivery import is_silent, with_banner
from bot.telegram.render.score_alerts import alert_card, rest_card, seen_card
from bot.telegram.render.text import Card
from bot.telegram.roster import Roster
from bot.telegram.turns import each
from trading.desk import Desk
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person, Role, Severity
from trading.domain.errors import AlreadyRecorded, Refused
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.time import to_ms
from trading.domain.watching import WatchedScore
from trading.ports.clock import Clock
from trading.ports.storage import Journal
from trading.scanner.alerting import AlertRule
from trading.scanner.attention import Message, Present, looked
from trading.scanner.desk import ScannerDesk
from trading.scanner.scores import RankScore
from trading.scanner.telling import Told, tell

logger = logging.getLogger(__name__)
_REMEMBERED_MAX = 1_000
# Less of what is owned than this is dust; a coin without a price counts for as much.
_HELD_MIN = _UNPRICED = 0.01


@dataclass(frozen=True, slots=True)
class _Known:
    """What a person knows, and the number of their present card of the rest."""

    told: Told = field(default_factory=Told)
    card: int = 1


@dataclass(slots=True)
class ScoreTelling:
    """Called after each scan; what was told and the message about it are one append."""

    scanner: ScannerDesk
    desk: Desk
    journal: Journal
    roster: Roster
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    pictures: AlertPictures
    _known: dict[int, _Known] = field(default_factory=dict)

    async def load(self) -> None:
        """Read what everybody has been told; the newest of each person counts."""
        found = await self.journal.latest(_REMEMBERED_MAX, ("ScoresTold",))
        for one in reversed(found):
            if isinstance(one.event, events.ScoresTold):
                self._known[one.event.user_id] = _known(one.event)

    async def tell(self) -> int:
        """Tell everybody what the newest scores are worth to them; returns how many messages."""
        now = self.clock.now()
        exposure = self._exposure()
        people = list(self.roster.active.values())
        self.pictures.begin()
        return await each(partial(self._tell_person, person, exposure, now) for person in people)

    async def look(self, person: Person) -> None:
        """Note that somebody was here: what waited on their card is seen, the next is a new one."""
        before = self._known.get(person.user_id, _Known())
        if not before.told.attention.folded:
            return
        after = _Known(
            replace(before.told, attention=looked(before.told.attention)), before.card + 1
        )
        now = self.clock.now()
        card = seen_card(before.told.attention, self._instrument)
        seen = self._rest_message(person, card, before.card, now)
        await self._record(person, after, (seen,), now)

    async def _tell_person(self, person: Person, exposure: dict[str, float], now: datetime) -> int:
        rated = self._rated(person)
        before = self._known.get(person.user_id, _Known())
        if not rated and not before.told.watched:
            return 0
        quiet = is_silent(person, Severity.INFO, now)
        present = Present(to_ms(now), quiet, _held(person, exposure))
        told, messages = tell(rated, before.told, person.wishes, present)
        if told == before.told:
            return 0
        by_symbol = {score.symbol: score for score, _ in rated}
        queued = [
            await self._message(person, message, number, by_symbol, now)
            for number, message in enumerate(messages)
        ]
        folded = told.attention.folded
        if folded and folded != before.told.attention.folded:
            card = rest_card(told.attention, self._instrument)
            queued.append(self._rest_message(person, card, before.card, now))
        await self._record(person, _Known(told, before.card), queued, now)
        return len(queued)

    def _rated(self, person: Person) -> list[tuple[RankScore, AlertRule]]:
        rated = []
        for interest in person.wishes.interests:
            score = self.scanner.score(interest)
            if score is not None and self.scanner.is_settled(interest.symbol):
                rated.append((score, AlertRule(self.scanner.thresholds(interest))))
        return rated

    async def _record(
        self, person: Person, known: _Known, queued: Sequence[OutboxMessage], now: datetime
    ) -> None:
        told = known.told
        watched = tuple(
            WatchedScore(symbol, kind, state) for (symbol, kind), state in told.watched.items()
        )
        fact = events.ScoresTold(person.user_id, watched, told.attention, known.card, now)
        try:
            await self.journal.append(*(events.MessageQueued(one) for one in queued), fact)
        except AlreadyRecorded as error:
            logger.info("already_told", extra={"key": error.key})
        self._known[person.user_id] = known
        if queued:
            self.kick_outbox()

    # ------------------------------------------------------------ messages

    async def _message(
        self,
        person: Person,
        message: Message,
        number: int,
        scores: dict[str, RankScore],
        now: datetime,
    ) -> OutboxMessage:
        card = alert_card(message.alerts, scores, self._instrument)
        name = f"score-{person.user_id}-{to_ms(now)}-{number}"
        picture = await self.pictures.of(message, scores, person, name, now)
        return OutboxMessage(
            message_key=f"score:{person.user_id}:{to_ms(now)}:{number}",
            chat_id=person.chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=now,
            buttons=buttons_for(card.buttons, person.role),
            is_silent=not message.is_audible,
            picture=None if picture is None else str(picture),
        )

    def _rest_message(
        self, person: Person, card: Card, number: int, now: datetime
    ) -> OutboxMessage:
        return OutboxMessage(
            message_key=f"scores_left:{person.user_id}:{number}:{to_ms(now)}",
            chat_id=person.chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=now,
            buttons=card.buttons,
            is_silent=True,
            card=f"scores_left:{person.user_id}:{number}",
            edits=True,
        )

    def _instrument(self, symbol: str) -> Instrument | None:
        try:
            return self.desk.instrument(symbol)
        except Refused:
            return None

    def _exposure(self) -> dict[str, float]:
        """The share of what is owned that lies in each coin; what nobody prices is held, too."""
        account = self.desk.account()
        if not account.equity:
            return {}
        shares = {
            one.balance.asset: _UNPRICED
            if one.value is None
            else float(min(one.value / account.equity, Decimal(1)))
            for one in account.balances
            if one.balance.total
        }
        return {asset: share for asset, share in shares.items() if share >= _HELD_MIN}


def _held(person: Person, exposure: Mapping[str, float]) -> dict[str, float]:
    """How much of each symbol that somebody watches is theirs; who only looks owns nothing."""
    if person.role is Role.VIEWER:
        return {}
    coins = {one.symbol: base_and_quote(one.symbol)[0] for one in person.wishes.interests}
    return {symbol: exposure[coin] for symbol, coin in coins.items() if coin in exposure}


def _known(event: events.ScoresTold) -> _Known:
    watched = {(one.symbol, one.kind): one.state for one in event.watched}
    return _Known(Told(watched, event.attention), event.card)
