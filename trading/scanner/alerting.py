"""When a score is worth telling: as it crosses its threshold, and on each further rise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trading.domain.errors import Refused
from trading.domain.watching import AlertKind, ScoreAlert, ScoreKind, Watched
from trading.scanner.scores import RankScore, ScoreSignal, Thresholds, signal

# Scores are shares of points; what differs by less is the same score.
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When to tell: all scores are shares in [0, 1].

    - `thresholds`: from which score on
    - `hysteresis`: how far below its threshold a score must fall before it can cross it again
    - `rise_min`: by how much a score must exceed the last one told to be a further rise; 0: at all
    - `further_share`: no score is above the full one, so a price that has gone on by this share of
      the move that was told is a further rise, too, but not by less than `further_min` of itself
    - `cool_off_ms`: how long after an alert a new crossing of the same score is not told unless it
      is a further rise; one that still stands after that is told then
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    hysteresis: float = 0.1
    rise_min: float = 0.0
    further_share: float = 0.5
    further_min: float = 0.01
    cool_off_ms: int = 900_000

    def __post_init__(self) -> None:
        for name in ("hysteresis", "rise_min", "further_share", "further_min", "cool_off_ms"):
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

    Where both are at their thresholds each alert says so: it asks for nothing.
    A score that is not known changes nothing. Feed it every score once, in order of time.
    """
    kept: dict[tuple[str, ScoreKind], Watched] = {}
    alerts = []
    for kind, score in ((ScoreKind.BULL, scores.bull), (ScoreKind.BEAR, scores.bear)):
        before = remembered.get((scores.symbol, kind), Watched())
        kept[scores.symbol, kind] = before
        if score is None:
            continue
        threshold = rule.threshold(kind)
        before = _settled(before, score, scores.at_ms, threshold, rule)
        reason = _reason(before, score, scores, kind, rule)
        if reason is not None:
            alert = _alert((kind, reason), score, threshold, scores, before)
            alerts.append(alert)
            before = Watched(True, score, scores.at_ms, scores.price, alert.move or 0.0, threshold)
        kept[scores.symbol, kind] = before
    if signal(scores.bull, scores.bear, rule.thresholds) is ScoreSignal.INDECISION:
        alerts = [replace(one, against=_other(scores, one.kind)) for one in alerts]
    return kept, tuple(alerts)


def move_of(scores: RankScore, kind: ScoreKind) -> float | None:
    """Return what the candle that went furthest its way has changed, in percent; None unknown."""
    is_bull = kind is ScoreKind.BULL
    changes = [
        one.change
        for one in scores.scored
        if one.change is not None and (one.bull_points if is_bull else one.bear_points)
    ]
    return max(changes, key=abs, default=None)


def _other(scores: RankScore, kind: ScoreKind) -> float | None:
    return scores.bear if kind is ScoreKind.BULL else scores.bull


def _alert(
    what: tuple[ScoreKind, AlertKind],
    score: float,
    threshold: float,
    scores: RankScore,
    before: Watched,
) -> ScoreAlert:
    kind, reason = what
    is_first = reason is AlertKind.CROSSED
    return ScoreAlert(
        scores.symbol,
        kind,
        reason,
        scores.at_ms,
        scores.price,
        score,
        threshold,
        None if is_first else before.told,
        scores.too_young,
        move_of(scores, kind),
        None if is_first else before.told_price,
    )


def _settled(
    before: Watched, score: float, at_ms: int, threshold: float, rule: AlertRule
) -> Watched:
    """Return what a score leaves of what was known before it is judged itself."""
    if before.told is None:
        return Watched()
    if score >= threshold - rule.hysteresis - _EQUAL:
        return replace(before, threshold=threshold)
    if _is_cooled(before, at_ms, rule) or _was_moved(before, score, threshold, rule):
        return Watched()
    return replace(before, is_above=False, threshold=threshold)


def _was_moved(before: Watched, score: float, threshold: float, rule: AlertRule) -> bool:
    """Whether a score is below the threshold because that was raised: it has not fallen itself."""
    known = threshold if before.threshold is None else before.threshold
    return known != threshold and score >= known - rule.hysteresis - _EQUAL


def _is_cooled(before: Watched, at_ms: int, rule: AlertRule) -> bool:
    return before.told_ms is None or at_ms >= before.told_ms + rule.cool_off_ms


def _reason(
    before: Watched, score: float, scores: RankScore, kind: ScoreKind, rule: AlertRule
) -> AlertKind | None:
    if score < rule.threshold(kind):
        return None
    if before.told is None or (not before.is_above and _is_cooled(before, scores.at_ms, rule)):
        return AlertKind.CROSSED
    rise = score - before.told
    if rise > _EQUAL and rise >= rule.rise_min - _EQUAL:
        return AlertKind.ROSE
    return AlertKind.FURTHER if _went_further(before, scores.price, kind, rule) else None


def _went_further(before: Watched, price: float, kind: ScoreKind, rule: AlertRule) -> bool:
    if before.told_price is None:
        return False
    step = max(rule.further_share * abs(before.told_move) / 100, rule.further_min)
    gone = price / before.told_price - 1
    return (gone if kind is ScoreKind.BULL else -gone) >= step
