"""From what a person asked for to an armed tracker: every refusal, and what the card must say."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal

from trading.domain.errors import Refused
from trading.domain.instrument import Instrument, InstrumentStatus
from trading.domain.money import EXACT, ONE, floor_to, plain, rounded
from trading.domain.order import Side
from trading.domain.time import from_ms, to_ms
from trading.domain.tracker import (
    Confirm,
    ConfirmKind,
    Distance,
    Level,
    Line,
    ThenKind,
    Tracker,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.trackers import admissible, backstop, lines, protection, rules, trailing
from trading.trackers.slices import Slice

DISTANCE_MIN = Decimal("0.0001")
DISTANCE_MAX = Decimal("0.5")
SWING_SHARE_DEFAULT = Decimal("0.015")
# In how many digits a refusal proposes a level.
_THREE_DIGITS = Context(prec=3)
_TRAIL_PROPOSED = Decimal("0.02")
_SWINGS_PROPOSED = tuple(Decimal(percent) / 100 for percent in (4, 6, 8, 12, 16, 25, 50))
# What a refusal proposes for a share that is out of bounds.
_SHARES = {"stop": "stop 5%", "backstop": "backstop 10%", "slippage": "slippage 0.5%"}
_COUNT_MAX = {ConfirmKind.TICKS: 1000, ConfirmKind.RUN: 100, ConfirmKind.SECONDS: 3600}
_NEEDS_LEVEL = frozenset(
    {TrackerKind.STOP, TrackerKind.TAKE_PROFIT, TrackerKind.DIP, TrackerKind.BREAKOUT}
)
_NEEDS_TRAIL = frozenset(
    {TrackerKind.TRAIL, TrackerKind.TAKE_PROFIT, TrackerKind.DIP, TrackerKind.LINES}
)


@dataclass(frozen=True, slots=True)
class Present:
    """What is true while a tracker is set up.

    `fee` is the share of notional per fill, `atr_share` the asked multiple of ATR(14) as a share
    of the price, None when there is no ATR.
    """

    price: Decimal
    at: datetime
    fee: Decimal
    atr_share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Armed:
    """A tracker that may be confirmed, and what its card must say before."""

    tracker: Tracker
    adopted: Decimal
    is_protected: bool
    worst_price: Decimal | None
    spent_at: datetime | None
    notes: tuple[str, ...]


def arm(
    spec: TrackerSpec,
    owner: tuple[int, int],
    owned: Slice,
    present: Present,
    instrument: Instrument,
) -> Armed:
    """Return the armed tracker and its card's facts, or refuse with the value and the rule.

    `owner` is (tracker id, person id); `owned` comes from `slices.allocate`.
    """
    check(spec, present, instrument)
    _check_guard(spec, to_ms(present.at))
    admissible.check_steps(admissible.levels(spec), instrument)
    spec = with_backstop_price(spec, present, instrument)
    distance = distance_of(spec.trail, present)
    check_swing(spec, distance, present.fee)
    tracker_id, person_id = owner
    side = spec.first_side
    tracker = Tracker(
        tracker_id=tracker_id,
        spec=spec,
        person_id=person_id,
        side=side,
        state=TrackerState.WATCHING,
        armed_at=present.at,
        quantity=owned.quantity,
        quote=owned.quote,
        distance=distance,
        level_price=spec.level if isinstance(spec.level, Decimal) else None,
        hard_stop_price=hard_stop(spec, side, present, instrument),
        changed_at=present.at,
    )
    tracker = start(tracker, present, instrument)
    backstop.check(tracker, to_ms(present.at), instrument, "backstop")
    admissible.check_saleable(tracker, present.price, to_ms(present.at), instrument)
    return describe(tracker, owned.adopted, present, instrument)


def with_backstop_price(spec: TrackerSpec, present: Present, instrument: Instrument) -> TrackerSpec:
    """Return the specification with its backstop as a price.

    A share is of the price when it was said: what rests on the exchange does not trail.
    """
    if spec.backstop_share is None:
        return spec
    price = instrument.price_down(present.price * (ONE - spec.backstop_share))
    return replace(spec, backstop=price, backstop_share=None)


def start(tracker: Tracker, present: Present, instrument: Instrument) -> Tracker:
    """Return the tracker in its first state; refuses a stop that is already crossed."""
    at_ms = to_ms(present.at)
    if rules.waits_for_touch(tracker):
        if _is_touched(tracker, present.price, at_ms):
            touched = replace(tracker, state=TrackerState.TRAILING, touched_at=present.at)
            tracker = trailing.follow(touched, present.price, instrument)
    else:
        tracker = replace(tracker, state=TrackerState.TRAILING)
        if tracker.distance is not None:
            tracker = trailing.follow(tracker, present.price, instrument)
        else:
            tracker = replace(tracker, stop_price=tracker.level_price)
    check_not_crossed(tracker, present.price, at_ms)
    return tracker


def _is_touched(tracker: Tracker, price: Decimal, at_ms: int) -> bool:
    level = rules.touch_level(tracker, at_ms)
    # A level to touch lies where the opposite side's stop would: above for a sell.
    return level is not None and trailing.is_beyond(tracker.side.opposite, price, level)


def describe(tracker: Tracker, adopted: Decimal, present: Present, instrument: Instrument) -> Armed:
    """Return the facts that a card must say of a tracker that is about to be armed."""
    at_ms = to_ms(present.at)
    state = protection.of(tracker, present.price, at_ms)
    spent_ms = spent_at_ms(tracker.spec, at_ms)
    return Armed(
        tracker=tracker,
        adopted=adopted,
        is_protected=state.is_protected,
        worst_price=rules.worst_price(tracker, at_ms),
        spent_at=None if spent_ms is None else from_ms(spent_ms),
        notes=_notes(tracker, present, instrument, spent_ms),
    )


def check(spec: TrackerSpec, present: Present, instrument: Instrument) -> None:
    """Refuse a specification that is incomplete, out of bounds, or contradicts itself."""
    if instrument.status is not InstrumentStatus.TRADING:
        raise Refused(f"{instrument.symbol} takes no orders now: it is {instrument.status.value}")
    if not present.price.is_finite() or present.price <= 0:
        raise Refused(f"there is no usable price of {instrument.symbol} now")
    _check_parts(spec, present)
    at_ms = to_ms(present.at)
    for name, level in (("level", spec.level), ("stop", spec.stop)):
        if level is not None:
            _check_level(level, name, at_ms)
    if spec.kind is TrackerKind.LINES:
        _check_lines(spec.support, spec.resistance, at_ms)
    for name, share in (
        ("stop", spec.stop_share),
        ("backstop", spec.backstop_share),
        ("slippage", spec.slippage_max),
    ):
        if share is not None and not DISTANCE_MIN <= share <= DISTANCE_MAX:
            raise Refused(_share_sentence(name, share), example=_SHARES[name])
    _check_confirm(spec.confirm)
    _check_order_of_levels(spec, present, at_ms)


def distance_of(trail: Distance | None, present: Present) -> Decimal | None:
    """Return a trailing distance as a share; refuses one without ATR or outside 0.01 % to 50 %."""
    if trail is None:
        return None
    share = trail.share
    if share is None:
        if present.atr_share is None:
            raise Refused(
                f"there is no ATR(14) of closed {trail.timeframe.name} candles for this symbol yet",
                example="trail 2%",
            )
        share = present.atr_share
    if not share.is_finite() or not DISTANCE_MIN <= share <= DISTANCE_MAX:
        raise Refused(_share_sentence("trail", share), example="trail 2%")
    return share


def hard_stop(
    spec: TrackerSpec, side: Side, present: Present, instrument: Instrument
) -> Decimal | None:
    """Return the fixed stop's price: as given, or a share below the present price."""
    if side is not Side.SELL:
        return None
    if isinstance(spec.stop, Decimal):
        return spec.stop
    if spec.stop_share is None:
        return None
    return instrument.price_up(EXACT.multiply(present.price, ONE - spec.stop_share))


