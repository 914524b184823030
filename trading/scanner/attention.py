"""How a person is told: aloud while the budget lasts, the rest on one card that is edited."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from math import log2

from trading.domain.errors import Refused
from trading.domain.watching import AlertKind, Attention, Loudness, ScoreAlert, ScoreKind

_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000
# One sound in three is kept for what is held, so that it is not spent when that moves.
_KEPT_SHARE = 3
# What is so many times as far as all that rang is another event. Each one doubles what the next has
# to be, so an hour has room for few.
_RARER = 2.0


@dataclass(frozen=True, slots=True)
class AttentionRule:
    """What a person's attention allows.

    - `audible_per_hour`: messages with sound in any 60 minutes
    - `burst`: so many symbols at once are one event, told in one message
    - `card_max`: how many alerts the card of the rest lists; of more it says only how many
    - `loudness`: per kind of score; ON where nothing is said
    """

    audible_per_hour: int = 6
    burst: int = 4
    card_max: int = 20
    loudness: Mapping[ScoreKind, Loudness] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("audible_per_hour", 0), ("burst", 2), ("card_max", 1)):
            if getattr(self, name) < least:
                raise Refused(
                    f"{name} should be >= {least}, was {getattr(self, name)}", example="6"
                )


@dataclass(frozen=True, slots=True)
class Message:
    """One message: one alert, or the many of a burst, the most urgent first."""

    alerts: tuple[ScoreAlert, ...]
    is_audible: bool


@dataclass(frozen=True, slots=True)
class _Sound:
    at_ms: int
    move: float
    urgency: float


@dataclass(frozen=True, slots=True)
class Present:
    """The moment of telling: exposure is the share of a person's worth in a symbol, in [0, 1]."""

    now_ms: int
    is_quiet: bool = False
    exposure: Mapping[str, float] = field(default_factory=dict)


def spend(
    alerts: Iterable[ScoreAlert], attention: Attention, rule: AttentionRule, present: Present
) -> tuple[Attention, tuple[Message, ...]]:
    """Decide what of the alerts of one look is told now, and how; the rest is folded.

    Both alerts of a symbol that is undecided are one, which is told as loudly as the louder.
    The most urgent come first; a third of the sounds is kept for symbols that are held, where any
    is. What comes a few seconds later may be more urgent: within a minute of other sounds, half of
    those that were left before it ring only for what is more urgent than all that rang in it; of
    those for what is held it is one. Where the sounds of the hour are spent, what has moved twice
    as far as all that rang in it still rings.
    Kinds that are SILENT make messages without sound, and so does everything in quiet hours; those
    that are OFF make none. What the budget does not cover goes on the card, and nothing that is not
    OFF is ever dropped without being counted there.
    """
    wanted = [one for one in alerts if rule.loudness.get(one.kind) is not Loudness.OFF]
    ranked = _ranked(_one_per_symbol(wanted, rule, present), present)
    silent = _groups([one for one in ranked if _is_silent(one, rule, present)], rule)
    audible = _groups([one for one in ranked if not _is_silent(one, rule, present)], rule)
    spent = _sounds(attention, present)
    told, left = _within_budget(audible, spent, rule, present)
    folded = (*attention.folded, *chain.from_iterable(left))
    card = _ranked(_newest(folded), present)
    spent += [_sound(message.alerts, present) for message in told]
    after = Attention(
        tuple(one.at_ms for one in spent),
        tuple(one.move for one in spent),
        tuple(card[: rule.card_max]),
        attention.more + len(card[rule.card_max :]),
        tuple(one.urgency for one in spent),
    )
    return after, (*told, *(Message(group, False) for group in silent))


def kept_for_held(audible_per_hour: int) -> int:
    """Return how many of the sounds of an hour only what is held may make."""
    return audible_per_hour // _KEPT_SHARE


def _within_budget(
    groups: Iterable[tuple[ScoreAlert, ...]],
    spent: Sequence[_Sound],
    rule: AttentionRule,
    present: Present,
) -> tuple[list[Message], list[tuple[ScoreAlert, ...]]]:
    """Split groups, the most urgent first, into what may still ring in this hour and the rest."""
    held = {symbol for symbol, share in present.exposure.items() if share > 0}
    kept = kept_for_held(rule.audible_per_hour) if held else 0
    told: list[Message] = []
    left = []
    rang = list(spent)
    for group in groups:
        is_held = any(one.symbol in held for one in group)
        most = rule.audible_per_hour - (0 if is_held else kept)
        sound = _sound(group, present)
        if most > 0 and (_is_rarer(sound, rang) or _is_left(sound, rang, most, is_held=is_held)):
            told.append(Message(group, True))
            rang.append(sound)
        else:
            left.append(group)
    return told, left


