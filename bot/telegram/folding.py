"""What of all that waits for the chat goes out as one message, what waits, and what goes first."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.telegram import sorts
from bot.telegram.delivery import with_banner
from bot.telegram.keyboards import does
from bot.telegram.render.text import Line, card_text, headline, moment
from bot.telegram.storms import STORM, in_parts, storm_card
from trading.domain.chat import Button, OutboxMessage, Severity

# News that could not be told for so long is told together, after how things are by now.
LATE_AFTER = timedelta(seconds=60)
# Within this time so many of a sort make a storm; more of it wait for each other, for they may
# be told ten seconds late.
_STORM_S = 60.0
_HELD_S = 8.0
_LATE_LISTED_MAX = 40
_NEWS = ("alert:", "repeat:")
# What an order did is told after what it was for, however late both are.
_IN_TURN = frozenset({sorts.TRIGGERED, sorts.DONE})
_SEEN = "/ack"


@dataclass(frozen=True, slots=True)
class Sending:
    """One message to send, and the waiting ones that it tells of; none where it is one of them."""

    message: OutboxMessage
    rows: tuple[OutboxMessage, ...] = ()
    is_first: bool = False

    @property
    def rank(self) -> int:
        """Smaller is sent first: what concerns everything before what concerns one symbol."""
        message = self.message
        is_of_many = message.sort not in {"", sorts.CHAT_LOST, sorts.STOPPED}
        if self.is_first:
            return 0
        if message.is_refresh:
            return 5
        if message.severity is Severity.CRIT:
            return 2 if is_of_many else 1
        return 4 if is_of_many and message.sort not in _IN_TURN else 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go now, first things first, and after how many seconds what is held back may."""

    sendings: tuple[Sending, ...]
    held_s: float | None = None


