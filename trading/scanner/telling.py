"""From the scores of one look to the messages for one person, and what is remembered of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trading.domain.watching import (
    AlertType,
    Attention,
    ScoreAlert,
    ScoreKind,
    Watched,
    Wishes,
)
from trading.scanner.alerting import AlertRule, judge
from trading.scanner.attention import AttentionRule, Message, Present, spend
from trading.scanner.scores import RankScore

TYPES = {ScoreKind.BULL: AlertType.RISES, ScoreKind.BEAR: AlertType.CRASHES}


@dataclass(frozen=True, slots=True)
class Told:
    """What one person knows: where each score stood when it was told, and their attention."""

    watched: Mapping[tuple[str, ScoreKind], Watched] = field(default_factory=dict)
    attention: Attention = field(default_factory=Attention)


def tell(
    scores: Sequence[tuple[RankScore, AlertRule]], told: Told, wishes: Wishes, present: Present
) -> tuple[Told, tuple[Message, ...]]:
    """Judge every score that a person watches, and spend their attention on what is worth it.

    `scores` holds each of the person's interests that has a score, once. What is watched and has
    none just now, as after a start while its past is read, stays as it was told; what is watched
    no more is forgotten, so that a symbol watched again begins anew.
    """
    symbols = {interest.symbol for interest in wishes.interests}
    kept = {key: one for key, one in told.watched.items() if key[0] in symbols}
    alerts: list[ScoreAlert] = []
    for score, rule in scores:
        after, found = judge(score, rule, told.watched)
        kept |= after
        alerts += found
    kept = {key: one for key, one in kept.items() if one != Watched()}
    allowed = AttentionRule(
        audible_per_hour=max(wishes.audible_per_hour, 0),
        loudness={kind: wishes.loud(name) for kind, name in TYPES.items()},
    )
    attention, messages = spend(alerts, told.attention, allowed, present)
    return Told(kept, attention), messages