def spent_at_ms(spec: TrackerSpec, now_ms: int) -> int | None:
    """Return when its lines cross or one reaches 0, whichever is first; None when never."""
    times: list[int | None] = []
    if spec.support is not None and spec.resistance is not None:
        times = [
            lines.crossing_ms(spec.support, spec.resistance, now_ms),
            lines.zero_ms(spec.support, now_ms),
        ]
    elif isinstance(spec.level, Line):
        times = [lines.zero_ms(spec.level, now_ms)]
    return min((time for time in times if time is not None), default=None)


def swing_share(spec: TrackerSpec) -> Decimal:
    """Return the distance of a swing's next level from the last fill."""
    return SWING_SHARE_DEFAULT if spec.then.share is None else spec.then.share


def _check_parts(spec: TrackerSpec, present: Present) -> None:
    stop = f"/track {spec.symbol} stop {_below(present.price)} all"
    name = spec.kind.value.replace("_", " ")
    if spec.kind in _NEEDS_LEVEL and spec.level is None:
        raise Refused(f"a {name} needs a price", example=stop)
    if spec.trail is None and (spec.kind in _NEEDS_TRAIL or spec.then.kind is ThenKind.SWING):
        what = "a swing" if spec.kind not in _NEEDS_TRAIL else f"a {name}"
        raise Refused(f"{what} needs a trailing distance", example=_trail_for(spec, present.fee))
    has_stop = spec.stop is not None or spec.stop_share is not None
    if has_stop and spec.first_side is Side.BUY and spec.then.kind is not ThenKind.SWING:
        raise Refused(
            "a stop on a buy tracker guards what it bought, and only `then swing` watches on; "
            "set a stop after the buy",
            example="stop off",
        )


