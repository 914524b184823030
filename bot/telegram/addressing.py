"""Turns the journal's events into messages, each exactly once."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

from bot.telegram.access import buttons_for
from bot.telegram.alert import AlertFacts
from bot.telegram.alerts import ALERT_KINDS
from bot.telegram.appending import apart, append_lacking, once_each
from bot.telegram.closings import Closings
from bot.telegram.delivery import messages_for, with_banner
from bot.telegram.render.text import Card
from bot.telegram.render.trackers import card_name, ended_card, tracker_card
from bot.telegram.render.trading import order_end_card, order_name
from bot.telegram.roster import Roster
from bot.telegram.standing_alarms import StandingAlarms
from bot.telegram.storms import alerts_for
from bot.telegram.tracker_alerts import blocked_name, unblocked_card
from bot.telegram.unsettled import Unsettled
from trading.desk import Desk
from trading.domain import events
from trading.domain.chat import OutboxMessage
from trading.domain.errors import AlreadyRecorded, Refused
from trading.domain.events import Event, MessageQueued
from trading.domain.instrument import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Intent, IntentState, OrderType, Purpose, Side
from trading.domain.tracker import Tracker, TrackerChange, TrackerState
from trading.poison import InHand, Lane, Unmarked, marked
from trading.ports.clock import Clock
from trading.ports.storage import Journal, Recorded, Records

logger = logging.getLogger(__name__)
_BATCH = 500
_ACKNOWLEDGED_MAX = 500
_INTENTS_LOOKED_AT = 500
# So many messages of one card are kept true in a chat; each costs an edit.
_HANGING_MAX = 4
_TRIPS_MAX = 1_000
_NAME = re.compile("fact ([0-9]+) ")
# How the alarm about a lost backstop begins; which one could not replace it follows.
_LOST = "backstop_lost:"
# A refused backstop is tried again each minute; after a longer while its end is news again.
_SAID_FOR = timedelta(minutes=5)
# A trail moves with the market; its card is edited when it acts, or when somebody asks.
_LEFT_TO_REFRESH = frozenset({TrackerChange.ARMED, TrackerChange.MOVED})


# The answer to a command is stored once it is done, and its sale may be over sooner.
_STORED_WITHIN = timedelta(seconds=10)


@dataclass(slots=True)
class Addresser:
    """Reads what is new in the journal and writes who is told, in one append per batch.

    The append carries `EventsAddressed`, whose key makes a second addressing impossible; nothing
    else is a reason to leave a message out.
    """

    journal: Journal
    records: Records
    desk: Desk
    roster: Roster
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    in_hand: InHand = field(default_factory=Unmarked)
    alarms: StandingAlarms = field(init=False)
    # Ends of sales that came before the card that tells of them was stored, by its name.
    _early: dict[str, tuple[int, datetime, Card]] = field(default_factory=dict)
    _unsettled: Unsettled = field(default_factory=Unsettled)
    _seq: int | None = None

    def __post_init__(self) -> None:
        self.alarms = StandingAlarms(
            *(self.journal, self.desk, self.roster, self.clock),
            *(self.banner, self.kick_outbox, self.instrument),
        )

    async def load(self) -> None:
        """Read where addressing stands and what was acknowledged."""
        seq = self._seq = await self.records.addressed_seq()
        # What died after its append, and before its mark was taken away, died of nothing here.
        self.in_hand.acquit(Lane.EVENT, lambda name: _seq_in(name, seq + 1) <= seq)
        recent = await self.journal.latest(_ACKNOWLEDGED_MAX, ("AlertAcknowledged",))
        for one in recent:
            if isinstance(one.event, events.AlertAcknowledged):
                self.alarms.acknowledged.add(one.event.alert_id)

    async def address_new(self) -> int:
        """Address everything new; returns how many events were looked at."""
        if self._seq is None:
            await self.load()
        # Asked for each second, it reads only where something was written; and what was read and
        # is no news is not read again.
        end = self.journal.written_seq
        if 0 < end <= (self._seq or 0):
            return 0
        seen = 0
        # After a death at one of them they are taken one by one: only then it is known which.
        most = 1 if self.in_hand.is_suspicious(Lane.EVENT) else _BATCH
        while batch := await self.journal.events(self._seq or 0, most, ALERT_KINDS):
            first = batch[0]
            name = _name_of(first)
            with marked(self.in_hand, Lane.EVENT, name) as may_touch:
                if may_touch:
                    await self._address(batch)
                else:
                    batch = batch[:1]
                    await self._leave_out(first)
            self._seq = batch[-1].seq
            seen += len(batch)
        self._seq = max(self._seq or 0, end)
        await self._refresh_late()
        return seen

    async def _address(self, rows: Sequence[Recorded]) -> None:
        for row in rows:
            self._remember(row.event)
        queued = once_each(await self._messages(rows))
        if not queued:
            return
        addressed = events.EventsAddressed(rows[-1].seq, self.clock.now())
        try:
            await self.journal.append(*queued, addressed)
        except AlreadyRecorded as error:
            # An append whose answer was lost may have come to less than what is read by now.
            up_to = await self.records.addressed_seq()
            logger.info("already_addressed", extra={"key": error.key, "up_to": up_to})
            later = [row for row in rows if row.seq > up_to]
            if len(later) == len(rows):
                await self._address_apart(queued, addressed, error)
            elif later:
                await self._address(later)
        self.kick_outbox()

    async def _address_apart(
        self, queued: Sequence[Event], addressed: events.EventsAddressed, error: AlreadyRecorded
    ) -> None:
        """Tell under other keys what nobody has been told, though a message has one of the keys."""
        logger.error("key_taken", extra={"kind": error.kind, "key": error.key})
        told = [
            apart(each, addressed.up_to_seq) for each in queued if isinstance(each, MessageQueued)
        ]
        await append_lacking(self.journal, [*told, addressed])

    async def _messages(self, rows: Sequence[Recorded]) -> list[MessageQueued]:
        now = self.clock.now()
        facts = await self._facts(rows)
        people = list(self.roster.active.values())
        told = [
            message
            for seq, alert in alerts_for(rows, facts)
            for message in messages_for(seq, alert, people, self.banner(), now)
        ]
        refreshed = [
            *await self._refreshes(rows),
            *await self._order_refreshes(rows),
            *await self._closing_refreshes(rows),
        ]
        return [*map(MessageQueued, (*told, *refreshed))]

    async def _leave_out(self, row: Recorded) -> None:
        logger.error("event_left_out", extra={"seq": row.seq, "kind": row.event.kind})
        await append_lacking(self.journal, [events.EventsAddressed(row.seq, self.clock.now())])

    async def _refreshes(self, rows: Sequence[Recorded]) -> list[OutboxMessage]:
        """Bring the cards of trackers up to date, wherever one hangs."""
        changed = {
            row.event.tracker.tracker_id: (row.seq, row.event.tracker)
            for row in rows
            if isinstance(row.event, events.TrackerChanged)
            and row.event.change not in _LEFT_TO_REFRESH
        }
        found: list[OutboxMessage] = []
        for seq, tracker in changed.values():
            card = await self._card_of(tracker)
            if card is not None:
                found += await self._wherever(card, card_name(tracker.tracker_id), seq)
            if tracker.state is not TrackerState.BLOCKED:
                found += await self._unblocked(tracker, seq)
        for number, seq in (self._unsettled_in(rows) | self._backstops_in(rows)).items():
            if number not in changed:
                found += await self._protection_refreshes(number, seq)
        return found

    def _unsettled_in(self, rows: Sequence[Recorded]) -> dict[int, int]:
        """Return whose protection a halt or a degradation began or ended, and where that stands."""
        # Views of hundreds of trackers take milliseconds, and few facts concern any.
        live = cache(lambda: [view.tracker for view in self.desk.trackers()])
        return {number: row.seq for row in rows for number in self._unsettled.by(row.event, live)}

    def _backstops_in(self, rows: Sequence[Recorded]) -> dict[int, int]:
        """Return whose backstop came to rest on the exchange or left it, and where that stands."""
        owners = {intent.intent_id: intent for intent, _ in self.desk.open_orders()}
        found: dict[int, int] = {}
        for row in rows:
            intent = row.event.intent if isinstance(row.event, events.IntentClosed) else None
            if isinstance(row.event, events.AttemptChanged):
                intent = owners.get(row.event.attempt.intent_id)
            if intent is not None and intent.purpose is Purpose.BACKSTOP and intent.tracker_id:
                found[intent.tracker_id] = row.seq
        return found

    async def _protection_refreshes(self, number: int, seq: int) -> list[OutboxMessage]:
        if not await self.records.card_chats(card_name(number)):
            return []
        try:
            card = tracker_card(self.desk.tracker(number))
        except Refused:
            # It has ended, and so says its card.
            return []
        return await self._wherever(card, card_name(number), seq)

    async def _unblocked(self, tracker: Tracker, seq: int) -> list[OutboxMessage]:
        """Take the buttons off an alarm that is over, wherever it was told or told again."""
        # What sold may be armed anew already.
        armings = (tracker, replace(tracker, arm_seq=tracker.arm_seq - 1))
        return [
            message
            for first in map(blocked_name, armings)
            for name in self.alarms.names_of(first)
            for message in await self._wherever(unblocked_card(tracker), name, seq)
        ]

    async def _order_refreshes(self, rows: Sequence[Recorded]) -> list[OutboxMessage]:
        """Say on the card of an order that somebody asked for how it ended."""
        found: list[OutboxMessage] = []
        for row in rows:
            # A panic has one card for all of its sales.
            if isinstance(row.event, events.IntentClosed) and _has_card(row.event.intent):
                intent = row.event.intent
                card = order_end_card(intent, self.instrument(intent.symbol))
                found += await self._at_end(card, order_name(intent.intent_id), row.seq)
        return found

    async def _closing_refreshes(self, rows: Sequence[Recorded]) -> list[OutboxMessage]:
        """Say on the card of a command that sells many what all its sales have come to."""
        closings = Closings(self.journal, self.desk)
        found: list[OutboxMessage] = []
        for closing in await closings.concerned(rows):
            found += await self._at_end(await closings.card(closing), closing.name, closing.seq)
        return found

    async def _at_end(self, card: Card, name: str, seq: int) -> list[OutboxMessage]:
        """Bring a card up to date with an end; one that is about to be stored, a moment later."""
        if not await self.records.card_chats(name):
            _, since, _ = self._early.get(name, (0, self.clock.now(), card))
            self._early[name] = (seq, since, card)
            return []
        self._early.pop(name, None)
        return await self._wherever(card, name, seq)

    async def _refresh_late(self) -> None:
        now = self.clock.now()
        for name, (seq, at, card) in list(self._early.items()):
            refreshed = await self._at_end(card, name, seq)
            if refreshed:
                await append_lacking(self.journal, [*map(MessageQueued, refreshed)])
                self.kick_outbox()
            elif now - at > _STORED_WITHIN:
                # Nobody in a chat has asked for it.
                self._early.pop(name, None)

    async def _wherever(self, card: Card, name: str, seq: int) -> list[OutboxMessage]:
        admitted = {person.chat_id: person.role for person in self.roster.active.values()}
        chats = admitted.keys() & set(await self.records.card_chats(name))
        found = []
        for chat_id in sorted(chats):
            seen = replace(card, buttons=buttons_for(card.buttons, admitted[chat_id]))
            found.append(self._refresh(seq, seen, name, chat_id))
            # Who asked for it twice reads the older one as well.
            hanging = await self.records.card_message_ids(chat_id, name, _HANGING_MAX)
            found += [self._refresh(seq, seen, name, chat_id, target) for target in hanging[1:]]
        return found

    def _refresh(
        self, seq: int, card: Card, name: str, chat_id: int, target: int | None = None
    ) -> OutboxMessage:
        older = "" if target is None else f":{target}"
        return OutboxMessage(
            message_key=f"card:{seq}:{chat_id}:{name}{older}",
            chat_id=chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=self.clock.now(),
            buttons=card.buttons,
            is_silent=True,
            card=name,
            edits=True,
            target=target,
            is_refresh=True,
        )

    async def _card_of(self, tracker: Tracker) -> Card | None:
        try:
            if tracker.state.is_terminal:
                return ended_card(await self.desk.ended_tracker(tracker.tracker_id))
            return tracker_card(self.desk.tracker(tracker.tracker_id))
        except Refused:
            # It ended meanwhile, which is an event of its own, or its symbol is no longer listed.
            return None

    def _remember(self, event: Event) -> None:
        if isinstance(event, events.PersonChanged):
            self.roster.follow(event.person, event.at)
        elif isinstance(event, events.AlertAcknowledged):
            self.alarms.acknowledged.add(event.alert_id)

    async def _facts(self, rows: Sequence[Recorded]) -> AlertFacts:
        fills = {}
        trips = {}
        for row in rows:
            if isinstance(row.event, events.IntentClosed):
                intent_id = row.event.intent.intent_id
                fills[intent_id] = await self.records.intent_fills(intent_id)
            elif isinstance(row.event, events.RoundTripClosed):
                trips[row.event.round_trip.intent_id] = row.event.round_trip
        ends = [row.event for row in rows if isinstance(row.event, events.IntentClosed)]
        apart = [end.at for end in ends if _is_exit(end) and end.intent.intent_id not in trips]
        if apart:
            # The end of an exit and its profit are one append, and may be two batches.
            found = await self.records.round_trips(min(apart), _TRIPS_MAX)
            trips |= {trip.intent_id: trip for trip in found}
        said, elsewhere = await self._said_before(rows), await self._closed_elsewhere(rows)
        sold = {
            intent_id: sum(
                (fill.quantity for fill in await self.records.intent_fills(intent_id)), ZERO
            )
            for intent_id in map(_blocked_decision, rows)
            if intent_id is not None
        }
        is_watching = not _has_mode(rows) or self.desk.status().is_ready
        return AlertFacts(self.instrument, fills, trips, sold, said, elsewhere, is_watching)

    async def _closed_elsewhere(self, rows: Sequence[Recorded]) -> frozenset[str]:
        """The decisions that ended like their trackers: one append, and maybe two batches."""
        named = [_closed_with(row.event) for row in rows]
        intents = [await self.records.intent(each) for each in named if each is not None]
        return frozenset(
            intent.intent_id
            for intent in intents
            if intent is not None and intent.state is IntentState.CLOSED_EXTERNAL
        )

    async def _said_before(self, rows: Sequence[Recorded]) -> frozenset[str]:
        """The refused backstops of which the try before, or the alarm beside them, says as much."""
        refused = [one for row in rows if (one := _refused_backstop(row.event)) is not None]
        if not refused:
            return frozenset()
        seen = await self.journal.latest(_INTENTS_LOOKED_AT, (events.IntentClosed.__name__,))
        tries: dict[int | None, list[events.IntentClosed]] = {}
        for row in reversed(seen):
            if isinstance(row.event, events.IntentClosed) and (
                row.event.intent.purpose is Purpose.BACKSTOP
            ):
                tries.setdefault(row.event.intent.tracker_id, []).append(row.event)
        # Its alarm is in the same append, and may be in the next batch.
        raised = await self.journal.latest(_INTENTS_LOOKED_AT, (events.AlertRaised.__name__,))
        alarms = {row.event.alert_id for row in raised if isinstance(row.event, events.AlertRaised)}
        return frozenset(
            event.intent.intent_id
            for event in refused
            if f"{_LOST}{event.intent.intent_id}" in alarms
            or _says_again(event, tries.get(event.intent.tracker_id, ()))
        )

    def instrument(self, symbol: str) -> Instrument | None:
        """The rules of a symbol, None once it is no longer listed."""
        try:
            return self.desk.instrument(symbol)
        except Refused:
            return None


def is_news(event: Event) -> bool:
    """Whether an event may tell somebody something at once.

    A trail that moves only counts with what comes after it; reading each of its moves for itself
    would take time from stops. Of orders a card shows only whether a backstop rests.
    """
    if isinstance(event, events.AttemptChanged):
        return event.attempt.request.order_type is OrderType.STOP_LOSS
    return event.kind in ALERT_KINDS


async def wait_for_kick(kick: asyncio.Event, seconds: float) -> None:
    """Sleep until kicked, at most `seconds`."""
    # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the kick.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await kick.wait()
    kick.clear()


def _name_of(row: Recorded) -> str:
    return f"fact {row.seq} ({row.event.kind})"


def _seq_in(name: str, otherwise: int) -> int:
    found = _NAME.match(name)
    return int(found[1]) if found is not None else otherwise


def _has_mode(rows: Sequence[Recorded]) -> bool:
    return any(isinstance(row.event, events.TradingModeChanged) for row in rows)


def _has_card(intent: Intent) -> bool:
    return intent.tracker_id is None and intent.purpose is not Purpose.PANIC


def _is_exit(end: events.IntentClosed) -> bool:
    return end.intent.side is Side.SELL and end.intent.filled_quantity > 0


def _closed_with(event: Event) -> str | None:
    """Which decision a tracker names that was closed elsewhere."""
    if not isinstance(event, events.TrackerChanged):
        return None
    tracker = event.tracker
    return tracker.intent_id if tracker.state is TrackerState.CLOSED_EXTERNAL else None


def _blocked_decision(row: Recorded) -> str | None:
    """Which decision of a tracker cannot go on."""
    event = row.event
    if not isinstance(event, events.TrackerChanged) or event.change is not TrackerChange.BLOCKED:
        return None
    return event.tracker.intent_id


def _refused_backstop(event: Event) -> events.IntentClosed | None:
    if not isinstance(event, events.IntentClosed):
        return None
    intent = event.intent
    is_refused = intent.purpose is Purpose.BACKSTOP and intent.state is IntentState.EXPIRED
    return event if is_refused and not intent.filled_quantity else None


def _says_again(event: events.IntentClosed, tries: Sequence[events.IntentClosed]) -> bool:
    """Whether the try before this one, not long ago, ended for the same reason; oldest first."""
    ids = [one.intent.intent_id for one in tries]
    place = ids.index(event.intent.intent_id) if event.intent.intent_id in ids else 0
    if place == 0:
        return False
    before = _refused_backstop(tries[place - 1])
    return (
        before is not None
        and before.intent.reason == event.intent.reason
        and event.at - before.at <= _SAID_FOR
    )