@dataclass(slots=True)
class Folding:
    """Remembers, for a minute, what each chat was told of each sort; times are monotonic."""

    banner: Callable[[], str] = lambda: ""
    # How things are now, for the first message after a silence.
    brief: Callable[[], Sequence[Line]] = lambda: ()
    _sent: dict[tuple[int, str], deque[float]] = field(default_factory=dict)
    _held_since: dict[tuple[int, str], float] = field(default_factory=dict)

    def told(self, sending: Sending, now_s: float) -> None:
        """Take in that a message went out."""
        if sending.message.sort:
            place = (sending.message.chat_id, sending.message.sort)
            self._held_since.pop(place, None)
            self._sent.setdefault(place, deque(maxlen=STORM)).extend(
                [now_s] * min(max(len(sending.message.gist), 1), STORM)
            )

    def plan(
        self, pending: Sequence[OutboxMessage], now: datetime, now_s: float, *, is_last: bool
    ) -> Plan:
        """Say what goes out now; `is_last` holds nothing back."""
        self._forget(now_s)
        late, rest = self._late(pending, now)
        singles: list[Sending] = []
        places: dict[tuple[int, str], list[OutboxMessage]] = {}
        for message in rest:
            if message.sort and not message.edits:
                places.setdefault((message.chat_id, message.sort), []).append(message)
            else:
                singles.append(Sending(message))
        found, waits = [*late, *singles], []
        for place, rows in places.items():
            held_s = 0.0 if is_last else self._held_s(place, now_s)
            if held_s > 0:
                waits.append(held_s)
            else:
                found += self._of_one_sort(rows, now)
        self._held_since = {
            place: at_s for place, at_s in self._held_since.items() if place in places
        }
        order = {message.message_key: number for number, message in enumerate(pending)}
        found.sort(key=lambda one: (one.rank, order[(one.rows or (one.message,))[0].message_key]))
        return Plan(tuple(found), min(waits, default=None))

    def _forget(self, now_s: float) -> None:
        self._sent = {
            place: times for place, times in self._sent.items() if now_s - times[-1] < _STORM_S
        }

    def _held_s(self, place: tuple[int, str], now_s: float) -> float:
        """How long news still waits for more of its sort: not at all before there is a storm."""
        lately = sum(now_s - at_s < _STORM_S for at_s in self._sent.get(place, ()))
        if lately < STORM:
            return 0.0
        return self._held_since.setdefault(place, now_s) + _HELD_S - now_s

    def _of_one_sort(self, rows: Sequence[OutboxMessage], now: datetime) -> list[Sending]:
        sizes = [max(len(row.gist), 1) for row in rows]
        place = (rows[0].chat_id, rows[0].sort)
        if sum(sizes) + len(self._sent.get(place, ())) < STORM:
            return [Sending(row) for row in rows]
        parts = in_parts(rows[0].sort, rows, sizes)
        return [
            Sending(part[0]) if len(part) == 1 else Sending(self._storm(part, now), tuple(part))
            for part in parts
        ]

    def _storm(self, rows: Sequence[OutboxMessage], now: datetime) -> OutboxMessage:
        first = rows[0]
        severity = min((row.severity for row in rows), key=lambda each: each.priority)
        gist = tuple(line for row in rows for line in row.gist)
        offered = [button for row in rows for line in row.buttons for button in line]
        card = storm_card(first.sort, severity, gist, offered)
        # Who may not acknowledge got no such button with any of them either.
        may_see = any(map(_is_ack, offered))
        buttons = tuple(
            tuple(button for button in line if may_see or not _is_ack(button))
            for line in card.buttons
        )
        return OutboxMessage(
            message_key=f"folded:{first.message_key}",
            chat_id=first.chat_id,
            text=with_banner(card.text, self.banner()),
            created_at=now,
            severity=severity,
            buttons=buttons,
            is_silent=all(row.is_silent for row in rows),
            sort=first.sort,
            gist=gist,
        )

    def _late(
        self, pending: Sequence[OutboxMessage], now: datetime
    ) -> tuple[list[Sending], list[OutboxMessage]]:
        """Say first how things are and what happened, where news of a chat had to wait long."""
        summaries, rest = [], []
        for chat_id in dict.fromkeys(message.chat_id for message in pending):
            rows = [message for message in pending if message.chat_id == chat_id]
            news = [row for row in rows if row.message_key.startswith(_NEWS)]
            told = [row for row in news if _is_told_by_summary(row)]
            is_late = any(now - row.created_at >= LATE_AFTER for row in news)
            if not is_late or not told or (len(news) == 1 and told[0].sort != sorts.CHAT_LOST):
                rest += rows
                continue
            summaries.append(Sending(self._summary(news, told[0], now), tuple(told), is_first=True))
            keys = {row.message_key for row in told}
            rest += [row for row in rows if row.message_key not in keys]
        return summaries, rest

    def _summary(
        self, news: Sequence[OutboxMessage], first: OutboxMessage, now: datetime
    ) -> OutboxMessage:
        happened = sorted(
            (row for row in news if not row.message_key.startswith("repeat:")),
            key=lambda row: row.created_at,
        )
        lines = [
            f"{moment(row.created_at, now)} {line}" for row in happened for line in _lines(row)
        ]
        if len(lines) > _LATE_LISTED_MAX:
            earlier = len(lines) - _LATE_LISTED_MAX
            lines = [f"{earlier} earlier: /history", *lines[-_LATE_LISTED_MAX:]]
        title = "📬 What happened meanwhile"
        text = card_text(title, *self.brief(), "", "Since then (UTC):", *lines)
        return OutboxMessage(
            message_key=f"folded:{first.message_key}",
            chat_id=first.chat_id,
            text=with_banner(text, self.banner()),
            created_at=now,
            severity=min((row.severity for row in news), key=lambda each: each.priority),
            buttons=((does("📊 Status", "/status"), does("📜 History", "/history")),),
            is_silent=all(row.is_silent for row in news),
        )


def _is_ack(button: Button) -> bool:
    return button.data.endswith(_SEEN)


def _is_told_by_summary(row: OutboxMessage) -> bool:
    # What is critical is told for itself, too; that it still stands needs no word of its own.
    is_passing = row.sort in {sorts.CHAT_LOST, sorts.REPEAT}
    return not row.edits and (is_passing or row.severity is not Severity.CRIT)


def _lines(row: OutboxMessage) -> Sequence[str]:
    if row.sort == sorts.DONE:
        return [f"✅ {line}" for line in row.gist]
    return [headline(row.text)]
