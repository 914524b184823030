"""When a score is worth telling: as it crosses its threshold, and on each further rise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trading.domain.errors import Refused
from trading.domain.watching import AlertKind, ScoreAlert, ScoreKind, Watched
from trading.scanner.scores import RankScore, Thresholds

# Scores are shares of points; what differs by less is the same score.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When to tell: all scores are shares in [0, 1].

    - `thresholds`: from which score on
    - `hysteresis`: how far below its threshold a score must fall before it can cross it again
    - `rise_min`: by how much a score must exceed the last one told to be a further rise; 0: at all
    - `cool_off_ms`: how long after an alert no new crossing of the same score is told; one that
      still stands after that is told then
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    hysteresis: float = 0.1
    rise_min: float = 0.0
    cool_off_ms: int = 900_000

    def __post_init__(self) -> None:
        for name in ("hysteresis", "rise_min", "cool_off_ms"):
            if not getattr(self, name) >= 0:
                raise Refused(f"{name} should be >= 0, was {getattr(self, name)}", example="0.1")

    def threshold(self, kind: ScoreKind) -> float:
        """Return the threshold of one of the two scores."""
        return self.thresholds.bull if kind is ScoreKind.BULL else self.thresholds.bear


Remembered = Mapping[tuple[str, ScoreKind], Watched]


def judge(
    scores: RankScore, rule: AlertRule, remembered: Remembered
) -> tuple[dict[tuple[str, ScoreKind], Watched], tuple[ScoreAlert, ...]]:
    """Return what to remember of both scores of a symbol, and what to tell.

    A score that is not known changes nothing. Feed it every score once, in order of time.
    """
    kept: dict[tuple[str, ScoreKind], Watched] = {}
    alerts = []
    for kind, score in ((ScoreKind.BULL, scores.bull), (ScoreKind.BEAR, scores.bear)):
        before = remembered.get((scores.symbol, kind), Watched())
        after, reason = _step(before, score, scores.at_ms, rule, rule.threshold(kind))
        kept[scores.symbol, kind] = after
        if reason is not None and score is not None:
            alerts.append(
                ScoreAlert(
                    scores.symbol,
                    kind,
                    reason,
                    scores.at_ms,
                    scores.price,
                    score,
                    rule.threshold(kind),
                    before.told,
                    scores.too_young,
                )
            )
    return kept, tuple(alerts)


def _step(
    before: Watched, score: float | None, at_ms: int, rule: AlertRule, threshold: float
) -> tuple[Watched, AlertKind | None]:
    if score is None:
        return before, None
    if not before.is_above and score < threshold:
        return before, None
    if score < threshold - rule.hysteresis - _EQUAL:
        return replace(before, is_above=False, told=None), None
    if before.told is not None:
        rise = score - before.told
        is_rise = rise > _EQUAL and rise >= rule.rise_min - _EQUAL
        return (Watched(True, score, at_ms), AlertKind.ROSE) if is_rise else (before, None)
    # Above, and the crossing is not told yet: a score that has sunk into the band waits.
    is_cooling = before.told_ms is not None and at_ms < before.told_ms + rule.cool_off_ms
    if score < threshold or is_cooling:
        return replace(before, is_above=True), None
    return Watched(True, score, at_ms), AlertKind.CROSSED