def _trail_for(spec: TrackerSpec, fee: Decimal) -> str:
    """Return a distance to propose, with a swing that gains with it where this one does not."""
    is_swing = spec.then.kind is ThenKind.SWING
    if not is_swing or _gains(swing_share(spec), _TRAIL_PROPOSED, fee):
        return "trail 2%"
    return f"trail 2% then {_swing_for(_TRAIL_PROPOSED, fee)}"


def _swing_for(distance: Decimal, fee: Decimal) -> str:
    """Return a swing that gains at this distance and fee, or the end where none does."""
    wide = (share for share in _SWINGS_PROPOSED if _gains(share, distance, fee))
    share = next(wide, None)
    return "once" if share is None else f"swing {plain(share * 100)}%"


def _check_level(level: Level, name: str, at_ms: int) -> None:
    if isinstance(level, Line):
        lines.validate(level, name)
        price = lines.price_at(level, at_ms)
        if price <= 0:
            raise Refused(f"{name} should be above 0 now, the line is at {plain(price)}")
    elif not level.is_finite() or level <= 0:
        raise Refused(f"{name} should be a price above 0, was {level}")


def _check_lines(support: Line | None, resistance: Line | None, at_ms: int) -> None:
    if support is None or resistance is None:
        raise Refused(
            "lines need a support and a resistance", example="lines T1 P1 T2 P2 / T1 P1 T2 P2"
        )
    lines.validate(support, "support")
    lines.validate(resistance, "resistance")
    low, high = (lines.price_at(line, at_ms) for line in (support, resistance))
    if low >= high:
        raise Refused(
            f"the support should be below the resistance, now it is at {_short(low)} "
            f"and the resistance at {_short(high)}",
            example="lines",
        )
    if low <= 0:
        raise Refused(f"the support should be above 0 now, the line is at {_short(low)}")


def _check_confirm(confirm: Confirm) -> None:
    most = _COUNT_MAX.get(confirm.kind)
    if most is not None and not 1 <= confirm.count <= most:
        raise Refused(
            f"confirm should be between 1 and {most} {confirm.kind.value}, was {confirm.count}",
            example="confirm run 3" if confirm.kind is ConfirmKind.RUN else "confirm 3 ticks",
        )
    if confirm.kind is ConfirmKind.CLOSE and confirm.timeframe is None:
        raise Refused("confirm close needs a timeframe", example="confirm close 15m")
    if confirm.loss_max is not None and not DISTANCE_MIN <= confirm.loss_max <= DISTANCE_MAX:
        raise Refused(_share_sentence("max", confirm.loss_max), example="confirm 3 ticks max 1%")


def _check_guard(spec: TrackerSpec, at_ms: int) -> None:
    """Refuse a purchase whose own stop would sell at once: it would never be made.

    Once it was made, its stop may be raised to any price.
    """
    if spec.first_side is not Side.BUY or spec.stop is None or spec.level is None:
        return
    stop, level = lines.price_at(spec.stop, at_ms), lines.price_at(spec.level, at_ms)
    if stop >= level:
        raise _not_below(stop, level, level)


def _not_below(stop: Decimal, level: Decimal, bound: Decimal) -> Refused:
    text = f"the stop {_short(stop)} should be below the level {_short(level)}"
    return Refused(text, example=f"stop {_below(bound)}")


def _check_order_of_levels(spec: TrackerSpec, present: Present, at_ms: int) -> None:
    if spec.first_side is Side.BUY:
        return
    stop = None if spec.stop is None else lines.price_at(spec.stop, at_ms)
    if stop is not None and stop >= present.price:
        raise Refused(
            f"the stop {_short(stop)} is already crossed: the price is {plain(present.price)}",
            example=f"stop {_below(present.price)}",
        )
    level = spec.resistance if spec.kind is TrackerKind.LINES else spec.level
    if stop is not None and level is not None and spec.kind is not TrackerKind.STOP:
        top = lines.price_at(level, at_ms)
        if stop >= top:
            raise _not_below(stop, top, min(top, present.price))
    if spec.backstop is not None and spec.backstop >= present.price:
        raise Refused(
            f"the backstop {plain(spec.backstop)} should be below the price {plain(present.price)}",
            example="backstop 10%",
        )