def _is_rarer(sound: _Sound, rang: Sequence[_Sound]) -> bool:
    return sound.move >= _RARER * max((one.move for one in rang), default=0.0) > 0


def _is_left(sound: _Sound, rang: Sequence[_Sound], most: int, *, is_held: bool) -> bool:
    """Whether one of the sounds of an hour is left, and not kept in this minute for others."""
    this_minute = [one.urgency for one in rang if one.at_ms > sound.at_ms - _MINUTE_MS]
    before = most - (len(rang) - len(this_minute))
    spared = 1 if is_held else before // 2
    is_first = len(this_minute) < max(before - spared, 1)
    return len(rang) < most and (is_first or sound.urgency > max(this_minute))


def looked(attention: Attention) -> Attention:
    """Return what is left when the person has seen the card: it is empty, the budget unchanged."""
    return replace(attention, folded=(), more=0)


def urgency(alert: ScoreAlert, present: Present) -> float:
    """Return how much an alert matters: score, exposure, size of the move, and how new it is.

    Coins that are held count up to twice as much, and so does what has moved twice as far, less and
    less: many scores are full, and few moves are large. The novelty is the part of the score that
    was not told before: all of it for a crossing or where the price went further, the rise for a
    further rise, at least a tenth.
    """
    held = min(max(present.exposure.get(alert.symbol, 0.0), 0.0), 1.0)
    known = (alert.before or 0.0) if alert.reason is AlertKind.ROSE else 0.0
    novelty = max((alert.score - known) / alert.score, 0.1) if alert.score > 0 else 0.1
    return alert.score * (1 + held) * (1 + log2(1 + abs(alert.move or 0.0))) * novelty


def _sounds(attention: Attention, present: Present) -> list[_Sound]:
    # Older versions kept neither how far it had moved nor how urgent it was.
    rang = zip_longest(
        attention.audible_ms, attention.audible_moves, attention.audible_urgencies, fillvalue=0.0
    )
    return [
        _Sound(int(at_ms), move, urgent)
        for at_ms, move, urgent in rang
        if at_ms > present.now_ms - _HOUR_MS
    ]


def _sound(alerts: Sequence[ScoreAlert], present: Present) -> _Sound:
    return _Sound(
        present.now_ms,
        max(abs(one.move or 0.0) for one in alerts),
        max(urgency(one, present) for one in alerts),
    )


def _one_per_symbol(
    alerts: Iterable[ScoreAlert], rule: AttentionRule, present: Present
) -> Iterable[ScoreAlert]:
    def rank(one: ScoreAlert) -> tuple[bool, float, float]:
        return not _is_silent(one, rule, present), one.score, urgency(one, present)

    return {one.symbol: one for one in sorted(alerts, key=rank)}.values()


def _newest(alerts: Iterable[ScoreAlert]) -> Iterable[ScoreAlert]:
    """The last alert of each score; one that speaks of both stands for both."""
    kept: dict[tuple[str, ScoreKind], ScoreAlert] = {}
    for alert in alerts:
        for kind in ScoreKind:
            before = kept.get((alert.symbol, kind))
            if before is not None and (alert.is_undecided or before.is_undecided):
                del kept[alert.symbol, kind]
        kept[alert.symbol, alert.kind] = alert
    return kept.values()


def _is_silent(alert: ScoreAlert, rule: AttentionRule, present: Present) -> bool:
    return present.is_quiet or rule.loudness.get(alert.kind) is Loudness.SILENT


def _groups(ranked: list[ScoreAlert], rule: AttentionRule) -> list[tuple[ScoreAlert, ...]]:
    # Where a whole market moves, one message says more than one for each of its coins.
    if len({one.symbol for one in ranked}) >= rule.burst:
        return [tuple(ranked)]
    return [(one,) for one in ranked]


def _ranked(alerts: Iterable[ScoreAlert], present: Present) -> list[ScoreAlert]:
    return sorted(alerts, key=lambda one: (-urgency(one, present), one.symbol, one.kind.value))
