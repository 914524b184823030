"""How a person is told: aloud while the budget lasts, the rest on one card that is edited."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from math import log2

from trading.domain.errors import Refused
from trading.domain.watching import AlertKind, Attention, Loudness, ScoreAlert, ScoreKind

_HOUR_MS = 3_600_000
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
class Present:
    """The moment of telling: exposure is the share of a person's worth in a symbol, in [0, 1]."""

    now_ms: int
    is_quiet: bool = False
    exposure: Mapping[str, float] = field(default_factory=dict)


def spend(
    alerts: Iterable[ScoreAlert], attention: Attention, rule: AttentionRule, present: Present
) -> tuple[Attention, tuple[Message, ...]]:
    """Decide what of the alerts of one look is told now, and how; the rest is folded.

    The most urgent come first; a third of the sounds is kept for symbols that are held, where any
    is. Where they are spent, what has moved twice as far as all that rang in this hour still rings.
    Kinds that are SILENT make messages without sound, and so does everything in quiet hours; those
    that are OFF make none. What the budget does not cover goes on the card, and nothing that is not
    OFF is ever dropped without being counted there.
    """
    wanted = [one for one in alerts if rule.loudness.get(one.kind) is not Loudness.OFF]
    ranked = _ranked(wanted, present)
    silent = _groups([one for one in ranked if _is_silent(one, rule, present)], rule)
    audible = _groups([one for one in ranked if not _is_silent(one, rule, present)], rule)
    # An older version did not keep how far it had moved.
    rang = zip_longest(attention.audible_ms, attention.audible_moves, fillvalue=0.0)
    spent = [(int(at_ms), move) for at_ms, move in rang if at_ms > present.now_ms - _HOUR_MS]
    told, left = _within_budget(audible, [move for _, move in spent], rule, present)
    folded = (*attention.folded, *chain.from_iterable(left))
    card = _ranked({(one.symbol, one.kind): one for one in folded}.values(), present)
    spent += [(present.now_ms, _move(message.alerts)) for message in told]
    after = Attention(
        tuple(at_ms for at_ms, _ in spent),
        tuple(move for _, move in spent),
        tuple(card[: rule.card_max]),
        attention.more + len(card[rule.card_max :]),
    )
    return after, (*told, *(Message(group, False) for group in silent))


def kept_for_held(audible_per_hour: int) -> int:
    """Return how many of the sounds of an hour only what is held may make."""
    return audible_per_hour // _KEPT_SHARE


def _within_budget(
    groups: Iterable[tuple[ScoreAlert, ...]],
    spent: Sequence[float],
    rule: AttentionRule,
    present: Present,
) -> tuple[list[Message], list[tuple[ScoreAlert, ...]]]:
    """Split groups, the most urgent first, into what may still ring in this hour and the rest."""
    held = {symbol for symbol, share in present.exposure.items() if share > 0}
    kept = kept_for_held(rule.audible_per_hour) if held else 0
    told: list[Message] = []
    left = []
    moves = list(spent)
    for group in groups:
        is_held = any(one.symbol in held for one in group)
        most = rule.audible_per_hour - (0 if is_held else kept)
        is_rarer = most > 0 and _move(group) >= _RARER * max(moves, default=0.0) > 0
        if len(moves) < most or is_rarer:
            told.append(Message(group, True))
            moves.append(_move(group))
        else:
            left.append(group)
    return told, left


def looked(attention: Attention) -> Attention:
    """Return what is left when the person has seen the card: it is empty, the budget unchanged."""
    return Attention(attention.audible_ms, attention.audible_moves)


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


def _move(alerts: Iterable[ScoreAlert]) -> float:
    return max(abs(one.move or 0.0) for one in alerts)


def _is_silent(alert: ScoreAlert, rule: AttentionRule, present: Present) -> bool:
    return present.is_quiet or rule.loudness.get(alert.kind) is Loudness.SILENT


def _groups(ranked: list[ScoreAlert], rule: AttentionRule) -> list[tuple[ScoreAlert, ...]]:
    # Where a whole market moves, one message says more than one for each of its coins.
    if len({one.symbol for one in ranked}) >= rule.burst:
        return [tuple(ranked)]
    return [(one,) for one in ranked]


def _ranked(alerts: Iterable[ScoreAlert], present: Present) -> list[ScoreAlert]:
    return sorted(alerts, key=lambda one: (-urgency(one, present), one.symbol, one.kind.value))
