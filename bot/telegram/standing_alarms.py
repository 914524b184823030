"""What is critical and stands: told again and again, until somebody has seen it or it is over."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from bot import modes
from bot.repetition import repeats_due
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.alerts import alert_for
from bot.telegram.appending import append_lacking
from bot.telegram.delivery import messages_for
from bot.telegram.render.text import Card, card_text, headline
from bot.telegram.roster import Roster
from bot.telegram.sorts import CHAT_LOST, REPEAT
from bot.telegram.storms import STORM, storm_card
from bot.telegram.tracker_alerts import blocked_name
from trading.desk import Desk
from trading.domain import events
from trading.domain.chat import Severity
from trading.domain.events import Event
from trading.domain.instrument import Instrument
from trading.domain.tracker import TrackerChange
from trading.ports.clock import Clock
from trading.ports.storage import Journal

_ALARMS_MAX = 500
_TOLD_AGAIN_MAX = 12
_TOGETHER_S = 60.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A standing thing as it is told, and what that was drawn from."""

    event: Event
    sold: Mapping[str, Decimal]
    listed: Mapping[str, Instrument | None]
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be said again: which alarm, under which pace, since when and how often by now."""

    key: str
    paced: str
    alert: Alert
    since: datetime
    number: int


@dataclass(slots=True)
class StandingAlarms:
    """Knows what stands from the desk, and what was acknowledged from whoever reads the journal."""

    journal: Journal
    desk: Desk
    roster: Roster
    clock: Clock
    banner: Callable[[], str]
    kick_outbox: Callable[[], None]
    instrument: Callable[[str], Instrument | None]
    acknowledged: set[str] = field(default_factory=set)
    _standing_since: dict[str, datetime] = field(default_factory=dict)
    # How often each was said at the pace at which it was counted last.
    _repeated: dict[str, int] = field(default_factory=dict)
    _paced: dict[str, str] = field(default_factory=dict)
    _drawn: dict[str, _Drawn] = field(default_factory=dict)
    # When many that stand were last said again together, monotonic.
    _together_at_s: float | None = None
    # What has stood together with many, and is said again as one message with what is left of them.
    _told_as_one: set[str] = field(default_factory=set)
    # Under which names an alarm that has a card was told again, by the name of that card.
    _told_again: dict[str, deque[str]] = field(default_factory=dict)

    def names_of(self, card: str) -> tuple[str, ...]:
        """Every name under which an alarm was told: that of its card, and those of its repeats."""
        return (card, *self._told_again.get(card, ()))

    def standing(self) -> Mapping[str, Alert]:
        """Critical things that nobody has acknowledged, by alert id."""
        standing = self.desk.standing()
        found: dict[str, tuple[Event, datetime | None]] = {
            alert.alert_id: (alert, alert.at)
            for alert in standing.alerts
            if alert.severity is Severity.CRIT
        }
        for condition in standing.conditions:
            if condition.is_active and condition.severity is Severity.CRIT:
                at = f"{condition.at:%Y%m%dT%H%M%S}"
                key = f"condition:{condition.condition}:{condition.symbol or ''}:{at}"
                found[key] = (condition, condition.at)
        for tracker in standing.blocked:
            key = blocked_name(tracker)
            changed = events.TrackerChanged(
                tracker, TrackerChange.BLOCKED, tracker.changed_at or tracker.armed_at
            )
            found[key] = (changed, tracker.changed_at)
        halt = standing.halt
        if halt is not None and modes.asker(halt.by) is None:
            found[f"halt:{halt.at:%Y%m%dT%H%M%S}"] = (halt, halt.at)
        # Asked for each second and more: what says the same is not laid out again.
        sold = self._sold() if standing.blocked else {}
        self._drawn = {
            key: self._drawing(key, event, sold)
            for key, (event, _) in found.items()
            if key not in self.acknowledged
        }
        return {
            key: replace(drawn.alert, since=found[key][1])
            for key, drawn in self._drawn.items()
            if drawn.alert is not None
        }

    def _sold(self) -> Mapping[str, Decimal]:
        """What decisions at work have sold of what they should, base units."""
        at_work = (intent for intent, _ in self.desk.open_orders())
        return {one.intent_id: one.filled_quantity for one in at_work if one.filled_quantity}

    def _drawing(self, key: str, event: Event, sold: Mapping[str, Decimal]) -> _Drawn:
        kept = self._drawn.get(key)
        if kept is not None and kept.event == event and kept.sold == sold:
            listed = {symbol: self.instrument(symbol) for symbol in kept.listed}
            if listed == kept.listed:
                return kept
        asked: dict[str, Instrument | None] = {}

        def instrument(symbol: str) -> Instrument | None:
            asked[symbol] = self.instrument(symbol)
            return asked[symbol]

        alert = alert_for(event, AlertFacts(instrument, sold=sold))
        return _Drawn(event, sold, asked, alert)

    def own_ids(self) -> tuple[str, ...]:
        """Ids of standing things that only the chat keeps: what `/ack` records besides alerts."""
        kept_elsewhere = {alert.alert_id for alert in self.desk.standing().alerts}
        return tuple(key for key in self.standing() if key not in kept_elsewhere)

    async def repeat(self) -> None:
        """Say standing critical things again after 1, 5, 15 min and each 15 min, until /ack.

        While everything is halted, a stop that has fired and does not sell is said each minute.
        """
        now = self.clock.now()
        # Whoever reads in the chat that it is lost, has it; elsewhere the second channel says it.
        standing = {key: alert for key, alert in self.standing().items() if alert.sort != CHAT_LOST}
        is_held = self.desk.standing().is_held
        for key in set(self._standing_since) - set(standing):
            self._standing_since.pop(key)
            self._paced.pop(key, None)
            self._repeated.pop(key, None)
        due: list[_Due] = []
        for key, alert in self._due_together(standing).items():
            # How long it stands is durable: a restart neither starts the count again nor says
            # again what it said.
            since = self._standing_since.setdefault(key, alert.since or now)
            each_minute = is_held and key.startswith("blocked:")
            number = repeats_due(now - since, each_minute=each_minute)
            # The two paces count apart: a release must not silence what comes after it, nor say
            # at once what may be over in a moment.
            paced = f"{key}:held" if each_minute else key
            if self._paced.setdefault(key, paced) != paced:
                self._paced[key], self._repeated[key] = paced, number
            elif number > self._repeated.get(key, 0):
                self._repeated[key] = number
                due.append(_Due(key, paced, alert, since, number))
        as_one = [one for one in due if one.key in self._told_as_one]
        if not 1 < len(as_one) < STORM:
            # The outbox makes one message of more.
            as_one = []
        told = [self._repeat(one) for one in due if one not in as_one]
        await self._queue_together([*told, *([self._repeat_as_one(as_one)] if as_one else [])])

    def _due_together(self, standing: Mapping[str, Alert]) -> Mapping[str, Alert]:
        """All of few alarms; many are said again at once, each minute, what concerns all first.

        So is what is left of many.
        """
        if len(standing) >= STORM:
            # What concerns everything is told for itself, with all its words.
            self._told_as_one |= {key for key, alert in standing.items() if alert.sort}
        self._told_as_one &= standing.keys()
        if len(standing) < STORM and len(self._told_as_one) <= 1:
            return standing
        now_s = self.clock.monotonic()
        if self._together_at_s is not None and now_s - self._together_at_s < _TOGETHER_S:
            is_few = len(standing) < STORM
            apart = {key: one for key, one in standing.items() if key not in self._told_as_one}
            return apart if is_few else {}
        self._together_at_s = now_s
        return dict(sorted(standing.items(), key=lambda one: bool(one[1].sort)))

    async def _queue_together(self, due: Sequence[Sequence[events.MessageQueued]]) -> None:
        """Queue repeats at once, so that the outbox sees how many they are."""
        facts = [fact for each in due for fact in each]
        if not facts:
            return
        # What was said before a restart is known.
        await append_lacking(self.journal, facts)
        self.kick_outbox()

    def _repeat_as_one(self, due: Sequence[_Due]) -> list[events.MessageQueued]:
        gist = tuple(_head(one.alert) for one in due)
        card = storm_card(REPEAT, Severity.CRIT, gist)
        return self._queued(due[0], Alert(card, Severity.CRIT, sort=REPEAT, gist=gist))

    def _repeat(self, due: _Due) -> list[events.MessageQueued]:
        alert = due.alert
        minutes = int((self.clock.now() - due.since).total_seconds() // 60)
        again = card_text(f"🔁 Still so after {minutes} min")
        text = f"{alert.card.text}\n{again}"
        first = alert.card.name
        name = first and f"{first}:{_said(due)}"
        if first and name:
            again_as = self._told_again.setdefault(first, deque(maxlen=_TOLD_AGAIN_MAX))
            again_as.append(name)
            self._told_again = dict(list(self._told_again.items())[-_ALARMS_MAX:])
        repeated = Alert(
            Card(text, alert.card.buttons, name=name),
            Severity.CRIT,
            sort=REPEAT,
            gist=(_head(alert),),
        )
        return self._queued(due, repeated)

    def _queued(self, due: _Due, repeated: Alert) -> list[events.MessageQueued]:
        people = list(self.roster.active.values())
        prefix = f"repeat:{_said(due)}"
        return [
            events.MessageQueued(replace(message, message_key=f"{prefix}:{message.chat_id}"))
            for message in messages_for(0, repeated, people, self.banner(), self.clock.now())
        ]


def _said(due: _Due) -> str:
    """Name one saying of an alarm: at which pace, since when it stood, and which saying it is."""
    return f"{due.paced}:{due.since:%Y%m%dT%H%M%S}:{due.number}"


def _head(alert: Alert) -> str:
    return headline(alert.card.text)
