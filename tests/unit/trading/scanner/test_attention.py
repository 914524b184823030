"""Attention: a budget of sounds, one card for the rest, and nothing lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.errors import Refused
from trading.domain.watching import AlertKind, Attention, Loudness, ScoreAlert, ScoreKind
from trading.scanner.attention import (
    AttentionRule,
    Message,
    Present,
    looked,
    spend,
    urgency,
)

pytestmark = pytest.mark.uncounted

MINUTE_MS = 60_000
NOW = Present(10_000_000)
MOVES = (0.0, 0.2, -0.5, 1.0, -3.0, 30.0)


def alert(
    symbol: str,
    score: float = 0.6,
    before: float | None = None,
    kind: ScoreKind = ScoreKind.BEAR,
    move: float | None = None,
) -> ScoreAlert:
    reason = AlertKind.CROSSED if before is None else AlertKind.ROSE
    return ScoreAlert(symbol, kind, reason, NOW.now_ms, 1.0, score, 0.5, before, (), move)


def heard(messages: tuple[Message, ...]) -> list[list[str]]:
    return [[one.symbol for one in message.alerts] for message in messages if message.is_audible]


def test_what_the_budget_covers_is_told_aloud_and_the_rest_goes_on_the_card() -> None:
    rule = AttentionRule(audible_per_hour=4)
    after, messages = spend(
        [alert("A", 0.6), alert("B", 0.9), alert("C", 0.7)], Attention(), rule, NOW
    )
    assert heard(messages) == [["B"], ["C"]], "the most urgent first"
    assert [one.symbol for one in after.folded] == ["A"]
    assert after.audible_ms == (NOW.now_ms, NOW.now_ms)


def test_the_budget_comes_back_after_an_hour() -> None:
    rule = AttentionRule(audible_per_hour=1)
    spent, _ = spend([alert("A")], Attention(), rule, NOW)
    before = Present(NOW.now_ms + 60 * MINUTE_MS - 1)
    assert heard(spend([alert("B")], spent, rule, before)[1]) == []
    assert heard(spend([alert("B")], spent, rule, Present(before.now_ms + 1))[1]) == [["B"]]


def test_a_third_of_the_sounds_is_kept_for_what_is_held() -> None:
    rule = AttentionRule(audible_per_hour=6)
    held = Present(NOW.now_ms, exposure={"H": 0.3})
    attention, spoken = Attention(), 0
    for symbol in ("A", "B", "C", "D", "E"):
        held = replace(held, now_ms=held.now_ms + MINUTE_MS)
        attention, messages = spend([alert(symbol)], attention, rule, held)
        spoken += len(heard(messages))
    assert spoken == 4
    attention, messages = spend([alert("F", 1.0), alert("H", 0.5)], attention, rule, held)
    assert heard(messages) == [["H"]]
    assert {one.symbol for one in attention.folded} == {"E", "F"}
    held = replace(held, now_ms=held.now_ms + MINUTE_MS)
    attention, messages = spend([alert("H", 0.9, 0.5)], attention, rule, held)
    assert heard(messages) == [["H"]]
    assert heard(spend([alert("H", 1.0, 0.9)], attention, rule, held)[1]) == []


def test_what_has_moved_twice_as_far_as_all_that_rang_rings_when_the_sounds_are_spent() -> None:
    rule = AttentionRule(audible_per_hour=2)
    small = [alert("A", 1.0, move=-0.3), alert("B", 1.0, move=-0.8)]
    spent, messages = spend(small, Attention(), rule, NOW)
    assert heard(messages) == [["B"]]
    spent, messages = spend(small[:1], spent, rule, Present(NOW.now_ms + MINUTE_MS))
    assert heard(messages) == [["A"]]
    assert spent.audible_moves == (0.8, 0.3)
    after, messages = spend([alert("C", 1.0, move=1.5)], spent, rule, NOW)
    assert heard(messages) == []
    after, messages = spend([alert("D", 1.0, move=-30.0)], after, rule, NOW)
    assert heard(messages) == [["D"]]
    after, messages = spend([alert("E", 1.0, move=-31.0)], after, rule, NOW)
    assert heard(messages) == [], "each one doubles what the next has to be"
    assert [one.symbol for one in after.folded] == ["E", "C", "A"]
    later = Present(NOW.now_ms + 61 * MINUTE_MS)
    assert heard(spend([alert("F", move=-1.0)], after, rule, later)[1]) == [["F"]]


def test_who_wants_no_sound_gets_none_for_any_move() -> None:
    rule = AttentionRule(audible_per_hour=0)
    _, messages = spend([alert("A", 1.0, move=-90.0)], Attention((1,), (0.1,)), rule, NOW)
    assert messages == ()


def test_what_an_older_version_spent_still_counts() -> None:
    before = Attention((NOW.now_ms - 1, NOW.now_ms - 1))
    rule = AttentionRule(audible_per_hour=2)
    after, messages = spend([alert("A", move=-5.0)], before, rule, NOW)
    assert messages == ()
    assert (after.audible_ms, after.audible_moves) == (before.audible_ms, (0.0, 0.0))
    assert after.audible_urgencies == (0.0, 0.0)


def test_of_full_scores_the_one_that_moved_further_is_more_urgent() -> None:
    alerts = [alert("A", 1.0, move=-0.3), alert("B", 1.0, move=-30.0), alert("C", 0.9, move=9.0)]
    after, _ = spend(alerts, Attention(), AttentionRule(audible_per_hour=0), NOW)
    assert [one.symbol for one in after.folded] == ["B", "C", "A"]


def test_a_price_that_went_further_at_the_full_score_is_all_news() -> None:
    further = replace(alert("A", 1.0, before=1.0), reason=AlertKind.FURTHER)
    assert urgency(further, NOW) == urgency(alert("A", 1.0), NOW) == pytest.approx(1.0)


def test_nothing_is_kept_where_nothing_is_held() -> None:
    rule = AttentionRule(audible_per_hour=6, burst=9)
    attention, spoken = Attention(), []
    for minutes in range(4):
        now = Present(NOW.now_ms + minutes * MINUTE_MS)
        attention, messages = spend([alert(one) for one in "ABCDEFG"], attention, rule, now)
        spoken.append(len(heard(messages)))
    assert spoken == [3, 2, 1, 0]


def test_what_comes_later_in_a_minute_and_is_more_urgent_is_not_pushed_out_by_trifles() -> None:
    rule = AttentionRule(audible_per_hour=6)
    attention, spoken = Attention(), list[str]()
    moves = {"A": 1.0, "B": 0.9, "C": 1.0, "D": 1.0, "E": 1.1, "F": 1.05, "G": 1.2, "H": 1.3}
    for seconds, (symbol, move) in enumerate(moves.items()):
        now = Present(NOW.now_ms + seconds * 1_000)
        attention, messages = spend([alert(symbol, move=move)], attention, rule, now)
        spoken += [one for [one] in heard(messages)]
    assert spoken == ["A", "B", "C", "E", "G", "H"], "half of six as they come, then the larger"
    assert [one.symbol for one in attention.folded] == ["F", "D"]


def test_after_a_minute_what_was_kept_rings_for_anything() -> None:
    rule = AttentionRule(audible_per_hour=2)
    spent, messages = spend([alert("A", 0.9), alert("B", 0.8)], Attention(), rule, NOW)
    assert heard(messages) == [["A"]]
    soon = Present(NOW.now_ms + MINUTE_MS - 1)
    assert heard(spend([alert("C")], spent, rule, soon)[1]) == []
    assert heard(spend([alert("C")], spent, rule, Present(soon.now_ms + 1))[1]) == [["C"]]


def test_of_the_sounds_for_what_is_held_one_is_kept_for_what_is_more_urgent() -> None:
    rule = AttentionRule(audible_per_hour=3)
    held = Present(NOW.now_ms, exposure=dict.fromkeys("ABCD", 0.5))
    attention, spoken = Attention(), list[str]()
    for symbol, score in (("A", 0.7), ("B", 0.6), ("C", 0.6), ("D", 0.8)):
        attention, messages = spend([alert(symbol, score)], attention, rule, held)
        spoken += [one for [one] in heard(messages)]
    assert spoken == ["A", "B", "D"]


def test_a_market_that_moves_as_one_is_one_message() -> None:
    alerts = [alert(symbol, 0.6 + number / 100) for number, symbol in enumerate("ABCD")]
    after, messages = spend(alerts, Attention(), AttentionRule(), NOW)
    assert heard(messages) == [["D", "C", "B", "A"]]
    assert len(after.audible_ms) == 1
    assert heard(spend(alerts[:3], Attention(), AttentionRule(), NOW)[1]) == [["C"], ["B"], ["A"]]


def test_a_burst_beyond_the_budget_is_folded_whole() -> None:
    rule = AttentionRule(audible_per_hour=0)
    after, messages = spend([alert(symbol) for symbol in "ABCD"], Attention(), rule, NOW)
    assert messages == ()
    assert len(after.folded) == 4


def test_quiet_hours_make_everything_silent_and_cost_no_budget() -> None:
    quiet = Present(NOW.now_ms, is_quiet=True)
    after, messages = spend([alert("A"), alert("B")], Attention(), AttentionRule(), quiet)
    assert [message.is_audible for message in messages] == [False, False]
    assert after == Attention()
    _, messages = spend([alert(symbol) for symbol in "ABCD"], Attention(), AttentionRule(), quiet)
    assert [len(message.alerts) for message in messages] == [4], (
        "a burst is one message at night too"
    )


def test_a_kind_is_told_as_the_person_wants_it() -> None:
    rule = AttentionRule(loudness={ScoreKind.BULL: Loudness.OFF, ScoreKind.BEAR: Loudness.SILENT})
    alerts = [alert("A", kind=ScoreKind.BULL), alert("A", kind=ScoreKind.BEAR)]
    after, [message] = spend(alerts, Attention(), rule, NOW)
    assert message == Message((alerts[1],), False)
    assert after == Attention(), "what is off is not on the card either"


def test_the_card_shows_the_newest_of_each_score_and_counts_what_does_not_fit() -> None:
    rule = AttentionRule(audible_per_hour=0, card_max=2)
    first, _ = spend([alert("A", 0.6), alert("B", 0.7)], Attention(), rule, NOW)
    second, _ = spend([alert("A", 0.9, before=0.6), alert("C", 0.8)], first, rule, NOW)
    # A rose by a third of its score; C and B are new.
    assert [(one.symbol, one.score) for one in second.folded] == [("C", 0.8), ("B", 0.7)]
    assert second.more == 1


def test_the_card_is_empty_once_the_person_has_looked_and_the_budget_is_not_refilled() -> None:
    rule = AttentionRule(audible_per_hour=1)
    after, _ = spend([alert("A"), alert("B")], Attention(), rule, NOW)
    assert looked(after) == Attention((NOW.now_ms,), (0.0,), audible_urgencies=(0.6,))


def test_coins_that_are_held_and_news_are_more_urgent() -> None:
    held = Present(NOW.now_ms, exposure={"A": 0.5})
    assert urgency(alert("A", 0.6), held) == pytest.approx(0.6 * 1.5)
    assert urgency(alert("B", 0.6), held) == pytest.approx(0.6)
    assert urgency(alert("B", 0.8, before=0.6), held) == pytest.approx(0.8 * 0.25)
    assert urgency(alert("B", 0.8, before=0.8), held) == pytest.approx(0.08)
    assert urgency(alert("A", 1.0), Present(0, exposure={"A": 7.0})) == pytest.approx(2.0)
    assert urgency(alert("A", 0.0), NOW) == 0


@given(
    looks=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.lists(
                st.tuples(st.sampled_from("ABCDEFGH"), st.integers(15, 30), st.sampled_from(MOVES)),
                max_size=8,
                unique_by=lambda pair: pair[0],
            ),
            st.booleans(),
        ),
        max_size=12,
    ),
    per_hour=st.integers(0, 3),
    exposure=st.dictionaries(st.sampled_from("ABC"), st.sampled_from((0.0, 0.4)), max_size=3),
    card_max=st.integers(1, 5),
)
def test_only_rarer_moves_exceed_the_budget_and_every_alert_is_told_listed_or_counted(
    looks: list[tuple[int, list[tuple[str, int, float]], bool]],
    per_hour: int,
    exposure: dict[str, float],
    card_max: int,
) -> None:
    rule = AttentionRule(audible_per_hour=per_hour, card_max=card_max)
    attention, now_ms = Attention(), 0
    sounds: list[tuple[int, float]] = []
    for minutes, told, is_quiet in looks:
        now_ms += minutes * MINUTE_MS
        alerts = [alert(symbol, points / 30, move=move) for symbol, points, move in told]
        before = {(one.symbol, one.kind) for one in attention.folded}
        counted = attention.more
        attention, messages = spend(alerts, attention, rule, Present(now_ms, is_quiet, exposure))
        for message in messages:
            if message.is_audible:
                move = max(abs(one.move or 0.0) for one in message.alerts)
                rang = [known for at_ms, known in sounds if at_ms > now_ms - 60 * MINUTE_MS]
                assert per_hour > 0
                assert len(rang) < per_hour or move >= 2 * max(rang)
                sounds.append((now_ms, move))
        said = [one for message in messages for one in message.alerts]
        left = {(one.symbol, one.kind) for one in alerts if one not in said}
        on_card = {(one.symbol, one.kind) for one in attention.folded}
        assert len(said) == len(set(said))
        assert len(on_card) <= card_max
        assert len(before | left) == len(on_card) + attention.more - counted
        assert len(attention.audible_ms) == len(attention.audible_moves)
        assert len(attention.audible_ms) == len(attention.audible_urgencies)


@pytest.mark.parametrize("wrong", [{"audible_per_hour": -1}, {"burst": 1}, {"card_max": 0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(Refused, match="should be >="):
        AttentionRule(**wrong)  # type: ignore[arg-type]


def undecided(symbol: str, bull: float, bear: float) -> list[ScoreAlert]:
    return [
        replace(alert(symbol, bull, kind=ScoreKind.BULL), against=bear),
        replace(alert(symbol, bear, kind=ScoreKind.BEAR), against=bull),
    ]


def test_a_symbol_that_is_undecided_is_one_alert_and_one_sound() -> None:
    after, [message] = spend(undecided("A", 0.7, 0.9), Attention(), AttentionRule(), NOW)
    assert [(one.kind, one.against) for one in message.alerts] == [(ScoreKind.BEAR, 0.7)]
    assert after.audible_ms == (NOW.now_ms,)


def test_a_symbol_that_is_undecided_is_as_loud_as_the_louder_of_its_scores() -> None:
    rule = AttentionRule(loudness={ScoreKind.BEAR: Loudness.SILENT})
    _, [message] = spend(undecided("A", 0.7, 0.9), Attention(), rule, NOW)
    assert message.is_audible
    rule = AttentionRule(loudness={ScoreKind.BULL: Loudness.OFF, ScoreKind.BEAR: Loudness.SILENT})
    _, [message] = spend(undecided("A", 0.9, 0.7), Attention(), rule, NOW)
    assert (message.alerts[0].kind, message.is_audible) == (ScoreKind.BEAR, False)


def test_the_card_has_one_row_for_a_symbol_that_is_undecided() -> None:
    rule = AttentionRule(audible_per_hour=0)
    after, _ = spend([alert("A", kind=ScoreKind.BULL)], Attention(), rule, NOW)
    after, _ = spend(undecided("A", 0.7, 0.9), after, rule, NOW)
    assert [(one.kind, one.score) for one in after.folded] == [(ScoreKind.BEAR, 0.9)]
    after, _ = spend([alert("A", 0.8, kind=ScoreKind.BULL)], after, rule, NOW)
    assert [(one.kind, one.score) for one in after.folded] == [(ScoreKind.BULL, 0.8)]
