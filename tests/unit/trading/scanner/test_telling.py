"""What one person is told of the scores that they watch, look after look."""

from dataclasses import replace

from trading.domain.time import Timeframe
from trading.domain.watching import (
    AlertKind,
    AlertType,
    Attention,
    Interest,
    Loudness,
    ScoreKind,
    Watched,
    Wishes,
)
from trading.scanner.alerting import AlertRule
from trading.scanner.attention import Present
from trading.scanner.scores import RankScore, Standing, TimeframeScore
from trading.scanner.telling import Told, tell

MINUTE_MS = 60_000
RULE = AlertRule()
ADA, BTC = "ADA/USDT", "BTC/USDT"


def scored(symbol: str, *, bull: float = 0.0, bear: float = 0.0, minute: int = 0) -> RankScore:
    candle = TimeframeScore(Timeframe("1h"), Standing.SCORED, 100)
    return RankScore(symbol, minute * MINUTE_MS, 100.0, bull, bear, 0.0, (candle,))


def present(minute: int = 0) -> Present:
    return Present(minute * MINUTE_MS)


def test_a_crossing_is_told_once_and_then_only_as_it_rises() -> None:
    told, first = tell([(scored(ADA, bear=0.6), RULE)], Told(), Wishes(), present())
    told, same = tell([(scored(ADA, bear=0.6, minute=1), RULE)], told, Wishes(), present(1))
    told, risen = tell([(scored(ADA, bear=0.8, minute=2), RULE)], told, Wishes(), present(2))

    assert [one.alerts[0].reason for one in first] == [AlertKind.CROSSED]
    assert not same
    assert [one.alerts[0].reason for one in risen] == [AlertKind.ROSE]


def test_a_type_that_is_off_is_not_told_and_one_that_is_silent_makes_no_sound() -> None:
    wishes = Wishes(
        loudness=((AlertType.RISES, Loudness.OFF), (AlertType.CRASHES, Loudness.SILENT))
    )
    scores = [(scored(ADA, bull=0.9), RULE), (scored(BTC, bear=0.9), RULE)]

    _, messages = tell(scores, Told(), wishes, present())

    assert [(one.alerts[0].symbol, one.is_audible) for one in messages] == [(BTC, False)]


def test_a_symbol_that_is_watched_no_more_is_forgotten_and_begins_anew() -> None:
    told, _ = tell([(scored(ADA, bear=0.6), RULE)], Told(), Wishes(), present())
    told, _ = tell([(scored(BTC), RULE)], told, Wishes(), present(1))

    assert not told.watched
    _, again = tell([(scored(ADA, bear=0.6, minute=2), RULE)], told, Wishes(), present(2))
    assert [one.alerts[0].symbol for one in again] == [ADA]


def test_what_has_no_score_yet_after_a_restart_stays_as_it_was_told() -> None:
    wishes = Wishes((Interest(ADA, (Timeframe("1h"),)), Interest(BTC, (Timeframe("1h"),))))
    both = [(scored(ADA, bear=0.6), RULE), (scored(BTC, bear=0.6), RULE)]
    told, first = tell(both, Told(), wishes, present())

    # Nothing is read yet, then only one of the two.
    none_read, _ = tell([], told, wishes, present(30))
    one_read, _ = tell([(scored(BTC, bear=0.6, minute=31), RULE)], none_read, wishes, present(31))
    _, messages = tell([(scored(ADA, bear=0.6, minute=32), RULE)], one_read, wishes, present(32))

    assert len(first) == 2
    assert none_read.watched == told.watched
    assert not messages


def test_what_the_budget_does_not_cover_waits_on_the_card_of_the_rest() -> None:
    wishes = Wishes(audible_per_hour=0)

    told, messages = tell([(scored(ADA, bull=0.9), RULE)], Told(), wishes, present())

    assert not messages
    assert [one.symbol for one in told.attention.folded] == [ADA]


def test_scores_that_ask_for_nothing_leave_nothing_to_remember() -> None:
    told, messages = tell([(scored(ADA, bull=0.2), RULE)], Told(), Wishes(), present())

    assert (told, messages) == (Told(), ())


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    before = Told({(ADA, ScoreKind.BEAR): Watched(True, 0.6, 0)}, Attention((0,)))

    _, messages = tell([(scored(ADA, bear=0.6, minute=30), RULE)], before, Wishes(), present(30))
    _, risen = tell(
        [(replace(scored(ADA, bear=0.7), at_ms=31 * MINUTE_MS), RULE)],
        before,
        Wishes(),
        present(31),
    )

    assert not messages
    assert risen
