"""What a person must hear of a waiting tracker although no price moved it: each said once."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.chat import Severity
from trading.domain.events import AlertRaised
from trading.domain.instrument import Instrument, base_and_quote
from trading.domain.money import ZERO, plain
from trading.domain.time import from_ms, to_ms
from trading.domain.tracker import Tracker
from trading.trackers import arming, backstop
from trading.trackers.slices import GONE

LINE_WARNING = timedelta(hours=24)
PAUSED_REMINDER = timedelta(minutes=55)


def due(
    trackers: Iterable[Tracker], now: datetime, instruments: Mapping[str, Instrument]
) -> Iterator[AlertRaised]:
    """Yield the alerts that are due; the same alert always has the same id."""
    for tracker in trackers:
        if not tracker.state.is_waiting:
            continue
        yield from _paused(tracker, now)
        yield from _lines(tracker, now)
        if tracker.symbol in instruments:
            yield from _backstop(tracker, now, instruments[tracker.symbol])


def _paused(tracker: Tracker, now: datetime) -> Iterator[AlertRaised]:
    if not tracker.is_paused or tracker.paused_at is None:
        return
    times = int((now - tracker.paused_at) / PAUSED_REMINDER)
    if times < 1:
        return
    minutes = int((now - tracker.paused_at) / timedelta(minutes=1))
    yield AlertRaised(
        alert_id=f"paused:{tracker.tracker_id}:{to_ms(tracker.paused_at)}:{times}",
        severity=Severity.WARN,
        text=f"#{tracker.tracker_id} {tracker.symbol} is paused for {minutes} min: not watched",
        at=now,
        tracker_id=tracker.tracker_id,
    )


def _lines(tracker: Tracker, now: datetime) -> Iterator[AlertRaised]:
    spent_ms = arming.spent_at_ms(tracker.spec, to_ms(tracker.armed_at))
    if spent_ms is None:
        return
    spent = from_ms(spent_ms)
    name = f"#{tracker.tracker_id} {tracker.symbol}"
    if now >= spent:
        yield AlertRaised(
            alert_id=f"lines:{tracker.tracker_id}:{spent_ms}:spent",
            severity=Severity.CRIT,
            text=f"{name}: its lines have met, it takes no new touch; a stop of its own stays",
            at=now,
            tracker_id=tracker.tracker_id,
        )
    elif now >= spent - LINE_WARNING:
        yield AlertRaised(
            alert_id=f"lines:{tracker.tracker_id}:{spent_ms}:soon",
            severity=Severity.WARN,
            text=f"{name}: its lines meet at {spent:%Y-%m-%d %H:%M} UTC, no touch after that",
            at=now,
            tracker_id=tracker.tracker_id,
        )


def _backstop(tracker: Tracker, now: datetime, instrument: Instrument) -> Iterator[AlertRaised]:
    text = backstop.warning(tracker, to_ms(now), instrument)
    if text and not tracker.is_paused:
        number, price = tracker.tracker_id, plain(tracker.spec.backstop or ZERO)
        yield AlertRaised(
            alert_id=f"backstop_first:{number}:{tracker.arm_seq}:{price}",
            severity=Severity.WARN,
            text=text,
            at=now,
            tracker_id=number,
        )


def shrunk(
    tracker: Tracker, before: Decimal, by_hand: str, now: datetime
) -> tuple[AlertRaised, ...]:
    """Return the alert about a slice that had more base units before; a person's own end has none.

    Whoever took the coins: a stop that watches less than its card says is never silent.
    """
    left = tracker.quantity
    if left >= before or (by_hand and not left):
        return ()
    base = base_and_quote(tracker.symbol)[0]
    name = f"#{tracker.tracker_id} {tracker.symbol}"
    text = f"{name} has ended: {GONE}. Nothing of them is watched any more"
    if left:
        why = by_hand or "the rest of its coins are gone"
        text = f"{name} has {plain(left)} {base} left of {plain(before)}: {why}"
    return (
        AlertRaised(
            alert_id=f"shrunk:{tracker.tracker_id}:{to_ms(now)}:{plain(left)}",
            severity=Severity.INFO if by_hand else Severity.WARN,
            text=text,
            at=now,
            tracker_id=tracker.tracker_id,
        ),
    )