def _away(tracker: Tracker, price: Decimal) -> str:
    """Return what to say instead of a level that is crossed: one that is well away."""
    if tracker.distance is not None:
        return admissible.trail_away(tracker, price)
    return f"level {_rounded(EXACT.multiply(price, ONE + tracker.side.sign * admissible.AWAY))}"


def _below(price: Decimal) -> str:
    return _rounded(EXACT.multiply(price, ONE - admissible.AWAY))


def _rounded(price: Decimal) -> str:
    return plain(_THREE_DIGITS.plus(price))


def check_not_crossed(tracker: Tracker, price: Decimal, at_ms: int) -> None:
    """Refuse a stop that the present price would fire at once."""
    if tracker.state is not TrackerState.TRAILING:
        return
    stop = rules.stop_at(tracker, at_ms)
    if stop is not None and trailing.is_beyond(tracker.side, price, stop):
        raise Refused(
            f"the stop {_short(stop)} is already crossed: the price is {plain(price)}",
            example=_away(tracker, price),
        )


def check_swing(spec: TrackerSpec, distance: Decimal | None, fee: Decimal) -> None:
    """Refuse a swing whose full cycle cannot gain after both distances and fees."""
    if spec.then.kind is not ThenKind.SWING or distance is None:
        return
    share = swing_share(spec)
    if not DISTANCE_MIN <= share <= DISTANCE_MAX:
        example = f"then {_swing_for(distance, fee)}"
        raise Refused(_share_sentence("swing", share), example=example)
    if _gains(share, distance, fee):
        return
    rise, trail, charge = (f"{_short(value * 100)}%" for value in (share, distance, fee))
    sell_leg, buy_leg, kept = _legs(share, distance, fee)
    losses = []
    if sell_leg <= 1:
        losses.append(
            f"coins bought for 100, sold {trail} below a rise of {rise}, bring {_of_100(sell_leg)}"
        )
    if buy_leg >= kept:
        coins = _of_100(EXACT.divide(kept, buy_leg))
        losses.append(f"100 coins, bought back {trail} above a fall of {rise}, become {coins}")
    raise Refused(
        f"swing {rise} with trail {trail} cannot gain: {', and '.join(losses)}, after two fees of "
        f"{charge}. A swing has to be wider than its trail and both fees together",
        example=f"then {_swing_for(distance, fee)}",
    )


def _of_100(share: Decimal) -> str:
    # Rounded down: no loss is told as none.
    return plain(floor_to(share * 100, Decimal("0.01")))


def _legs(share: Decimal, distance: Decimal, fee: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    kept = (ONE - fee) ** 2
    return (ONE + share) * (ONE - distance) * kept, (ONE - share) * (ONE + distance), kept


def _gains(share: Decimal, distance: Decimal, fee: Decimal) -> bool:
    sell_leg, buy_leg, kept = _legs(share, distance, fee)
    return sell_leg > 1 and buy_leg < kept


def _notes(
    tracker: Tracker, present: Present, instrument: Instrument, spent_ms: int | None
) -> tuple[str, ...]:
    notes = []
    level = rules.touch_level(tracker, to_ms(present.at))
    if tracker.touched_at is not None and level is not None:
        notes.append(
            f"the level {_short(level)} is already touched at {plain(present.price)}: "
            "it trails from the start"
        )
    worst = rules.worst_price(tracker, to_ms(present.at))
    if tracker.side is Side.SELL and worst is None:
        notes.append("not protected below until the level is touched")
    if spent_ms is not None:
        notes.append(f"no touch after {from_ms(spent_ms):%Y-%m-%d %H:%M} UTC: its lines end there")
    if worst is not None and tracker.quantity and instrument.is_dust(tracker.quantity, worst):
        notes.append(f"at {_short(worst)} this quantity would be too small to sell")
    if cut := backstop.cut(tracker, instrument):
        notes.append(cut)
    return tuple(notes)


def _share_sentence(name: str, share: Decimal) -> str:
    return f"{name} should be between 0.01% and 50%, was {_short(share * 100)}%"


def _short(value: Decimal) -> str:
    return plain(rounded(value, 8)) if value.is_finite() else str(value)
