"""Changing a live tracker: tightening acts at once, loosening shows both worst cases and asks."""

from dataclasses import dataclass, replace
from decimal import Decimal

from trading.domain.commands import EditTracker
from trading.domain.errors import Refused
from trading.domain.instrument import Instrument
from trading.domain.order import Side
from trading.domain.time import to_ms
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    Level,
    PriceKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.trackers import admissible, arming, backstop, mode, rules, trailing
from trading.trackers.arming import Present
from trading.trackers.slices import Slice


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that is ready to be written; a loosening one needs a confirmation first.

    Where no private rule would act, the worst price is that of the backstop.
    """

    tracker: Tracker
    is_loosening: bool
    old_worst: Decimal | None
    new_worst: Decimal | None
    adopted: Decimal = Decimal(0)


def edit(
    tracker: Tracker,
    command: EditTracker,
    present: Present,
    instrument: Instrument,
    owned: Slice | None = None,
) -> Edit:
    """Return the changed tracker, or refuse: it has fired, or the new values break a rule.

    `owned` is the new slice when the command changes the amount.
    """
    if not tracker.state.is_waiting:
        raise Refused(
            f"#{tracker.tracker_id} is {tracker.state.value}: too late to change it",
            example="/orders",
        )
    _check_meaning(tracker, command)
    admissible.check_steps(_said(tracker, command), instrument)
    spec = mode.restated(tracker, changed_spec(tracker.spec, command))
    arming.check(spec, present, instrument)
    arming.check_swing(spec, _distance(tracker, command, present), present.fee)
    spec = arming.with_backstop_price(spec, present, instrument)
    edited = _apply(mode.begun(tracker, spec), spec, command, present, instrument)
    if owned is not None:
        edited = replace(edited, quantity=owned.quantity, quote=owned.quote)
    at_ms = to_ms(present.at)
    _check_backstop(tracker, edited, at_ms, instrument)
    if _moves_a_sale(command):
        admissible.check_saleable(edited, present.price, at_ms, instrument)
    return Edit(
        tracker=edited,
        is_loosening=_is_loosening(tracker, edited, at_ms),
        old_worst=_worst(tracker, at_ms),
        new_worst=_worst(edited, at_ms),
        adopted=owned.adopted if owned is not None else Decimal(0),
    )


def changed_spec(spec: TrackerSpec, command: EditTracker) -> TrackerSpec:
    """Return the specification with the fields that the command names."""
    has_stop = _is_stop_said(command)
    has_backstop = command.backstop is not None or command.backstop_share is not None
    has_backstop = has_backstop or command.is_backstop_off
    has_slippage = command.slippage_max is not None or command.is_slippage_off
    return replace(
        spec,
        level=spec.level if command.level is None else command.level,
        trail=spec.trail if command.trail is None else command.trail,
        stop=command.stop if has_stop else spec.stop,
        stop_share=command.stop_share if has_stop else spec.stop_share,
        confirm=spec.confirm if command.confirm is None else command.confirm,
        amount=spec.amount if command.amount is None else command.amount,
        then=spec.then if command.then is None else command.then,
        backstop=command.backstop if has_backstop else spec.backstop,
        backstop_share=command.backstop_share if has_backstop else spec.backstop_share,
        slippage_max=command.slippage_max if has_slippage else spec.slippage_max,
        price_kind=spec.price_kind if command.price_kind is None else command.price_kind,
    )


def _check_meaning(tracker: Tracker, command: EditTracker) -> None:
    name = f"#{tracker.tracker_id}"
    if rules.is_swinging(tracker) and command.level is not None:
        raise Refused(
            f"{name} swings around its last fill: its level moves with it",
            example=f"/tracker {tracker.tracker_id} then once",
        )
    if command.then is not None:
        mode.check(tracker, command.then)
    has_stop = tracker.spec.stop is not None or tracker.spec.stop_share is not None
    if command.is_stop_off and not has_stop:
        raise Refused(
            f"{name} has no hard stop that could be taken off",
            example=f"/tracker {tracker.tracker_id}",
        )
    has_backstop = command.backstop is not None or command.backstop_share is not None
    if has_backstop and tracker.side is Side.BUY:
        raise Refused(
            f"{name} holds no coins yet that a backstop could lock: set it after the buy",
            example=f"/tracker {tracker.tracker_id}",
        )


def _is_stop_said(command: EditTracker) -> bool:
    return command.stop is not None or command.stop_share is not None or command.is_stop_off


def _said(tracker: Tracker, command: EditTracker) -> tuple[tuple[str, str, Level | None], ...]:
    name = "stop" if tracker.spec.kind is TrackerKind.STOP else "level"
    return (
        (name, "level", command.level),
        ("stop", "stop", command.stop),
        ("backstop", "backstop", command.backstop),
    )


def _moves_a_sale(command: EditTracker) -> bool:
    # What else changes is not refused for a sale that was too small before.
    said = (command.level, command.stop, command.stop_share, command.trail, command.amount)
    backstops = (command.backstop, command.backstop_share)
    return any(each is not None for each in (*said, *backstops))


def _check_backstop(old: Tracker, new: Tracker, at_ms: int, instrument: Instrument) -> None:
    # What only tightens is never refused for a backstop that was there before.
    worst = (rules.worst_price(old, at_ms), rules.worst_price(new, at_ms))
    if new.spec.backstop != old.spec.backstop or _is_worse(new.side, *worst):
        words = f"/tracker {new.tracker_id} backstop"
        backstop.check(new, at_ms, instrument, words)


def _worst(tracker: Tracker, at_ms: int) -> Decimal | None:
    worst = rules.worst_price(tracker, at_ms)
    return tracker.spec.backstop if worst is None and tracker.side is Side.SELL else worst


def _distance(tracker: Tracker, command: EditTracker, present: Present) -> Decimal | None:
    return tracker.distance if command.trail is None else arming.distance_of(command.trail, present)


def _apply(
    tracker: Tracker,
    spec: TrackerSpec,
    command: EditTracker,
    present: Present,
    instrument: Instrument,
) -> Tracker:
    edited = replace(
        tracker, spec=spec, distance=_distance(tracker, command, present), changed_at=present.at
    )
    if command.level is not None:
        level = spec.level if isinstance(spec.level, Decimal) else None
        edited = replace(edited, level_price=level)
    if _is_stop_said(command):
        hard_stop = arming.hard_stop(spec, tracker.side, present, instrument)
        edited = replace(edited, hard_stop_price=hard_stop)
    edited = _restate(edited, command, present, instrument)
    arming.check_not_crossed(edited, present.price, to_ms(present.at))
    return edited


def _restate(
    edited: Tracker, command: EditTracker, present: Present, instrument: Instrument
) -> Tracker:
    if edited.state is not TrackerState.TRAILING:
        return edited
    if command.level is not None and rules.waits_for_touch(edited):
        level = rules.touch_level(edited, to_ms(present.at))
        if level is None or not trailing.is_beyond(edited.side.opposite, present.price, level):
            return replace(
                edited,
                state=TrackerState.WATCHING,
                record_price=None,
                stop_price=None,
                touched_at=None,
            )
    if edited.distance is None:
        return replace(edited, stop_price=edited.level_price)
    if command.trail is None:
        return edited
    # An asked-for distance counts from the record that stands, even when that loosens the stop.
    record = present.price if edited.record_price is None else edited.record_price
    stop = trailing.stop_from(record, edited.distance, edited.side, instrument)
    return replace(edited, record_price=record, stop_price=stop)


def _is_loosening(old: Tracker, new: Tracker, at_ms: int) -> bool:
    worst = (rules.worst_price(old, at_ms), rules.worst_price(new, at_ms))
    return (
        _is_worse(old.side, *worst)
        or _is_wider(old.distance, new.distance)
        or _is_slower(old.spec.confirm, new.spec.confirm)
        or _may_lose_more(old, new)
        or _holds_less(old, new)
        or mode.is_loosening(old, new)
        or _is_caught_later(old, new)
        or _is_bound_riskier(old, new)
        or _is_seen_later(old, new)
    )


def _is_caught_later(old: Tracker, new: Tracker) -> bool:
    before, after = old.spec.backstop, new.spec.backstop
    return before is not None and (after is None or after < before)


def _is_bound_riskier(old: Tracker, new: Tracker) -> bool:
    before, after = old.spec.slippage_max, new.spec.slippage_max
    if old.side is Side.BUY:
        # Without a share of its own a buy is bounded by the settings, wider or narrower.
        return before != after and (before is None or after is None or after > before)
    # Below its floor an exit stops and waits for a person: a higher floor is reached sooner.
    return after is not None and (before is None or after < before)


def _is_seen_later(old: Tracker, new: Tracker) -> bool:
    before, after = (_SEES_A_FALL[each.spec.price_kind] for each in (old, new))
    return old.side is Side.SELL and after > before


# A fall shows in the bid first; last trades may not come at all while the book falls.
_SEES_A_FALL = {PriceKind.BID: 0, PriceKind.MID: 1, PriceKind.DECISION: 1, PriceKind.LAST: 2}


def _is_wider(old: Decimal | None, new: Decimal | None) -> bool:
    return old is not None and (new is None or new > old)


def _may_lose_more(old: Tracker, new: Tracker) -> bool:
    # A touch waits for nothing, so its bound means nothing.
    is_bounded = new.spec.confirm.kind is not ConfirmKind.TOUCH
    return is_bounded and new.loss_max > old.loss_max


def _is_worse(side: Side, old: Decimal | None, new: Decimal | None) -> bool:
    if old is None or new is None:
        return old is not None
    return new < old if side is Side.SELL else new > old


def _holds_less(old: Tracker, new: Tracker) -> bool:
    return new.quantity < old.quantity if old.side is Side.SELL else new.quote > old.quote


def _is_slower(old: Confirm, new: Confirm) -> bool:
    if new.kind is ConfirmKind.TOUCH or new == old:
        return False
    if new.kind is not old.kind:
        return True
    if new.kind is ConfirmKind.CLOSE and new.timeframe is not None and old.timeframe is not None:
        return new.timeframe.length_ms > old.timeframe.length_ms
    return new.count > old.count
