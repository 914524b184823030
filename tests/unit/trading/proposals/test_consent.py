"""What a question said is compared with what is true when it is answered."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from storage.codec import decode, encode
from tests import builders
from trading.domain.commands import EditTracker
from trading.domain.events import TrackerChanged
from trading.domain.money import ZERO
from trading.domain.order import Side
from trading.domain.tracker import (
    Amount,
    AmountKind,
    Line,
    LinePoint,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.proposals import consent


def test_the_rules_of_a_change_read_alike_before_and_after_they_were_stored() -> None:
    lines = Line(
        LinePoint(builders.NOON, Decimal(50_000)),
        LinePoint(builders.NOON + timedelta(hours=1), Decimal("50100.0")),
    )
    spec = TrackerSpec(TrackerKind.STOP, "BTC/USDT", Amount(AmountKind.ALL), level=lines)
    tracker = Tracker(1, spec, 7, Side.SELL, TrackerState.WATCHING, builders.NOON)
    kept = decode(
        TrackerChanged.__name__, encode(TrackerChanged(tracker, TrackerChange.ARMED, builders.NOON))
    )
    assert isinstance(kept, TrackerChanged)
    command = EditTracker(1, level=Decimal(51_000))
    shown = [consent.shown_of_edit(one, one, ZERO, command) for one in (tracker, kept.tracker)]
    assert shown[0] == shown[1]
    other = replace(tracker, spec=replace(spec, level=Decimal(50_000)))
    assert consent.shown_of_edit(other, other, ZERO, command) != shown[0]
